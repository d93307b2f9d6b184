"""How a view answers, and what surrounds every page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse
from django.utils.cache import patch_vary_headers
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from console import oidc
from gateway.delivery import Delivery
from gateway.models.node import Publication
from secrets_app.access import ROLES
from secrets_app.actor import Actor
from secrets_app.models import Region

NOTICE = "said"  # the session's slot for one sentence about what was just done
KEPT = ("q", "show", "sort")  # of a list's address, also in another region
LAST_REGION = "region"  # and for the name of the region seen last: where "/" leads


def page(request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200) -> HttpResponse:
    """The whole page, or `_template` beside it when htmx asks for a part. `part` in the context says which."""
    twin = _twin(template) if wants_part(request) else ""
    part = bool(twin)
    response = render(request, twin or template, {**(context or {}), "part": part, "failed": status >= 400}, status=status)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


@cache
def _twin(template: str) -> str:
    """The part beside a page, or nothing for the few that are always whole, such as sign-in: headers choose, so both must work."""
    folder, _slash, name = template.rpartition("/")
    try:
        get_template(twin := f"{folder}/_{name}")
    except TemplateDoesNotExist:
        return ""
    return twin


def wants_part(request: HttpRequest) -> bool:
    """htmx names the element it will fill; a restored history entry and a followed redirect fill the whole body."""
    headers = request.headers
    return headers.get("HX-Request") == "true" and "HX-Target" in headers and headers.get("HX-History-Restore-Request") != "true"


def see_other(
    request: HttpRequest, to: Any, *args: Any, notice: str | Promise = "", tone: Literal["ok", "info"] = "ok", **kwargs: Any
) -> HttpResponse:
    """After a deed: 303, or for htmx 204 and HX-Location, which takes the place of the form in the history.

    `notice` is one sentence about what was done, for the next page; `tone` "info" says that nothing was. It stands in the session:
    never a value.
    """
    url = resolve_url(to, *args, **kwargs)
    if notice:
        request.session[NOTICE] = [str(notice), tone]
    if request.headers.get("HX-Request") == "true":
        # The form's address was pushed when it opened; Back must not lead to the sent form.
        location = json.dumps({"path": url, "push": "false", "replace": "true"})
        response = HttpResponse(status=204, headers={"HX-Location": location})
    else:
        response = HttpResponseRedirect(url, status=303)
    patch_vary_headers(response, ["HX-Request"])
    return response


@dataclass(frozen=True)
class _Place:
    """One entry of the side navigation: shown when its address exists and the actor may open it."""

    label: Promise
    icon: str
    url_name: str
    permission: str
    in_region: bool = True
    alone: bool = False  # its address is that of no page below it


_NAVIGATION: tuple[tuple[Promise, tuple[_Place, ...]], ...] = (
    (
        _("Gateway"),
        (
            _Place(_("Overview"), "layout-dashboard", "overview", "overview.view", alone=True),
            _Place(_("Instance"), "server", "instance-list", "instance.view"),
            _Place(_("Consumers"), "users-round", "consumer-list", "consumer.view"),
            _Place(_("Key"), "key-round", "key-list", "key.view"),
            _Place(_("Plug-in"), "puzzle", "custom-plugin-list", "plugin.view"),
        ),
    ),
    (_("Observe"), (_Place(_("Audit log"), "scroll-text", "audit-list", "audit.view", in_region=False),)),
    (
        _("Organization"),
        (
            _Place(_("Team"), "users", "user-list", "user.view", in_region=False),
            _Place(_("Settings"), "settings-2", "settings", "settings.view", in_region=False),
        ),
    ),
)


@dataclass(frozen=True)
class Notice:
    text: str
    tone: str

    @property
    def icon(self) -> str:
        return "circle-check" if self.tone == "ok" else "info"


@dataclass(frozen=True)
class Link:
    label: str
    url: str
    icon: str = ""
    current: bool = False
    hint: str = ""


class Surroundings:
    """What base.html shows around a page. Nothing here is asked of the database before a whole page asks for it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def actor(self) -> Actor | None:
        """Also on an error page that was made before the door asked who comes."""
        actor: Actor | None = getattr(self._request, "actor", None)
        user = getattr(self._request, "user", None)
        return actor or (user.as_actor() if user is not None and user.is_authenticated else None)

    @cached_property
    def _regions(self) -> list[Region]:
        return list(Region.visible_to(self.actor)) if self.actor else []

    @cached_property
    def region(self) -> Region | None:
        """The one in the address; on pages without one, the one seen last, so that the navigation leads somewhere."""
        here: Region | None = getattr(self._request, "region", None)
        return here or self._seen_last

    @cached_property
    def _seen_last(self) -> Region | None:
        last = getattr(self._request, "session", {}).get(LAST_REGION)
        return next((region for region in self._regions if region.name == last), self._regions[0] if self._regions else None)

    @cached_property
    def regions(self) -> list[Link]:
        """Each leads to this same page in another region; from pages without a region, to that region's overview."""
        here: Region | None = getattr(self._request, "region", None)
        return [Link(one.title, self._same_page(here, one), current=one == here, hint=one.name) for one in self._regions]

    def _same_page(self, here: Region | None, region: Region) -> str:
        """A page about something leads by way of region-switch, which looks whether the other region has it."""
        if here is None:
            return f"/{region.name}/"
        page, match = self._request.path[len(here.name) + 2 :], self._request.resolver_match
        if region != here and match and match.kwargs.keys() - {"region"}:
            return reverse("region-switch", args=[region.name, page])
        kept = urlencode({name: self._request.GET[name] for name in KEPT if self._request.GET.get(name)})
        return f"/{region.name}/{page}" + (f"?{kept}" if kept else "")

    @cached_property
    def home(self) -> str:
        return f"/{self.region.name}/" if self.region else "/"

    @cached_property
    def navigation(self) -> list[tuple[str, list[Link]]]:
        groups = [(str(label), [link for place in places if (link := self._link(place))]) for label, places in _NAVIGATION]
        return [(label, links) for label, links in groups if links]

    def _link(self, place: _Place) -> Link | None:
        if not self._opens(place):
            return None
        try:
            url = reverse(place.url_name, args=[self.region.name] if place.in_region and self.region else [])
        except NoReverseMatch:  # not built yet: absent
            return None
        here = self._request.path
        return Link(str(place.label), url, place.icon, current=here == url if place.alone else here.startswith(url))

    def _opens(self, place: _Place) -> bool:
        if not place.in_region:
            return self.actor is not None and self.actor.may_within(place.permission)
        return self.actor is not None and self.region is not None and self.actor.may_within(place.permission, self.region)

    @cached_property
    def lapsed(self) -> str:
        """Why somebody may do less than they are used to."""
        if not getattr(getattr(self._request, "user", None), "roles_lapsed", False):
            return ""
        days = settings.OIDC_TRUST_DAYS
        told = ngettext(
            "Roles that single sign-on gave you do not count now: you have not come in through it for more than %(n)d day.",
            "Roles that single sign-on gave you do not count now: you have not come in through it for more than %(n)d days.",
            days,
        ) % {"n": days}
        return told if oidc.configured() else told + " " + gettext("It is switched off here by now: ask an owner for roles.")

    @cached_property
    def sso(self) -> str:
        """Where to sign in through it, and back to here."""
        return reverse("sso") + "?" + urlencode({"next": self._request.get_full_path()}) if oidc.configured() else ""

    @cached_property
    def theme(self) -> str:
        return getattr(getattr(self._request, "user", None), "theme", "auto")

    @cached_property
    def roles(self) -> list[str]:
        held = self.actor.roles if self.actor else frozenset()
        return [str(label) for role, (label, _text) in ROLES.items() if role in held]

    @cached_property
    def notice(self) -> "Notice | None":
        """Read once: it is about what was just done."""
        session = getattr(self._request, "session", None)
        return Notice(*session.pop(NOTICE)) if session is not None and NOTICE in session else None

    @cached_property
    def pulse(self) -> "Pulse | None":
        may_see = self.actor is not None and self.region is not None and self.actor.may_within("instance.view", self.region)
        return Pulse.of(self.region) if may_see and self.region else None


