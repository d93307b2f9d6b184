"""A value shown to a person: break-glass. The control plane opens it; here it passes through one answer, which nothing keeps."""

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.reveal import POLICIES
from console.forms.base import REPEATED
from console.forms.reveal import EditReveal, RevealKey
from console.fresh import fresh
from console.middleware import allows
from console.once import shown_once
from console.pages import NOTICE, page, see_other, wants_part
from console.requests import ConsoleRequest
from secrets_app.errors import AlreadyDone
from secrets_app.models import Deployment, Key
from secrets_app.models.region import REVEAL_OFF
from secrets_app.models.reveal import AN_HOUR, SHOWN
from secrets_app.plaintext import Plaintext


@allows("key.reveal")
@fresh
def reveal(request: ConsoleRequest, name: str) -> HttpResponse:
    key = Key.visible_to(request.actor, request.region).select_related("region").find(name)
    back = reverse("key-detail", args=[request.region.name, name])
    form = RevealKey(request.POST or None, key=key)
    if form.is_valid():
        given = form.cleaned_data
        try:
            value = form.attempt(lambda: key.reveal(given["reason"], by=request.actor, version=given["lock_version"] or 0, once=form.token))
        except AlreadyDone as done:
            return page(request, "keys/revealed_before.html", {"key": key, "back": back, "size": "decision"}, status=done.status)
        if value:
            return _shown(request, key, value, back)
        if form.current:
            form.resume(key.version)
    context = {
        "key": key,
        "policy": Deployment.here().reveal_policy(),
        "off": REVEAL_OFF,
        "form": form,
        "seconds": SHOWN,
        "most": AN_HOUR,
        "submit": now("Reveal v%(number)d") % {"number": key.version},
        "back": back,
    }
    return page(request, "keys/reveal.html", context, status=form.status)


@allows("settings.edit_reveal")
@fresh
def edit_policy(request: ConsoleRequest) -> HttpResponse:
    deployment = Deployment.here()
    form = EditReveal(request.POST or None, initial={"policy": deployment.reveal_policy()})
    back = reverse("settings")
    if form.is_valid():
        policy = form.cleaned_data["policy"]
        try:
            done = form.did(lambda: deployment.edit_reveal(policy, by=request.actor, once=form.token))
        except AlreadyDone:
            return see_other(request, back, notice=REPEATED, tone="info")
        if done:
            return see_other(request, back, notice=now("Revealing values: %(policy)s.") % {"policy": POLICIES[policy][0]})
    return page(request, "settings/edit_reveal.html", {"form": form, "submit": now("Save policy"), "back": back}, status=form.status)


def _shown(request: ConsoleRequest, key: Key, value: Plaintext, back: str) -> HttpResponse:
    """The one answer that holds it. A page of its own leaves by itself when the time is over, with or without JavaScript."""
    context = {"key": key, "value": shown_once(value), "seconds": SHOWN, "back": back}
    response = page(request, "keys/revealed.html", context)
    response.headers["Cache-Control"] = "no-store"
    if not wants_part(request):
        response.headers["Refresh"] = f"{SHOWN}; url={back}"
    # For the page below; set after this one was drawn, which would else have used it up.
    text = now("The value of key %(name)s is hidden again. Rotate the key if it may have been seen by anybody who should not know it.")
    request.session[NOTICE] = [text % {"name": key.name}, "info"]
    return response
