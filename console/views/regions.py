"""From one region to another: the page that was open, as far as the other region has what it is about."""

from django.http import HttpResponse
from django.urls import Resolver404, ResolverMatch, resolve, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.middleware import allows
from console.pages import see_other
from console.requests import ConsoleRequest
from gateway.models import Consumer, CustomPlugin, Instance
from secrets_app.models import Key

# By the first word of an address: where the list is, what is missing there, and what tells one of it from its like.
_Noun = tuple[type[Key | Consumer | CustomPlugin | Instance], str, Promise, str]
NOUNS: dict[str, _Noun] = {
    "keys": (Key, "key-list", _("%(region)s has no key named %(name)s."), "name"),
    "consumers": (Consumer, "consumer-list", _("%(region)s has no consumer named %(name)s."), "name"),
    "plugins": (CustomPlugin, "custom-plugin-list", _("%(region)s has no custom plug-in named %(name)s."), "name"),
    "instances": (
        Instance,
        "instance-list",
        _("Services and plug-ins belong to an instance. These are the instances of %(region)s."),
        "ref",
    ),
}


@allows("overview.view")
def switch(request: ConsoleRequest, page: str) -> HttpResponse:
    """Keys, consumers and custom plug-ins are looked for by name. An instance, with all it has, is of one region alone."""
    here = f"/{request.region.name}/"
    try:
        match = resolve(f"{here}{page}")
    except Resolver404:
        return see_other(request, here)
    model, above, missing, field = NOUNS.get(page.partition("/")[0], NOUNS["instances"])
    if field not in match.kwargs:
        return see_other(request, here)
    name = match.kwargs[field]
    if not model.visible_to(request.actor, request.region).filter(**{field: name}).exists():
        said = missing % {"region": request.region.title, "name": name}
        return see_other(request, reverse(above, args=[request.region.name]), notice=said, tone="info")
    return see_other(request, f"{here}{_common(match, page)}")


def _common(match: ResolverMatch, page: str) -> str:
    """Of two consumers with one name, each has credentials of its own."""
    return f"consumers/{match.kwargs['name']}/" if "number" in match.kwargs and page.startswith("consumers/") else page
