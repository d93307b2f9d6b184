"""Watches the audit log from the control plane's side: walks along its chain again and again, and signs where it has come to.

Two walks, taken in small parts so that gateways never wait for them. One goes with the log's end and signs a checkpoint every 1,000
entries, or after a minute when something was written. The other begins anew every hour, at the first entry there is.
Nothing here stops anything else: what fails is told in the log of the process, in a status row for the console, and in an entry.
"""

import logging
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta

from django.utils import timezone

from secrets_app import chain, keyring
from secrets_app.actor import Actor
from secrets_app.checkpoints import Sink, marks
from secrets_app.db import reading
from secrets_app.errors import CannotSign
from secrets_app.kms.signing import Signer, load_signer, load_verifier
from secrets_app.logbook import rows
from secrets_app.models import AuditEntry, AuditHead, AuditWatch, Deployment, SealedEpoch, deed

log = logging.getLogger(__name__)

EVERY = 1000  # entries
OR_AFTER = timedelta(seconds=60)
PART = 1000  # entries walked at a time: about 10 ms
PACE = 0.1  # seconds between two parts
REST = 1.0  # seconds between two looks when there is nothing to do
ROUND = timedelta(hours=1)
TELL = timedelta(hours=1)  # between two entries that state checkpoints, so that they do not fill what they vouch for
OWN = ("audit.checkpoint", "audit.miss_checkpoint", "audit.verify")


