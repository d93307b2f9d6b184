"""Where a key may go, and who may bind it."""

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.places import Place, Places
from console.facts.policy import Told
from console.forms.policy import SetPolicy
from console.fresh import fresh
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest
from gateway import policing
from gateway.delivery import Delivery
from gateway.holders import describe
from secrets_app.models import Key


@allows("key.view")
def policy(request: ConsoleRequest, name: str) -> HttpResponse:
    key = _find(request, name)
    return page(request, "keys/policy.html", {"key": key, "told": Told.of(key), "back": _to(request, key)})


@allows("key.set_policy")
@fresh
def set_policy(request: ConsoleRequest, name: str) -> HttpResponse:
    """A policy that shuts out uses of today is refused, and they are told."""
    key = _find(request, name)
    form = SetPolicy(request.POST or None, key=key, actor=request.actor)
    excluded: tuple[Place, ...] = ()
    if form.is_valid():
        version = form.cleaned_data["lock_version"] or 0
        if form.did(lambda: policing.set_policy(key, form.policy, lock_version=version, by=request.actor)):
            return see_other(request, _to(request, key), notice=now("The policy of %(name)s was saved.") % {"name": name})
        fresh = _find(request, name)
        if form.current:
            form.current, form_version = {"policy": str(fresh.policy)}, fresh.lock_version
            form.resume(form_version)
        else:
            shut_out = policing.excluded(fresh, form.policy)[: policing.TOLD]
            excluded = Places(fresh, Delivery.of(request.region), request.actor).tell(describe(shut_out))
    context = {"key": key, "form": form, "excluded": excluded, "submit": now("Save policy"), "back": _to(request, key)}
    return page(request, "keys/set_policy.html", context, status=form.status)


def _find(request: ConsoleRequest, name: str) -> Key:
    return Key.visible_to(request.actor, request.region).select_related("region").find(name)


def _to(request: ConsoleRequest, key: Key) -> str:
    return reverse("key-detail", kwargs={"region": request.region.name, "name": key.name})
