"""What a region's gateways shall serve, as plain frozen values: the one thing that compiling reads.

An inventory holds names, addresses and version ids, never a key's value. What is accepted *now* is already decided in it,
so compiling needs no clock; `next_change` says when an overlap ends and the answer would differ.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from gateway import models as rows
from gateway.address import parse_address
from gateway.sources import Source
from secrets_app.db import reading
from secrets_app.models import AuditHead, KeyVersion, Reference


@dataclass(frozen=True, slots=True)
class Version:
    """One sealed value that counts now. The resolver maps `id` to its Plaintext."""

    id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Use:
    """One reference of a holder to a key. `versions` is newest first, at most two, and empty while the key is disabled."""

    path: str  # "api_keys[0]", "credentials[0]"
    key_id: UUID
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Credential:
    use: Use
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Consumer:
    """An enabled consumer; a disabled one is left out, and its callers meet 401."""

    id: int
    name: str
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """An AI service. `keys` are sent upstream in `header`, each value behind `prefix`."""

    id: int
    name: str
    scheme: str  # "http" or "https"
    host: str
    port: int
    path: str  # of the service address, without a trailing slash: "/v1", or ""
    header: str  # lower case: "authorization", "x-api-key", "api-key", "x-goog-api-key"
    prefix: str  # "Bearer " or ""
    extra_headers: tuple[tuple[str, str], ...]  # fixed ones a supplier wants, e.g. ("anthropic-version", "2023-06-01")
    keys: tuple[Use, ...]
    consumer_authentication: bool
    authorized: tuple[str, ...]  # names of consumers, sorted; disabled ones may stand here


@dataclass(frozen=True, slots=True)
class Instance:
    id: UUID
    ref: str  # "gw-..."
    services: tuple[Service, ...]  # by name


@dataclass(frozen=True, slots=True)
class Inventory:
    """One region at one moment: everything up to audit entry `seq` is in it."""

    region_id: UUID
    seq: int
    consumers: tuple[Consumer, ...]  # by name
    instances: tuple[Instance, ...]  # by ref
    next_change: datetime | None


def load(region_id: UUID) -> Inventory:
    """Read a region in one consistent view: seven queries whatever its size, values instead of model instances."""
    with reading():
        now = timezone.now()
        seq = AuditHead.objects.values_list("seq", flat=True).filter(pk=1).first() or 0
        versions, next_change = _accepted_versions(region_id, now)
        uses = _uses(region_id, versions)
        return Inventory(
            region_id=region_id,
            seq=seq,
            consumers=_consumers(region_id, uses),
            instances=_instances(region_id, uses),
            next_change=next_change,
        )


def _accepted_versions(region_id: UUID, now: datetime) -> tuple[dict[UUID, list[Version]], datetime | None]:
    accepted = (
        KeyVersion.accepted(now)
        .filter(key__region_id=region_id, key__reference_count__gt=0, key__enabled=True)
        .order_by("key_id", "-number")
        .values_list("key_id", "id", "number", "stage", "accepted_until")
    )
    versions: dict[UUID, list[Version]] = defaultdict(list)
    ends: list[datetime] = []
    for key_id, version_id, number, stage, until in accepted:
        versions[key_id].append(Version(version_id, number))
        if stage == KeyVersion.PREVIOUS and until:
            ends.append(until)
    return versions, min(ends, default=None)


def _uses(region_id: UUID, versions: dict[UUID, list[Version]]) -> dict[tuple[str, int], list[Use]]:
    references = (
        Reference.objects.filter(key__region_id=region_id)
        .order_by("holder_kind", "holder_id", "path")
        .values_list("holder_kind", "holder_id", "path", "key_id")
    )
    uses: dict[tuple[str, int], list[Use]] = defaultdict(list)
    for kind, holder_id, path, key_id in references:
        uses[kind, holder_id].append(Use(path, key_id, tuple(versions.get(key_id, ()))))
    return uses


def _consumers(region_id: UUID, uses: dict[tuple[str, int], list[Use]]) -> tuple[Consumer, ...]:
    consumers = (
        rows.Consumer.objects.filter(region_id=region_id, enabled=True)
        .order_by("name")
        .values_list("id", "name", "source_kind", "source_name")
    )
    sources: dict[tuple[str, str], tuple[Source, ...]] = {}
    return tuple(
        Consumer(
            id=pk,
            name=name,
            credentials=tuple(Credential(use, sources.setdefault((kind, source), (Source(kind, source),))) for use in uses["consumer", pk]),
        )
        for pk, name, kind, source in consumers
    )


def _instances(region_id: UUID, uses: dict[tuple[str, int], list[Use]]) -> tuple[Instance, ...]:
    authorized: dict[int, list[str]] = defaultdict(list)
    for service_id, name in (
        rows.Authorization.objects.filter(service__instance__region_id=region_id)
        .order_by("service_id", "consumer__name")
        .values_list("service_id", "consumer__name")
    ):
        authorized[service_id].append(name)
    services: dict[UUID, list[Service]] = defaultdict(list)
    for row in rows.Service.objects.filter(instance__region_id=region_id).order_by("name"):
        services[row.instance_id].append(_service(row, uses["ai_service", row.pk], authorized[row.pk]))
    instances = rows.Instance.objects.filter(region_id=region_id).order_by("ref").values_list("id", "ref")
    return tuple(Instance(pk, ref, tuple(services[pk])) for pk, ref in instances)


def _service(row: rows.Service, keys: list[Use], authorized: list[str]) -> Service:
    address, shape = parse_address(row.address), row.shape
    return Service(
        id=row.pk,
        name=row.name,
        scheme=address.scheme,
        host=address.host,
        port=address.port,
        path=address.path,
        header=shape.header,
        prefix=shape.prefix,
        extra_headers=shape.extra_headers,
        keys=tuple(keys),
        consumer_authentication=row.consumer_authentication,
        authorized=tuple(authorized),
    )