class Notary:
    """One thread's. `step` is called again and again."""

    def __init__(self, sink: Sink, by: Actor) -> None:
        self._sink, self._by = sink, by
        self._signer: Signer | None = None
        self._tip: chain.Walk | None = None  # to the log's end
        self._written_seq, self._written_at = 0, timezone.now()
        self._round: chain.Walk | None = None  # around all of it
        self._round_base = 0
        self._next_round = timezone.now()
        self._retry_at = timezone.now()

    def step(self) -> float:
        """One part of each walk. Seconds until the next step. Raises DatabaseError."""
        now = timezone.now()
        waits = [self._patrol(now)]
        if now >= self._retry_at:
            try:
                waits.append(self._keep_up(now))
            except (OSError, CannotSign) as trouble:
                self._miss(now, _words(trouble))
            except chain.Broken as broken:
                self._miss(now, f"Entry {broken.seq} of the audit log is wrong: {broken.why}.")
                self._judge(now, broken.seq, broken)
        return min(waits)

    # The log's end

    def _keep_up(self, now: datetime) -> float:
        """Raises OSError, CannotSign and Broken."""
        if self._signer is None:
            self._signer = load_signer(keyring.folder())
        tip = self._tip = self._tip or self._from_last_checkpoint(self._signer)
        if not _is_at_the_end(tip) and not _walk_on(tip):
            return PACE
        if self._is_due(tip.seq, now):
            self._write(self._signer, tip, now)
        return REST

    def _from_last_checkpoint(self, signer: Signer) -> chain.Walk:
        before = self._sink.last(signer.verifier)
        sealed = SealedEpoch.chained(signer.verifier)
        if before is None or before.seq < sealed.seq:
            return sealed
        found = sealed if before.seq == sealed.seq else AuditEntry.start(before.seq)
        if found.head != before.hash:
            raise chain.Broken(before.seq, f"it is not the one that {before.mark.source} names")
        self._written_seq = before.seq
        AuditWatch.note(checkpoint_seq=before.seq, sink=str(self._sink.file)[:400], public_key=signer.verifier.public)
        return found

    def _is_due(self, seq: int, now: datetime) -> bool:
        if seq <= self._written_seq:
            return False
        if seq - self._written_seq >= EVERY:
            return True
        if now - self._written_at < OR_AFTER:
            return False
        return AuditEntry.objects.filter(seq__gt=self._written_seq).exclude(action__in=OWN).exists()

    def _write(self, signer: Signer, tip: chain.Walk, now: datetime) -> None:
        made = self._sink.append(signer, Deployment.here().pk, tip.seq, tip.head, now)
        self._written_seq, self._written_at = tip.seq, now
        if made is None:
            return
        watch = AuditWatch.here()
        recovered = bool(watch.trouble)
        AuditWatch.note(
            checkpoint_seq=tip.seq, checkpoint_at=now, trouble="", trouble_since=None, untold=watch.untold + 1,
            sink=str(self._sink.file)[:400], public_key=signer.verifier.public,
        )  # fmt: skip
        if recovered or watch.told_at is None or now - watch.told_at >= TELL:
            AuditWatch.note(told_at=now, told_seq=tip.seq, untold=0)
            with deed(self._by, "audit.checkpoint", Deployment.here()) as entry:
                entry.facts = {"count": watch.untold + 1, "upto": tip.seq, "head": tip.head}

    def _miss(self, now: datetime, why: str) -> None:
        """Looked at again from the last good state, in a minute: the file may be back, or the database restored."""
        self._signer = self._tip = None
        self._retry_at = now + OR_AFTER
        if AuditWatch.here().trouble == why[:400]:
            return
        log.error("No checkpoint of the audit log is written: %s", why)
        AuditWatch.note(trouble=why[:400], trouble_since=now, sink=str(self._sink.file)[:400])
        with deed(self._by, "audit.miss_checkpoint", Deployment.here()) as entry:
            entry.facts = {"why": why[:300], "upto": self._written_seq}

    # All of it

    def _patrol(self, now: datetime) -> float:
        if self._round is None and now < self._next_round:
            return REST
        try:
            walk = self._round = self._round or self._begin_round()
            if not _walk_on(walk):
                return PACE
            self._judge(now, walk.seq, None)
        except chain.Broken as broken:
            if self._epochs_moved():
                self._round = None
                return PACE
            self._judge(now, broken.seq, broken)
        self._round, self._next_round = None, now + ROUND
        return REST

    def _begin_round(self) -> chain.Walk:
        """Raises Broken."""
        vouched: Iterator[chain.Mark] = iter(())
        verifier = None
        with suppress(OSError, CannotSign):  # told by the other walk
            verifier = load_verifier(keyring.folder())
            vouched = marks(self._sink.file, verifier, Deployment.here().pk)
        last = SealedEpoch.last()
        self._round_base = last.last_seq if last else 0
        start = SealedEpoch.chained(verifier)
        return chain.Walk(start.seq, start.head, marks=vouched)

    def _epochs_moved(self) -> bool:
        """Entries went into an archive while the walk was among them."""
        last = SealedEpoch.last()
        return last is not None and last.last_seq > self._round_base

    def _judge(self, now: datetime, upto: int, broken: chain.Broken | None) -> None:
        """An entry states the first verdict, and every other one."""
        before = AuditWatch.here()
        if broken is None:
            AuditWatch.note(verified_seq=upto, verified_at=now, bad_seq=None, bad_why="")
        else:
            AuditWatch.note(bad_seq=broken.seq, bad_why=broken.why[:300])
        if before.bad_seq == (broken.seq if broken else None) and (broken or before.verified_at):
            return
        if broken:
            log.error("The audit log is broken at entry %d: %s.", broken.seq, broken.why)
        with deed(self._by, "audit.verify", Deployment.here()) as entry:
            entry.facts = {"verdict": verdict_of(broken), "upto": upto, "why": broken.why[:300] if broken else None}


def verdict_of(broken: chain.Broken | None) -> str:
    return "whole" if broken is None else "cut" if broken.cut else "broken"


def _is_at_the_end(walk: chain.Walk) -> bool:
    """One question, where a walk asks several: nothing was written since the last look, most of the time."""
    return AuditHead.objects.filter(pk=1, seq=walk.seq, hash=walk.head).exists()


def _walk_on(walk: chain.Walk) -> bool:
    """One part of the way. Whether the end was reached; raises Broken."""
    before = walk.entries
    with reading():
        head = AuditHead.objects.filter(pk=1).first() or AuditHead()
        with closing(rows(walk.seq, most=PART)) as found:
            walk.follow(found)
    if walk.entries - before == PART and walk.seq != head.seq:
        return False
    walk.arrive(head.seq, head.hash)
    return True


def _words(trouble: OSError | CannotSign) -> str:
    return trouble.message if isinstance(trouble, CannotSign) else f"{trouble.strerror or trouble}: {trouble.filename or ''}".rstrip(": ")
