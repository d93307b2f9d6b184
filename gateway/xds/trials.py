"""Makes the calls by which people test a connection. Everything that matters is looked up here: the address, the key, who may.

It sends a key where the gateway would send it, and shows what came back without it: it is no way to have a key sent elsewhere, nor to
look around in a network, or on the machine that it runs on (unless CONSOLE_PROBE_LOOPBACK says that back ends are there).
"""

from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from gateway.address import Address, ends_of, is_here, parse_address
from gateway.compile.values import header_safe
from gateway.embedded import find_ca_bundle
from gateway.models import Node, Service
from gateway.models.trial import A_MINUTE, ACTIONS, Trial, tried_lately, use_at
from gateway.probe.asking import Question, question
from gateway.probe.calling import CallFailed, Reply, call
from gateway.probe.redacting import redacted
from secrets_app.actor import Actor
from secrets_app.broker import Broker, actor_of, fact
from secrets_app.channel import Answer
from secrets_app.errors import AlreadyDone, Conflict, Invalid
from secrets_app.models import AuditEntry, Errand, KeyVersion, Reference, deed
from secrets_app.resolver import Resolver

Call = Callable[[Address, list, Question, tuple[str, bytes] | None, Path | None], Reply]  # type: ignore[type-arg]


class Trials:
    def __init__(self, by: Actor, call: Call = call) -> None:
        self._by, self._call = by, call

    def __call__(self, broker: Broker, errand: Errand, entry: AuditEntry) -> None:
        """To its end, which may take as long as the back end takes: not for a thread that others wait for."""
        if not Errand.objects.filter(pk=errand.pk, answer=None, taken=False).update(taken=True):
            return  # somebody is at it
        service = _service(entry)
        if why := broker.why_not_now(errand, entry) or _why_not(entry, service):
            broker.refuse(errand, entry, "service.call", None, why)
            return
        assert service
        trial = self._tried(service, fact(entry, "path"))
        try:
            with deed(self._by, "service.call", service, once=Errand.outcome_of(errand.pk)) as outcome:
                outcome.facts = {"person": entry.actor, "entry": entry.seq, "result": trial.result}
                outcome.facts |= {"status": trial.status, "milliseconds": trial.milliseconds} if trial.status else {}
        except (AlreadyDone, Conflict):
            broker.refuse(errand, entry, "service.call", None, "already_done")
            return
        broker.answer(errand, entry, Answer(True, trial.packed()))

    def _tried(self, service: Service, path: str) -> Trial:
        asked = question(service, path)
        use = use_at(service, path)
        key, value, why = _shown(service, use) if use else (None, b"", "")
        if why:
            return Trial(why, str(asked))
        address = parse_address(service.address)
        try:
            ends = ends_of(address, {settings.WEB_PORT, settings.XDS_PORT, *Node.listen_ports()})
        except Invalid:
            return Trial("ours", str(asked))
        if not settings.PROBE_LOOPBACK and any(map(is_here, ends)):
            return Trial("here", str(asked))
        try:
            reply = self._call(address, ends, asked, key, find_ca_bundle())
        except CallFailed as failed:
            return Trial(failed.code, str(asked), message=redacted(failed.detail.encode(), "", value) or "")
        # Who shows no key is told whether somebody answers, and no more.
        shown = use is not None and reply.plain and _is_text(reply.kind)
        said = redacted(reply.body, reply.kind, value) if shown else ""
        return Trial("answered", str(asked), asked.sure, reply.status, reply.milliseconds, said or "", said is None)


def _service(entry: AuditEntry) -> Service | None:
    """Of an entry that is about one: its kind and id, and the address that stood there when it was written."""
    rows = Service.objects.filter(pk=entry.target_id) if entry.action in ACTIONS and entry.target_id.isdecimal() else Service.objects.none()
    service = rows.select_related("instance__region").first()
    if service is None or (service.audit_kind, service.address) != (entry.target_kind, fact(entry, "address")):
        return None
    return service if service.rights.test == entry.action else None


def _why_not(entry: AuditEntry, service: Service | None) -> str:
    if service is None:
        return "gone"
    person = actor_of(entry)
    if person.user_id is None or not person.may(entry.action, service):
        return "not_allowed"
    if tried_lately(person) > A_MINUTE:
        return "too_often"
    try:
        use_at(service, fact(entry, "path"))
    except Invalid:
        return "gone"
    return ""


def _shown(service: Service, use: Reference) -> tuple[tuple[str, bytes] | None, bytes, str]:
    """The header as a gateway would send it, the value in it, and why it is not sent, if it is not."""
    key = use.key
    if key.policy.refuses(service.destination):
        return None, b"", "policy"
    version = KeyVersion.objects.filter(key=key, stage=KeyVersion.CURRENT).first() if key.enabled else None
    if version is None:
        return None, b"", "disabled"
    value = Resolver().resolve([version.pk]).get(version.pk)
    if value is None:
        return None, b"", "unreadable"
    raw = value.expose()
    if not header_safe(raw):
        return None, b"", "charset"
    return (service.shape.header, service.shape.prefix.encode() + raw), raw, ""


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind.endswith(("json", "xml", "javascript"))