@dataclass(frozen=True)
class Pulse:
    """The gateways of a region in one line: how many nodes serve the latest published state. Three queries."""

    tone: str
    title: str
    text: str

    @classmethod
    def of(cls, region: Region) -> "Pulse":
        delivery = Delivery.of(region)
        if not (total := len(delivery.nodes)):
            return cls("", gettext("No gateway yet"), gettext("Join a node to an instance."))
        if not delivery.control_plane_up:
            return cls("warn", gettext("Control plane is down"), gettext("Gateways keep serving; changes wait."))
        published = Publication.objects.filter(region=region).first() or Publication(region=region)
        if published.refused_seq > published.seq or delivery.effect(published.seq).refused:
            return cls("bad", gettext("A change was refused"), gettext("Gateways serve the last good state."))
        if away := total - delivery.connected:
            text = ngettext("%(n)d is not connected.", "%(n)d are not connected.", away) % {"n": away}
            return cls("warn", gettext("%(done)d of %(all)d nodes in sync") % {"done": total - away, "all": total}, text)
        if (done := delivery.effect(published.seq).done) < total:
            return cls(
                "info", gettext("%(done)d of %(all)d nodes in sync") % {"done": done, "all": total}, gettext("A change is on its way.")
            )
        return cls("ok", ngettext("%(n)d node in sync", "%(n)d nodes in sync", total) % {"n": total}, gettext("Every change is in effect."))


def surroundings(request: HttpRequest) -> dict[str, Any]:
    around = Surroundings(request)
    return {"around": around, "actor": getattr(request, "actor", None), "region": getattr(request, "region", None)}
