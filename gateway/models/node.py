"""Running Envoys, and what the control plane last knew of them. These are status rows: deeds write entries, acknowledgements do not."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from gateway.models.base import Named
from gateway.models.instance import Instance, OfInstance
from secrets_app.actor import Actor
from secrets_app.errors import NotFound
from secrets_app.models import Region, deed

SILENCE = timedelta(seconds=15)  # a control plane not heard of for so long counts as down


class NodeQuerySet(models.QuerySet["Node"]):
    def find(self, name: str) -> "Node":
        """Raises NotFound."""
        if (node := self.filter(name=name).first()) is None:
            raise NotFound()
        return node


class Node(OfInstance, Named):
    """One running Envoy of an instance. It proves itself with a token of 32 random bytes; only the token's hash is kept."""

    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="nodes")
    name = models.CharField(max_length=64)
    token_hash = models.CharField(max_length=64, unique=True)
    listen_host = models.CharField(max_length=64)
    listen_port = models.PositiveIntegerField()
    joined_at = models.DateTimeField(default=timezone.now)
    connected = models.BooleanField(default=False)
    last_contact = models.DateTimeField(null=True)
    envoy_version = models.CharField(max_length=64, blank=True)
    in_effect_seq = models.BigIntegerField(default=0)  # everything up to this audit entry is acknowledged
    in_effect_at = models.DateTimeField(null=True)
    refused_seq = models.BigIntegerField(default=0)
    refused_reason = models.CharField(max_length=300, blank=True)  # scrubbed

    objects = NodeQuerySet.as_manager()

    audit_kind = "node"

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["instance", "name"], name="node_name_once_an_instance")]

    @classmethod
    def join(cls, instance: Instance, name: str, host: str, port: int, token: str = "", *, by: Actor) -> tuple["Node", str]:
        """The node and its token. A node that comes back with its token and address as they were is let in without a new entry."""
        known = cls.objects.filter(instance=instance, name=name).first()
        if known and token and known.token_hash == _hash(token) and (known.listen_host, known.listen_port) == (host, port):
            return known, token
        token = secrets.token_urlsafe(32)
        with deed(by, "node.join") as entry:
            row = {"token_hash": _hash(token), "listen_host": host, "listen_port": port, "joined_at": timezone.now()}
            node, _created = cls.objects.update_or_create(instance=instance, name=name, defaults=row)
            entry.target = node
            entry.facts = {"instance": instance.ref, "listen": f"{host}:{port}"}
        return node, token

    def remove(self, *, by: Actor) -> None:
        """Its token counts no more: an open stream ends as soon as the control plane has read the entry, and no other begins.

        An Envoy that still runs keeps serving what it has; `run_gateway` lets it join again, with a new token.
        """
        with deed(by, "node.remove", self) as entry:
            if not type(self).objects.filter(pk=self.pk).delete()[0]:
                raise NotFound()
            entry.facts = {"instance": self.instance.ref}

    @classmethod
    def by_token(cls, token: str) -> "Node | None":
        """Whose token this is, from the token alone; what a node says of itself counts for nothing."""
        return cls.objects.select_related("instance").filter(token_hash=_hash(token)).first()

    @classmethod
    def note(cls, columns_by_node: dict[int, dict[str, Any]]) -> None:
        """Write down what nodes were seen to have; a node that has gone meanwhile is passed over."""
        with transaction.atomic(durable=True):
            for pk, columns in columns_by_node.items():
                cls.objects.filter(pk=pk).update(**columns)

    @classmethod
    def listen_ports(cls) -> set[int]:
        return set(cls.objects.values_list("listen_port", flat=True))


class Problem(models.Model):
    """A place whose key could not be served, and why; it harms only its holder. The control plane rewrites these rows as it publishes."""

    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="problems")
    holder_kind = models.CharField(max_length=20)
    holder_id = models.BigIntegerField()
    path = models.CharField(max_length=200)
    reason = models.CharField(max_length=32)  # disabled, unreadable, duplicate, charset; of a rule also missing, text
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["region", "holder_kind", "holder_id", "path"], name="one_problem_a_place")]

    @classmethod
    def rewrite(cls, region: UUID, found: Iterable[tuple[str, int, str, str]]) -> None:
        """Make the region's rows equal to (holder kind, holder id, path, reason); those that stay keep their `since`."""
        with transaction.atomic(durable=True):
            wanted = set(found)
            rows = {(row.holder_kind, row.holder_id, row.path, row.reason): row for row in cls.objects.filter(region_id=region)}
            cls.objects.filter(pk__in=[row.pk for key, row in rows.items() if key not in wanted]).delete()
            Problem.objects.bulk_create(
                Problem(region_id=region, holder_kind=kind, holder_id=holder, path=path, reason=reason)
                for kind, holder, path, reason in wanted - rows.keys()
            )


class ControlPlane(models.Model):
    """One row: when the control plane was last heard of, and why it refused to publish, if it did."""

    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)

    @classmethod
    def is_up(cls, now: datetime | None = None) -> bool:
        row = cls.objects.first()
        return bool(row and row.seen_at and (now or timezone.now()) - row.seen_at < SILENCE)

    @classmethod
    def beat(cls, *, started: bool = False) -> None:
        now = timezone.now()
        cls.objects.update_or_create(pk=1, defaults={"seen_at": now, **({"started_at": now} if started else {})})

    @classmethod
    def rest(cls) -> None:
        """It ends, or has just begun: no node holds a stream to it."""
        Node.objects.filter(connected=True).update(connected=False)
        cls.objects.filter(pk=1).update(seen_at=None)


class Publication(models.Model):
    """One row a region: up to which audit entry its snapshot is in the cache, and why a later one was refused."""

    region = models.OneToOneField(Region, on_delete=models.CASCADE, primary_key=True, related_name="publication")
    seq = models.BigIntegerField(default=0)
    at = models.DateTimeField(null=True)
    refused_seq = models.BigIntegerField(default=0)
    refused_reason = models.CharField(max_length=300, blank=True)

    @classmethod
    def succeed(cls, region: UUID, seq: int) -> None:
        fields = {"seq": seq, "at": timezone.now(), "refused_seq": 0, "refused_reason": ""}
        cls.objects.update_or_create(region_id=region, defaults=fields)

    @classmethod
    def refuse(cls, region: UUID, seq: int, reason: str) -> None:
        cls.objects.update_or_create(region_id=region, defaults={"refused_seq": seq, "refused_reason": reason[:300]})

    @classmethod
    def of(cls, region: Region) -> "Publication":
        """An unsaved one, of nothing, before the first."""
        return cls.objects.filter(region=region).first() or cls(region=region)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
