"""The nodes of an instance: which Envoys run it, what each has in effect, and the end of one that will not come back."""

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.services import joining, node_rows
from console.forms.confirm import TypedName
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from console.views.instances import frame
from gateway.delivery import Delivery
from gateway.models import Instance, Publication


@allows("instance.view")
def list_(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = Instance.visible_to(request.actor, request.region).find(ref)
    delivery, publication = Delivery.of(request.region), Publication.of(request.region)
    context = frame(request, instance, "nodes") | {
        "nodes": node_rows(instance, delivery, publication.seq),
        "publication": publication,
        "down": not delivery.control_plane_up,
        "joining": joining(instance, delivery.by_instance.get(instance.pk, ()), settings.GATEWAY_PORT),
    }
    return page(request, "nodes/list.html", context)


@allows("node.remove")
def remove(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    instance = Instance.visible_to(request.actor, request.region).find(ref)
    node = instance.nodes.find(name)
    back = reverse("node-list", kwargs={"region": request.region.name, "ref": ref})
    form = TypedName(posted(request), name=node.name)
    if form.is_valid() and form.did(lambda: node.remove(by=request.actor)):
        return see_other(request, back, notice=now("Node %(name)s was removed.") % {"name": node.name})
    context = {
        "form": form,
        "instance": instance,
        "node": node,
        "submit": now("Remove node"),
        "danger": True,
        "size": "decision",
        "back": back,
    }
    return page(request, "nodes/remove.html", context, status=form.status)
