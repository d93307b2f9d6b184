"""The audit log. Who writes it are deeds (deeds.py) and what is refused (refusals.py).

Entries form a SHA-256 chain (secrets_app/chain.py). The one head row is locked last, so `seq` has no gaps and the chain cannot
fork. The log is also the outbox: the control plane follows `seq` and acts on entries that publish.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar, Never, Protocol
from uuid import UUID

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from secrets_app import chain
from secrets_app.access import ACTIONS
from secrets_app.actor import Actor
from secrets_app.db import announce, locked, reading
from secrets_app.logbook import rows
from secrets_app.models.epoch import SealedEpoch
from secrets_app.scope import Scope

OK, REFUSED = "ok", "refused"
DIFF, CHANGED = "diff", "changed"
APPEND_ONLY = "The audit log is append-only."

Fact = str | int | bool | list[str] | None


class Subject(Protocol):
    """What a deed is done to: its kind, its name as people know it, the region it lies in (None: all regions), and where rights count."""

    @property
    def pk(self) -> Any: ...
    @property
    def audit_kind(self) -> str: ...
    @property
    def audit_name(self) -> str: ...
    @property
    def audit_region(self) -> "tuple[UUID, str] | None": ...
    @property
    def scope(self) -> Scope: ...


class AuditHead(models.Model):
    """One row: where the chain ends."""

    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=chain.GENESIS)


class AppendOnly(models.QuerySet["AuditEntry"]):
    def update(self, **kwargs: Any) -> Never:
        raise TypeError(APPEND_ONLY)

    def bulk_update(self, *args: Any, **kwargs: Any) -> Never:
        raise TypeError(APPEND_ONLY)

    def delete(self) -> Never:
        raise TypeError(APPEND_ONLY)


class AuditEntry(models.Model):
    """Append-only. Names stand as text, so an entry outlives its subjects."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    region_id = models.UUIDField(null=True)
    region = models.CharField(max_length=32, blank=True)
    actor = models.CharField(max_length=150)
    actor_id = models.UUIDField(null=True)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    session = models.CharField(max_length=64, blank=True)  # a hash that tells sessions apart and opens none
    action = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16)
    target_kind = models.CharField(max_length=32, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target = models.CharField(max_length=200, blank=True)
    facts = models.JSONField(default=dict)
    operation = models.UUIDField(null=True, unique=True)  # the form's token: the same post twice is one deed
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = AppendOnly.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["region_id", "seq"]),
            models.Index(fields=["target_kind", "target_id", "seq"]),
            models.Index(fields=["action", "seq"]),
            models.Index(fields=["at", "seq"]),
            models.Index(fields=["address", "seq"]),
            models.Index(fields=["request_id"]),
            models.Index(fields=["session"]),
            models.Index(Lower("actor"), "seq", name="audit_by_actor"),
            models.Index(fields=["seq"], condition=models.Q(outcome=REFUSED), name="audit_refused"),
        ]

    @classmethod
    def visible_to(cls, actor: Actor) -> AppendOnly:
        """What is of no region is for those who may read the log everywhere."""
        regions = actor.regions_with("audit.view")
        return cls.objects.all() if regions is None else cls.objects.filter(region_id__in=regions)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(APPEND_ONLY)
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> Never:
        raise TypeError(APPEND_ONLY)

    def digest(self) -> str:
        """The hash this entry must carry, from its own content and `prev_hash`."""
        return chain.digest({name: getattr(self, name) for name in chain.FIELDS}, self.prev_hash)

    @classmethod
    def verify(cls, after: int | None = None, marks: Iterable[chain.Mark] = ()) -> "Verdict":
        """The log behind entry `after`, or all of it, in one consistent view of the database; memory does not grow with it.

        The chain begins where the last sealed epoch ends. What stands before `after` is believed.
        """
        walk, wrong = chain.Walk(), None
        with reading():
            head = AuditHead.objects.filter(pk=1).first() or AuditHead()
            try:
                walk = cls.start(after)
                walk = chain.Walk(walk.seq, walk.head, marks=iter(marks))
                with closing(rows(walk.seq)) as found:
                    walk.follow(found)
                walk.arrive(head.seq, head.hash)
            except chain.Broken as broken:
                wrong = broken
        return Verdict(
            walk.entries, walk.seq, walk.head, wrong.seq if wrong else None, wrong.why if wrong else "", bool(wrong and wrong.cut)
        )

    @classmethod
    def start(cls, after: int | None = None) -> chain.Walk:
        """Where a check begins: behind the last sealed epoch, or behind entry `after`. Raises Broken."""
        sealed = SealedEpoch.chained()
        if after is None or after <= sealed.seq:
            return sealed
        found = cls.objects.filter(seq=after).values_list("hash", flat=True).first()
        if found is None:
            raise chain.Broken(after, "it is missing")
        return chain.Walk(after, found)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`bad` is the first seq that is wrong, None when all `entries` that were looked at are whole; `cut` when it is the log's end that
    is missing. `seq` and `head`: how far it is whole, and the hash to write down."""

    entries: int
    seq: int
    head: str
    bad: int | None = None
    why: str = ""
    cut: bool = False


class Draft:
    """The entry of a deed under way. The deed sets `facts`, compares what it edits, and sets `target` once a new subject exists."""

    def __init__(
        self, by: Actor, action: str, target: Subject | None, operation: UUID | None, given: Mapping[str, Fact] | None = None
    ) -> None:
        self.by, self.action, self.target, self.operation = by, action, target, operation
        self.given = dict(given or {})
        self.facts = dict(self.given)
        self._stamped: list[models.Model] = []
        self._diff: dict[str, list[Fact] | str] = {}

    def compare(self, before: Mapping[str, Fact], after: Mapping[str, Fact]) -> None:
        """The properties of an edit: of those that the action shows the entry will state both, of those it hides that they differ.

        Raises ValueError for one that the action's row does not know, so that nothing is told by accident.
        """
        known = ACTIONS[self.action]
        if strange := (before.keys() | after.keys()) - known.shows - known.hides:
            raise ValueError(f"{self.action} may not compare {sorted(strange)}")
        for name in sorted(before.keys() | after.keys()):
            was, becomes = before.get(name), after.get(name)
            if was != becomes:
                self._diff[name] = CHANGED if name in known.hides else [was, becomes]

    def stamp(self, *rows: models.Model) -> None:
        """These rows changed with this entry: their `changed_seq` becomes its seq, which tells when a node has caught up with them."""
        self._stamped += rows

    def write(self, outcome: str = OK) -> AuditEntry:
        """Append to the chain. The head row is locked here, last, just before the commit."""
        allowed = ACTIONS[self.action].facts | ({"reason"} if outcome == REFUSED else frozenset())
        if strange := self.facts.keys() - allowed:
            raise ValueError(f"{self.action} may not state {sorted(strange)}")
        target, region = self.target, self.target.audit_region if self.target else None
        head, _new = locked(AuditHead.objects.all()).get_or_create(pk=1)
        entry = AuditEntry(
            seq=head.seq + 1,
            at=timezone.now(),
            region_id=region[0] if region else None,
            region=region[1] if region else "",
            actor=self.by.name,
            actor_id=self.by.user_id,
            address=self.by.address,
            request_id=self.by.request_id,
            session=self.by.session,
            action=self.action,
            outcome=outcome,
            target_kind=target.audit_kind if target else "",
            target_id=str(target.pk) if target else "",
            target=target.audit_name[:200] if target else "",
            facts=self.facts | ({DIFF: self._diff} if self._diff and outcome == OK else {}),
            operation=self.operation if outcome == OK else None,
            prev_hash=head.hash,
        )
        entry.hash = entry.digest()
        entry.save()
        AuditHead.objects.filter(pk=1).update(seq=entry.seq, hash=entry.hash)
        self._mark_stamped(entry.seq)
        announce()
        return entry

    def _mark_stamped(self, seq: int) -> None:
        """One query for each kind of row, up to 500 of them."""
        of_class: dict[type[models.Model], list[Any]] = defaultdict(list)
        for row in self._stamped:
            of_class[type(row)].append(row.pk)
            row.changed_seq = seq  # type: ignore[attr-defined]
        for model, ids in of_class.items():
            for start in range(0, len(ids), 500):
                model._default_manager.filter(pk__in=ids[start : start + 500]).update(changed_seq=seq)
