"""A Key is the named secret that people manage; its versions hold the sealed values. A nameless Key is inline: it belongs to one holder."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.db import locked
from secrets_app.errors import Conflict, Invalid, KeyInUse, NotFound, StaleEdit
from secrets_app.models.admitting import admitting
from secrets_app.models.deeds import Planned, deed
from secrets_app.models.finding import NAME, KeyQuerySet, search_text_of
from secrets_app.models.policy import CLOSED, Destination, Policy, PolicyField, nowhere
from secrets_app.models.reference import Reference
from secrets_app.models.region import MasterKey, OfRegion, Region
from secrets_app.models.reveal import revealed
from secrets_app.models.rotation import rolled_back, rotated
from secrets_app.models.second import Request, ask, decide
from secrets_app.models.version import GONE, KeyVersion, taken, unusable
from secrets_app.plaintext import Plaintext
from secrets_app.texts import DESCRIPTION_LIMIT, description_problem

RESERVED_NAMES = {"new", "options"}


class Key(OfRegion):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="keys")
    name = models.CharField(max_length=64, null=True)
    name_folded = models.CharField(max_length=64, null=True)
    description = models.CharField(max_length=DESCRIPTION_LIMIT, blank=True)
    search_text = models.CharField(max_length=600, blank=True)  # name and description, case folded: what a search looks through
    master_key = models.ForeignKey(MasterKey, on_delete=models.PROTECT)
    enabled = models.BooleanField(default=True)
    policy = PolicyField(blank=True, default=nowhere)  # where it may go
    version = models.PositiveIntegerField(default=0)  # number of the current version
    reference_count = models.PositiveIntegerField(default=0)  # distinct holders; changed only by _bind and _unbind
    lock_version = models.PositiveIntegerField(default=1)
    changed_seq = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)
    rotated_at = models.DateTimeField(default=timezone.now)
    rotated_by = models.CharField(max_length=150)

    objects = KeyQuerySet.as_manager()

    class Meta:
        # Name before region, so that no planner takes it for key_by_name, which a search can read alone.
        constraints: ClassVar = [models.UniqueConstraint(fields=["name_folded", "region"], name="key_name_once_a_region")]
        # One index for each order of the list. It ends with what filters and searches look at, so that a search which finds
        # nothing reads the index alone: 20 ms at 100,000 keys on SQLite, 140 ms when it had to fetch every row.
        indexes: ClassVar = [
            models.Index(fields=[*order, "enabled", "search_text"], condition=Q(name__isnull=False), name=name)
            for name, order in {
                "key_by_name": ["region", "name_folded", "reference_count"],
                "key_by_references": ["region", "-reference_count", "name_folded"],
                "key_by_rotation": ["region", "-rotated_at", "name_folded", "reference_count"],
            }.items()
        ]

    audit_kind = "key"
    widened = False  # by the deed under way: its entry tells, see _admit

    def __str__(self) -> str:
        return self.name or "inline key"

    @property
    def audit_name(self) -> str:
        return self.name or ""

    @property
    def is_inline(self) -> bool:
        return self.name is None

    @classmethod
    def visible_to(cls, actor: Actor, region: Region) -> KeyQuerySet:
        """The named keys of a region that this actor may know of; the forbidden is not found."""
        return cls.objects.filter(region=region).named() if actor.may("key.view", region) else cls.objects.none()

    @classmethod
    def name_problem(cls, region: Region, name: str) -> str:
        """Why a new key cannot have this name; empty when it can."""
        if not NAME.fullmatch(name):
            return str(_("Use 1 to 64 letters, digits and underscores."))
        if name.lower() in RESERVED_NAMES:
            return str(_("This word is an address of the console. Choose another name."))
        if cls.objects.filter(region=region, name_folded=name.lower()).exists():
            return str(_("A key with this name exists in the region. Names are compared without case."))
        return ""

    # Deeds

    @classmethod
    def create(
        cls,
        region: Region,
        name: str,
        value: Plaintext,
        *,
        by: Actor,
        description: str = "",
        master_key: MasterKey | None = None,
        once: UUID | None = None,
        generated: bool = False,
        trimmed: bool = False,
        policy: Policy = CLOSED,
    ) -> "Key":
        """Raises Invalid for a wrong or taken name, CannotSeal without the public half of the keyring, NotAllowed without key.set_policy
        for a policy."""
        with deed(by, "key.create", Planned("key", name, region), once=once) as entry:
            if policy != CLOSED:
                by.require("key.set_policy", region)
            _check_new_key(region, name, description)
            key = cls._new(region, value, by, name=name, description=description, master_key=master_key, policy=policy)
            entry.target = key
            entry.stamp(key)
            entry.facts = {"version": 1, "generated": generated, "trimmed": trimmed, "storage": str(key.master_key)}
            entry.facts |= {} if policy.closed else {"policy": str(policy)}
        return key

    def edit(self, description: str, *, lock_version: int, by: Actor) -> None:
        with deed(by, "key.edit", self) as entry:
            self._lock(lock_version)
            if wrong := description_problem(description):
                raise Invalid({"description": [wrong]})
            entry.compare({"description": self.description}, {"description": description})
            self.description = description
            self.search_text = search_text_of(self.name or "", description)
            self._save("description", "search_text")
            entry.facts = {"changed": ["description"]}

    def rotate(
        self,
        value: Plaintext,
        overlap_hours: int = 0,
        *,
        by: Actor,
        replaces: int | None = None,
        once: UUID | None = None,
        generated: bool = False,
        trimmed: bool = False,
    ) -> KeyVersion:
        """The value becomes the current version; where callers present this key, the previous one stays accepted for the overlap.

        `replaces` is the version that whoever rotates saw as the current one. Raises StaleEdit when another is by now, and Invalid when a
        holder could not use the value, or it is the one in use already.
        """
        with deed(by, "key.rotate", self, once=once) as entry:
            previous = self._lock_version(replaces)
            version = self._rotate(value, overlap_hours, by)
            entry.stamp(self)
            entry.facts = {
                "version": version.number,
                "previous": previous,
                "overlap_hours": overlap_hours,
                "holders": self.reference_count,
                "generated": generated,
                "trimmed": trimmed,
            }
        return version

    def roll_back(
        self, number: int, overlap_hours: int = 0, *, by: Actor, replaces: int | None = None, once: UUID | None = None
    ) -> KeyVersion:
        """An earlier version becomes the current one again, with its number and its value. Where callers present the key, the one that
        it replaces stays accepted for the overlap. Raises as rotate() does, NotFound for a version that never was."""
        with deed(by, "key.roll_back", self, once=once, facts={"version": number}) as entry:
            previous = self._lock_version(replaces)
            version = rolled_back(self, number, overlap_hours, by)
            entry.stamp(self)
            entry.facts |= {"previous": previous, "overlap_hours": overlap_hours, "holders": self.reference_count}
        return version

    def reveal(self, reason: str, *, by: Actor, version: int, once: UUID) -> Plaintext:
        """Of this version, which has to be the current one. See revealed()."""
        return revealed(self, reason, by, version, once)

    def ask_reveal(self, reason: str, *, by: Actor, version: int, once: UUID) -> Request:
        return ask(self, reason, by, version, once)

    def approve_reveal(self, request: UUID, *, by: Actor) -> None:
        decide(self, request, True, by)

    def deny_reveal(self, request: UUID, *, by: Actor) -> None:
        decide(self, request, False, by)

    def disable(self, *, by: Actor) -> None:
        self._switch("key.disable", False, by)

    def enable(self, *, by: Actor) -> None:
        self._switch("key.enable", True, by)

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        """Raises KeyInUse while anything refers to this key: holders that are disabled count too."""
        with deed(by, "key.delete", self) as entry:
            self._lock()
            holders = list(self.references.order_by("holder_kind", "holder_id", "path")[:100])
            if holders:
                raise KeyInUse(holders)
            entry.facts = {"versions": self._erase()}

    # What deeds of holders call inside their own deed

    @classmethod
    def _new_inline(cls, region: Region, value: Plaintext, by: Actor, *, to: Destination) -> "Key":
        """For the holder that it is entered for, which shows it to that host and to no other."""
        return cls._new(region, value, by, policy=CLOSED.with_these([replace(to, header="")]))

    def _bind(
        self,
        holder_kind: str,
        holder_id: int,
        path: str,
        *,
        to: Destination,
        by: Actor,
        inbound: bool,
        realm: str = Reference.REGION,
    ) -> Reference:
        """Refer to this key from a place in a holder, from where it goes `to`. Raises Invalid (field "key") when the holder could not use
        the value, and OutsidePolicy.

        `realm` counts where callers present the key: Reference says what it is.
        """
        try:
            self._lock()
        except NotFound:
            raise unusable(GONE) from None
        if not self.enabled:
            raise unusable(_("This key is disabled. Enable it first, or choose another."))
        self._admit([to], by)
        realm = realm if inbound else ""
        self._current().check_usable({realm} - {""})
        if inbound and self.references.filter(realm=realm).exclude(holder_kind=holder_kind, holder_id=holder_id).exists():
            raise taken(realm)
        first = not self.references.filter(holder_kind=holder_kind, holder_id=holder_id).exists()
        place = {"holder_kind": holder_kind, "holder_id": holder_id, "path": path}
        reference = Reference.objects.create(key=self, **place, inbound=inbound, realm=realm)
        if first:
            self._count(+1)
        return reference

    def _unbind(self, reference: Reference) -> None:
        """Release one place. An inline key ends with its holder's last reference to it."""
        self._lock()
        reference.delete()
        if not self.references.filter(holder_kind=reference.holder_kind, holder_id=reference.holder_id).exists():
            self._count(-1)
        if self.is_inline and not self.references.exists():
            self._erase()

    def _admit(self, to: Sequence[Destination], by: Actor, *, widens: bool = True) -> None:
        """It may go there, now or from now on. Raises OutsidePolicy. For a deed that holds the key; where `widened`, it tells so."""
        policy = admitting(self, to, by, widens=widens)
        if policy != self.policy:
            self._set_policy(policy)
            self.widened = True

    def _set_policy(self, policy: Policy) -> None:
        self.policy = policy
        self._save("policy")

    def _rotate(self, value: Plaintext, overlap_hours: int, by: Actor) -> KeyVersion:
        return rotated(self, value, overlap_hours, by)

    # Below the verbs

    @classmethod
    def _new(
        cls,
        region: Region,
        value: Plaintext,
        by: Actor,
        *,
        name: str | None = None,
        description: str = "",
        master_key: MasterKey | None = None,
        policy: Policy = CLOSED,
    ) -> "Key":
        key = cls(
            region=region,
            name=name,
            name_folded=name.lower() if name else None,
            description=description,
            search_text=search_text_of(name or "", description),
            master_key=master_key or MasterKey.first(),
            policy=policy,
            version=1,
            created_by=by.name,
            rotated_by=by.name,
        )
        version = KeyVersion.sealed(key, value, by, number=1)
        key.save(force_insert=True)
        version.save(force_insert=True)
        return key

    def _switch(self, action: str, enabled: bool, by: Actor) -> None:
        with deed(by, action, self) as entry:
            self._lock()
            if self.enabled == enabled:
                raise Conflict(_("This key is enabled already.") if enabled else _("This key is disabled already."))
            self.enabled = enabled
            self._save("enabled")
            entry.stamp(self)
            entry.facts = {"holders": self.reference_count}

    def _current(self) -> KeyVersion:
        return self.versions.get(stage=KeyVersion.CURRENT)

    def _erase(self) -> int:
        erased, _rows = self.versions.all().delete()
        type(self).objects.filter(pk=self.pk).delete()
        return erased

    def _count(self, change: int) -> None:
        type(self).objects.filter(pk=self.pk).update(reference_count=F("reference_count") + change)
        self.reference_count += change

    def _lock(self, lock_version: int | None = None) -> None:
        """Read this row anew and hold it until the deed ends. Raises NotFound when it is gone, StaleEdit when it changed meanwhile."""
        fresh = locked(type(self).objects.filter(pk=self.pk)).first()
        if fresh is None:
            raise NotFound()
        if lock_version is not None and fresh.lock_version != lock_version:
            raise StaleEdit({"description": fresh.description})
        for column in self._meta.concrete_fields:
            setattr(self, column.attname, getattr(fresh, column.attname))

    def _lock_version(self, replaces: int | None) -> int:
        """The number of the current version. Raises StaleEdit when it is not the one that is to be replaced."""
        self._lock()
        if replaces not in (None, self.version):
            raise StaleEdit({"version": self.version, "rotated_at": self.rotated_at, "rotated_by": self.rotated_by})
        return self.version

    def _save(self, *columns: str) -> None:
        self.lock_version += 1
        self.save(update_fields=[*columns, "lock_version"])


def _check_new_key(region: Region, name: str, description: str) -> None:
    problem = Key.name_problem(region, name)
    errors: dict[str, list[str]] = {"name": [problem]} if problem else {}
    if wrong := description_problem(description):
        errors["description"] = [wrong]
    if errors:
        raise Invalid(errors)
