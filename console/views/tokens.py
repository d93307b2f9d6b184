"""API tokens: one's own, and for owners those of everybody."""

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.forms.base import REPEATED
from console.forms.confirm import Confirm
from console.forms.tokens import WORDS, CreateToken
from console.fresh import fresh
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from secrets_app.errors import AlreadyDone, NotFound
from secrets_app.models import Region
from secrets_app.models.token import ApiToken


@allows("token.create")
def own(request: ConsoleRequest) -> HttpResponse:
    return _list(request, "own", ApiToken.objects.filter(user=request.user))


@allows("token.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    return _list(request, "tokens", ApiToken.objects.all())


@allows("token.create")
@fresh
def create(request: ConsoleRequest) -> HttpResponse:
    form, back = CreateToken(posted(request), by=request.actor), reverse("token-own")
    if form.is_valid():
        given, region = form.cleaned_data, form.region_chosen()
        try:
            made = form.attempt(
                lambda: ApiToken.create(
                    given["name"],
                    region,
                    given["permissions"],
                    given["days"],
                    form.networks_given(),
                    by=request.actor,
                    once=form.token,
                )
            )
        except AlreadyDone:
            return see_other(request, back, notice=REPEATED, tone="info")
        if made:
            return page(request, "tokens/once.html", {"token": made[0], "text": made[1], "back": back})
    context = {"form": form, "submit": now("Make the token"), "back": back}
    return page(request, "tokens/create.html", context, status=form.status)


@allows("token.revoke")
def revoke(request: ConsoleRequest, token: int) -> HttpResponse:
    found = ApiToken.visible_to(request.actor).select_related("user", "region").filter(pk=token).first()
    if found is None:
        raise NotFound()
    back = reverse("token-own" if found.user_id == request.actor.user_id else "token-list")
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: found.revoke(by=request.actor)):
        return see_other(request, back, notice=now("The token %(name)s opens nothing any more.") % {"name": found.name})
    context = {"form": form, "token": found, "submit": now("Revoke"), "danger": True, "size": "decision", "back": back}
    return page(request, "tokens/revoke.html", context, status=form.status)


def _list(request: ConsoleRequest, tab: str, rows: "object") -> HttpResponse:
    listing = Listing(request.GET, {"newest": ["-id"]})
    cut = listing.cut(rows.select_related("user", "region"))  # type: ignore[attr-defined]
    told = [(one, [str(WORDS.get(name, name)) for name in one.permissions]) for one in cut.rows]
    context = {"listing": listing, "cut": cut, "rows": told, "calls": _calls(request), "tab": tab, "own": tab == "own"}
    return page(request, "tokens/list.html", context)


def _calls(request: ConsoleRequest) -> list[tuple[str, str]]:
    """What they do, and lines that work when they are copied: at this very address, in a region that the reader sees."""
    curl = 'curl -H "Authorization: Bearer $LATCHKEY_TOKEN"'
    calls = [(now("Read the audit log"), f'{curl} \\\n  "{request.build_absolute_uri(reverse("api-audit"))}?after=0"')]
    region = Region.visible_to(request.actor).first()
    if region:
        keys = request.build_absolute_uri(reverse("api-keys", args=[region.name]))
        renewed = request.build_absolute_uri(reverse("api-key-rotate", args=[region.name, "NAME"]))
        calls.insert(0, (now("List keys"), f"{curl} \\\n  {keys}"))
        calls.insert(1, (now("Rotate a key"), f'{curl} \\\n  -H "Idempotency-Key: deploy-42" --json @new-value.json \\\n  {renewed}'))
    return calls
