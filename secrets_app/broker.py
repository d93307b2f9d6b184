"""Opens a value for a person: the second of the two places where a sealed value is opened. Only the control plane imports it.

It believes nothing that the web process says. An errand counts for the audit entry behind it and for no more: what is asked, about which
key and version, and by whom is read from that entry, which has to be of this very errand and public key, part of the chain, not older
than a minute and not used before. Whether that person may, and whether the deployment allows it, is looked up anew. So nobody, be it
code in the web process, gets a value without an entry.

What came of it is an entry too, written with the answer in one transaction: two processes that are at the same errand answer it once.
"""

import hmac
import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from secrets_app import chain, keyring
from secrets_app.actor import Actor
from secrets_app.channel import About, Answer, answered, named, proof
from secrets_app.db import reading
from secrets_app.envelope import Context, Sealed, open_sealed
from secrets_app.errors import AlreadyDone, CannotOpen, Conflict
from secrets_app.models import AuditEntry, AuditHead, Deployment, Errand, Key, KeyVersion, User, deed
from secrets_app.models.audit import OK
from secrets_app.models.errand import LIFETIME
from secrets_app.models.reasons import AN_HOUR, why_not
from secrets_app.models.refusals import record_refusal
from secrets_app.models.region import REVEAL_TWO
from secrets_app.models.second import APPROVE, ASK, Request

log = logging.getLogger(__name__)

REVEAL = "key.reveal"
SKEW = timedelta(seconds=5)  # by which the web process's clock may be ahead
AT_ONCE = 50
_DIGITS = 10


class Broker:
    """`others` serves errands of other actions; it is handed those that are admitted, and answers them by answer()."""

    def __init__(self, by: Actor, others: "Callable[[Broker, Errand, AuditEntry], None] | None" = None) -> None:
        self._by, self._others = by, others

    def serve(self) -> None:
        """Every errand that waits. At rest this is one query, of an empty table."""
        waiting = list(Errand.objects.filter(answer=None, taken=False).order_by("made_at")[:AT_ONCE])
        for errand in waiting:
            self._serve(errand)
        if waiting:
            Errand.sweep()

    def _serve(self, errand: Errand) -> None:
        entry = self._entry_behind(errand)
        if entry is None:
            log.warning("Errand %s has no audit entry behind it: nothing is opened for it.", errand.pk)
            Errand.objects.filter(pk=errand.pk).delete()
            record_refusal(self._by, "key.show", reason="forged")
        elif entry.action == REVEAL:
            self._reveal(errand, entry)
        elif self._others:
            self._others(self, errand, entry)

    def _entry_behind(self, errand: Errand) -> AuditEntry | None:
        """Of this very errand and public key, part of the chain; None for what somebody made up."""
        public, deployment = bytes(errand.public_key), Deployment.here().pk
        if not hmac.compare_digest(bytes(errand.proof), proof(Errand.shared(), deployment, errand.pk, public)):
            return None
        entry = AuditEntry.objects.filter(operation=errand.pk, outcome=OK).first()
        if entry is None or fact(entry, "public_key") != named(public) or not _is_linked(entry):
            return None
        return entry

    def _reveal(self, errand: Errand, entry: AuditEntry) -> None:
        key = Key.objects.filter(pk=_uuid(entry.target_id)).select_related("region").first()
        why, sealed = "gone", None
        if (
            key
            and (why := self.why_not_now(errand, entry) or why_not(key, actor_of(entry), AN_HOUR) or _why_not_approved(key, entry)) == ""
        ):
            try:
                sealed = self._opened(errand, entry, key)
            except CannotOpen as closed:
                why = closed.code
        if key is None or sealed is None:
            self.refuse(errand, entry, "key.show", key, why)
            return
        try:
            with deed(self._by, "key.show", key, once=Errand.outcome_of(errand.pk)) as outcome:
                outcome.facts = {"version": _version(entry), "person": entry.actor, "entry": entry.seq}
                if not Errand.objects.filter(pk=errand.pk, answer=None).update(answer=sealed):
                    raise Conflict("Whoever asked does not wait any more.")
        except AlreadyDone:
            self.refuse(errand, entry, "key.show", key, "already_done")
        except Conflict:
            return  # the deed has recorded it
        log.info("Value of key %s handed over for audit entry %d.", key.pk, entry.seq)

    def _opened(self, errand: Errand, entry: AuditEntry, key: Key) -> bytes:
        """The value, sealed for whoever asked. Raises CannotOpen."""
        version = KeyVersion.objects.filter(key=key, number=_version(entry)).first()
        if version is None:
            raise CannotOpen()
        deployment = Deployment.here()
        context = Context(deployment.pk, key.region_id, key.pk, version.pk)
        sealed = Sealed(bytes(version.body), bytes(version.wrapped), version.kek_id)
        value = open_sealed(sealed, context, keyring.unwrapper(deployment.check_values))
        return answered(Answer(True, value.expose()), bytes(errand.public_key), self._about(errand, entry), Errand.shared())

    # Also for errands of other actions

    def why_not_now(self, errand: Errand, entry: AuditEntry) -> str:
        age = timezone.now() - entry.at
        if not -SKEW <= age <= LIFETIME:
            return "expired"
        if AuditEntry.objects.filter(operation=Errand.outcome_of(errand.pk)).exists():
            return "already_done"
        return ""

    def refuse(self, errand: Errand, entry: AuditEntry, action: str, about: Key | None, why: str) -> None:
        """Told to whoever asked, and to the audit log."""
        log.warning("Audit entry %d: nothing was opened for it (%s).", entry.seq, why)
        record_refusal(self._by, action, about, reason=why)
        self.answer(errand, entry, Answer(False, why.encode()))

    def answer(self, errand: Errand, entry: AuditEntry, answer: Answer) -> None:
        try:
            sealed = answered(answer, bytes(errand.public_key), self._about(errand, entry), Errand.shared())
        except CannotOpen:  # to a public key like this nothing can be said
            Errand.objects.filter(pk=errand.pk).delete()
        else:
            Errand.objects.filter(pk=errand.pk, answer=None).update(answer=sealed)

    def _about(self, errand: Errand, entry: AuditEntry) -> About:
        return About(Deployment.here().pk, errand.pk, entry.action, entry.target_id, _version(entry))


