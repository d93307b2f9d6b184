"""What a consumer may call, as its page shows it: a tab a kind of service."""

from dataclasses import dataclass
from typing import Self, cast

from django.db.models import Count, QuerySet

from console.paging import Listing
from gateway.models import AgentService, AiService, Consumer, Instance, McpService, Service
from gateway.models.service import AGENT, AI, MCP, Rights, ServiceQuerySet
from secrets_app.actor import Actor

KINDS: dict[str, type[Service]] = {AI: AiService, AGENT: AgentService, MCP: McpService}


@dataclass(frozen=True, slots=True)
class Tab:
    """One kind of service, and on how many of it the consumer is authorized."""

    kind: str
    holder: str
    count: int
    current: bool


@dataclass(frozen=True, slots=True)
class Grants:
    tabs: tuple[Tab, ...]  # those that the actor may see
    kind: str  # of the tab that is shown: the one asked for, or the first with anything in it
    instances: tuple[Instance, ...]  # with a service that the consumer is authorized on, by name
    instance: str  # the one that the rows are narrowed to, or ""
    visible: QuerySet[Instance]

    @classmethod
    def of(cls, consumer: Consumer, actor: Actor, listing: Listing, instance: str) -> Self:
        """Two queries."""
        visible = Instance.visible_to(actor, consumer.region)
        granted = consumer.authorizations.filter(service__instance__in=visible)
        counts = dict(granted.order_by().values_list("service__kind").annotate(Count("pk")))
        seen = [kind for kind, model in KINDS.items() if actor.may_within(model.rights.view, consumer)]
        kind = listing.show or next((kind for kind in seen if counts.get(kind)), AI)
        instances = visible.filter(services__authorizations__consumer=consumer).distinct().order_by("name")
        return cls(
            tabs=tuple(Tab(one, KINDS[one].audit_kind, counts.get(one, 0), one == kind) for one in seen),
            kind=kind,
            instances=tuple(instances),
            instance=instance,
            visible=visible,
        )

    @property
    def total(self) -> int:
        return sum(tab.count for tab in self.tabs)

    @property
    def count(self) -> int:
        """Of the tab that is shown."""
        return sum(tab.count for tab in self.tabs if tab.current)

    @property
    def holder(self) -> str:
        return KINDS[self.kind].audit_kind

    @property
    def rights(self) -> Rights:
        return KINDS[self.kind].rights

    def services(self, consumer: Consumer, typed: str) -> ServiceQuerySet[Service]:
        """Those of the tab, as far as they match."""
        shown = any(tab.current for tab in self.tabs)
        rows = _rows(Service.objects.filter(kind=self.kind, authorizations__consumer=consumer) if shown else Service.objects.none())
        rows = rows.filter(instance__in=self.visible)
        rows = rows.filter(instance__ref=self.instance) if self.instance else rows
        return rows.matching(typed).select_related("instance")


def services_of(kind: str, actor: Actor, instance: Instance | None) -> ServiceQuerySet[Service]:
    """Those of an instance that the actor may see."""
    return _rows(KINDS[kind].visible_to(actor, instance).filter(kind=kind) if instance else Service.objects.none())


def _rows(found: QuerySet[Service]) -> ServiceQuerySet[Service]:
    """Every manager of services makes its rows so; django-stubs knows the method of a manager by its own name alone."""
    return cast("ServiceQuerySet[Service]", found)
