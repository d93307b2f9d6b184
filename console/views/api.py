"""The API: keys with who refers to them, consumers, and the audit log from an entry on. README shows each with curl."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse

from console.api import api, body_of
from console.middleware import noted, takes
from console.requests import ConsoleRequest
from gateway.models import Consumer
from secrets_app import chain
from secrets_app.errors import Invalid
from secrets_app.models import AuditEntry, Key
from secrets_app.models.rotation import OVERLAPS
from secrets_app.operations import following
from secrets_app.plaintext import Plaintext

AT_ONCE = 200  # rows of one answer


@takes("GET", "POST")
@api("key.view")
def keys(request: ConsoleRequest) -> HttpResponse:
    """In the order of their names, `?after=<name>` on. POST stores a new one."""
    if request.method == "POST":
        return _create(request)
    found = Key.visible_to(request.actor, request.region).filter(name_folded__gt=_after(request).lower()).order_by("name_folded")
    rows = list(found[:AT_ONCE])
    return JsonResponse({"keys": [_key(key) for key in rows], "next": rows[-1].name if len(rows) == AT_ONCE else None})


@takes("GET")
@api("key.view")
def key(request: ConsoleRequest, name: str) -> HttpResponse:
    """With who refers to it, and where."""
    found = Key.visible_to(request.actor, request.region).find(name)
    holders = found.references.order_by("holder_kind", "holder_id", "path").values_list("holder_kind", "holder_id", "path")
    told = [{"kind": kind, "id": str(pk), "path": path} for kind, pk, path in holders[:1000]]
    return JsonResponse(_key(found) | {"holders": told})


@takes("POST")
@api("key.rotate")
def rotate(request: ConsoleRequest, name: str) -> HttpResponse:
    found, given = Key.visible_to(request.actor, request.region).find(name), body_of(request)
    usual = 24 if found.references.filter(inbound=True).exists() else 0  # nobody keeps the old value of a key that callers do not present
    overlap = given.get("overlap_hours", usual)
    if type(overlap) is not int or overlap not in OVERLAPS:
        raise Invalid({"overlap_hours": [f"Send one of {', '.join(map(str, OVERLAPS))}."]})
    try:
        version = found.rotate(_value(given), overlap, by=request.actor, once=_once(request))
    except Invalid as refused:  # pages have another name for this field
        raise Invalid({"overlap_hours" if field == "overlap" else field: said for field, said in refused.errors.items()}) from None
    return JsonResponse(_key(Key.objects.get(pk=found.pk)) | {"version": version.number})


@takes("POST")
@api("key.disable")
def disable(request: ConsoleRequest, name: str) -> HttpResponse:
    found = Key.visible_to(request.actor, request.region).find(name)
    found.disable(by=request.actor)
    return JsonResponse(_key(found))


@takes("POST")
@api("key.enable")
def enable(request: ConsoleRequest, name: str) -> HttpResponse:
    found = Key.visible_to(request.actor, request.region).find(name)
    found.enable(by=request.actor)
    return JsonResponse(_key(found))


@takes("GET")
@api("consumer.view")
def consumers(request: ConsoleRequest) -> HttpResponse:
    found = Consumer.visible_to(request.actor, request.region).filter(name__gt=_after(request)).order_by("name")
    rows = list(found[:AT_ONCE])
    told = [{"name": one.name, "description": one.description, "enabled": one.enabled} for one in rows]
    return JsonResponse({"consumers": told, "next": rows[-1].name if len(rows) == AT_ONCE else None})


@takes("GET")
@noted
@api("audit.view")
def audit(request: ConsoleRequest) -> StreamingHttpResponse:
    """JSON lines behind `?after=<seq>`, at most 1,000: ask again behind the last one."""
    after = _after(request)
    seq = int(after) if after.isascii() and after.isdigit() and len(after) < 18 else 0
    rows = AuditEntry.visible_to(request.actor).filter(seq__gt=seq).order_by("seq").values(*chain.FIELDS, "hash", "prev_hash")[:1000]
    return StreamingHttpResponse(_lines(list(rows)), content_type="application/jsonl")


def _create(request: ConsoleRequest) -> HttpResponse:
    request.actor.require("key.create", request.region)
    given = body_of(request)
    name, description = (given.get(field, "") for field in ("name", "description"))
    if not isinstance(name, str) or not isinstance(description, str):
        raise Invalid({"name": ["Send the name and the description as strings."]})
    key = Key.create(request.region, name, _value(given), by=request.actor, description=description, once=_once(request))
    return JsonResponse(_key(key), status=201)


def _key(key: Key) -> dict[str, Any]:
    """Never a value: there is none to be had here."""
    return {
        "name": key.name,
        "description": key.description,
        "enabled": key.enabled,
        "version": key.version,
        "references": key.reference_count,
        "rotated_at": key.rotated_at.isoformat(),
        "created_at": key.created_at.isoformat(),
    }


def _value(given: dict[str, Any]) -> Plaintext:
    value = given.get("value")
    if not isinstance(value, str):
        raise Invalid({"value": ["Send the value as a string."]})
    return Plaintext(value)


def _once(request: ConsoleRequest) -> UUID | None:
    """The same Idempotency-Key is the same deed: sent again it answers 409 already_done, and nothing is done twice."""
    sent = request.headers.get("Idempotency-Key", "")
    return following(b"api", f"{request.actor.user_id} {sent[:200]}".encode()) if sent else None


def _after(request: ConsoleRequest) -> str:
    return request.GET.get("after", "")[:200]


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, default=str, sort_keys=True) + "\n"
