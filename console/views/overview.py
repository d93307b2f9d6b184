"""The first page of a region."""

from django.http import HttpResponse
from django.shortcuts import redirect

from console.facts.audit import tell
from console.facts.overview import Gateways, Start, concerns, figures, gateway_concerns, reveal_concerns
from console.facts.second_factor import password_alone
from console.facts.trust import trust_concerns
from console.middleware import allows
from console.pages import LAST_REGION, page
from console.requests import ConsoleRequest
from gateway.attention import Attention
from secrets_app.models import AuditEntry, AuditWatch, Region
from secrets_app.scope import EVERYWHERE

ACTIVITY_SHOWN = 8


@allows("overview.view")
def home(request: ConsoleRequest) -> HttpResponse:
    """The region seen last, or the oldest."""
    regions = Region.visible_to(request.actor)
    last = regions.filter(name=request.session.get(LAST_REGION, "")).first()
    region = last or regions.order_by("created_at").first()
    return redirect("overview", region=region.name) if region else page(request, "overview/home.html")


@allows("overview.view")
def overview(request: ConsoleRequest) -> HttpResponse:
    """Nouns for who may see them, activity for who may read the audit log; everybody who may come has at least one of the two."""
    region, actor = request.region, request.actor
    context: dict[str, object] = {}
    if actor.may_within("instance.view", region):
        gateways = Gateways.of(region, actor)
        context |= {
            "figures": figures(region, actor),
            "gateways": gateways,
            "concerns": [
                *(trust_concerns(AuditWatch.here()) if actor.may("settings.view", EVERYWHERE) else ()),
                *reveal_concerns(region, actor),
                *password_alone(actor),
                *gateway_concerns(region, gateways),
                *concerns(region, Attention.of(region, actor), actor),
            ],
        }
    if actor.may("service.view", region):  # what a region needs for a first call, and that call itself
        context["start"] = Start.of(region, actor, request.get_host().rsplit(":", 1)[0])
    if actor.may("audit.view", region):
        context["activity"] = tell(AuditEntry.objects.filter(region_id=region.pk).order_by("-seq")[:ACTIVITY_SHOWN])
    return page(request, "overview/overview.html", context)