def actor_of(entry: AuditEntry) -> Actor:
    """The person who asked, with what they may do now. Somebody without any right where there is none, or they are disabled by now."""
    person = User.objects.filter(pk=entry.actor_id or UUID(int=0), username=entry.actor, is_active=True).first()
    return person.as_actor() if person else Actor(entry.actor, frozenset())


def _why_not_approved(key: Key, entry: AuditEntry) -> str:
    """Where a second person is needed: whether the log says that one approved this very request, and they may still do so."""
    if Deployment.here().reveal_policy() != REVEAL_TWO:
        return ""
    asked = AuditEntry.objects.filter(operation=_uuid(fact(entry, "approval")), action=ASK, outcome=OK, target_id=str(key.pk)).first()
    if asked is None:
        return "not_approved"
    request, person = Request.of(asked, before=entry.seq), actor_of(entry)
    decision = request.decision
    if not request.allows(person, _version(entry)) or decision is None or not _is_linked(asked) or not _is_linked(decision):
        return "not_approved"
    second = actor_of(decision)
    about_it = decision.target_id == str(key.pk) and second.user_id is not None and second.may(APPROVE, key)
    return "" if about_it else "not_approved"


def fact(entry: AuditEntry, name: str) -> str:
    """As text. "" where the entry states nothing of that name."""
    return str(entry.facts.get(name, "")) if isinstance(entry.facts, dict) else ""


def _version(entry: AuditEntry) -> int:
    said = fact(entry, "version")
    return int(said) if said.isdecimal() and len(said) < _DIGITS else 0


def _is_linked(entry: AuditEntry) -> bool:
    """It says what was written, and both its neighbours know it. A row put in past the log would break the chain there."""
    with reading():  # one state: the log may grow between two looks
        before = AuditEntry.objects.filter(seq=entry.seq - 1).values_list("hash", flat=True).first() or chain.GENESIS
        after = AuditEntry.objects.filter(seq=entry.seq + 1).values_list("prev_hash", flat=True).first()
        head = AuditHead.objects.filter(pk=1, seq=entry.seq).values_list("hash", flat=True).first()
    return entry.prev_hash == before and entry.hash == entry.digest() and entry.hash in (after, head)


def _uuid(text: str) -> UUID:
    """The nil UUID, which nothing has, for what is none."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
