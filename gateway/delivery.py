"""Where a change stands: which nodes have acknowledged it. A page reads a region's nodes once and asks for as many nouns as it shows."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import F

from gateway.models import ControlPlane, Node
from secrets_app.access import ACTIONS
from secrets_app.models import AuditEntry, Region
from secrets_app.models.audit import OK

_PUBLISHING = [name for name, action in ACTIONS.items() if action.publishes]


@dataclass(frozen=True, slots=True)
class Effect:
    """A change is in effect on `done` of `total` nodes. `refused` names the nodes that rejected it or a later one."""

    done: int
    total: int
    refused: tuple[str, ...] = ()

    @property
    def everywhere(self) -> bool:
        return self.total > 0 and self.done == self.total


@dataclass(frozen=True, slots=True)
class Delivery:
    """The nodes of a region at one moment, and whether the control plane is there to bring them anything."""

    nodes: tuple[Node, ...]
    control_plane_up: bool
    by_instance: dict[UUID, tuple[Node, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, region: Region) -> "Delivery":
        """Two queries."""
        nodes = tuple(Node.objects.filter(instance__region=region).select_related("instance").order_by("instance__name", "name"))
        instances = {node.instance_id: tuple(n for n in nodes if n.instance_id == node.instance_id) for node in nodes}
        return cls(nodes, ControlPlane.is_up(), instances)

    def effect(self, changed_seq: int, instances: Collection[UUID] | None = None) -> Effect:
        """Of the change made with that audit entry, on these instances' nodes, or on all of the region."""
        nodes = self.nodes if instances is None else [node for pk in instances for node in self.by_instance.get(pk, ())]
        return Effect(
            done=sum(node.in_effect_seq >= changed_seq for node in nodes),
            total=len(nodes),
            refused=tuple(node.name for node in nodes if node.refused_seq >= changed_seq > node.in_effect_seq),
        )

    @property
    def connected(self) -> int:
        """Nodes that hold a stream to a control plane that is there."""
        return sum(node.connected for node in self.nodes) if self.control_plane_up else 0


def newest_change(region: Region) -> int:
    """The audit entry of the last deed that its gateways have to follow; 0 when there was none."""
    return (
        AuditEntry.objects.filter(region_id=region.pk, action__in=_PUBLISHING, outcome=OK)
        .order_by("-seq")
        .values_list("seq", flat=True)
        .first()
        or 0
    )


def some_node_serves() -> bool:
    """A node holds a stream to a control plane that is there, and has acknowledged all that its region has published."""
    published = F("instance__region__publication__seq")
    return ControlPlane.is_up() and Node.objects.filter(connected=True, in_effect_seq__gte=published, in_effect_seq__gt=0).exists()
