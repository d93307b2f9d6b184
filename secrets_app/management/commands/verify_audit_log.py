import time
import zlib
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from secrets_app import archive, keyring
from secrets_app.actor import Actor
from secrets_app.chain import Broken, Mark
from secrets_app.checkpoints import marks
from secrets_app.errors import CannotSign, VaultError
from secrets_app.kms.signing import Verifier, load_verifier
from secrets_app.models import AuditEntry, Deployment, SealedEpoch, deed
from secrets_app.models.audit import Verdict

BROKEN, CUT = 2, 3  # exit codes


class Command(BaseCommand):
    help = (
        "Check the hash chain of the audit log, and compare it with the checkpoints that the control plane signed. Exit code 0: whole. 2: "
        "broken, with the first bad entry and why. 3: its end was cut off. Keep the public key and a copy of the checkpoints elsewhere: "
        "who can change everything on this machine cannot change those."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="first", type=_seq, metavar="SEQ", help="begin with this entry, and believe what stands before it"
        )
        parser.add_argument(
            "--checkpoints", type=Path, metavar="FILE", help="compare with these (default: CONSOLE_AUDIT_SINK, where it can be read)"
        )
        parser.add_argument("--public-key", metavar="KEY", help="64 hex digits, or a file of them (default: kms/checkpoints.pub)")
        parser.add_argument(
            "--archive",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="check an archive of older entries too; may be repeated",
        )
        parser.add_argument("--no-entry", action="store_true", help="write no entry about this check")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        verifier = self._verifier(options["public_key"])
        checkpoints = _Counted(self._marks(options["checkpoints"], verifier))
        verdict = (
            self._unsigned_epoch(verifier)
            or self._wrong_archive(options["archive"])
            or AuditEntry.verify(options["first"] and options["first"] - 1, checkpoints)
        )
        if not options["no_entry"]:
            self._enter(verdict)
        if verdict.bad is not None:
            said = f"The audit log is broken at entry {verdict.bad}: {verdict.why}."
            raise CommandError(said, returncode=CUT if verdict.cut else BROKEN)
        took = time.monotonic() - began
        self.stdout.write(f"{verdict.entries} entries, the chain is whole ({took:.1f} s). Head: {verdict.seq} {verdict.head}")
        if checkpoints.count:
            self.stdout.write(f"It passes through {checkpoints.count} signed checkpoints, the last of entry {checkpoints.last}.")
        else:
            self.stdout.write("No checkpoint was compared: a log that was written anew, or cut with its head put back, would not show.")

    def _verifier(self, given: str | None) -> Verifier | None:
        try:
            if given is None:
                return load_verifier(keyring.folder())
            return Verifier.of(Path(given).read_text("ascii", "replace") if Path(given).is_file() else given)
        except CannotSign as refused:
            if given is None:
                return None
            raise CommandError(refused.message) from None

    def _marks(self, given: Path | None, verifier: Verifier | None) -> Iterator[Mark]:
        file = given or settings.AUDIT_SINK
        if verifier is None:
            if given:
                raise CommandError("Nothing tells who signed these checkpoints: give the public key with --public-key.")
            return iter(())
        try:
            return marks(file, verifier, Deployment.here().pk)
        except OSError as error:
            if given:
                raise CommandError(f"{given} cannot be read ({error.strerror}).") from None
            return iter(())
        except VaultError as refused:
            raise CommandError(refused.message) from None

    def _unsigned_epoch(self, verifier: Verifier | None) -> Verdict | None:
        """The first sealed epoch that the control plane did not sign: what it let go may never have been archived."""
        if verifier is None:
            return None
        for epoch in SealedEpoch.objects.order_by("last_seq").iterator(chunk_size=500):
            if not epoch.is_signed(verifier):
                why = f"entries {epoch.first_seq} to {epoch.last_seq} are gone, and the record of their archive is not signed by this key"
                return Verdict(0, 0, "", epoch.first_seq, why)
        return None

    def _wrong_archive(self, files: list[Path]) -> Verdict | None:
        """The first archive that is none that was sealed, or no longer as it was."""
        for file in files:
            try:
                epoch = (
                    SealedEpoch.objects.filter(digest=archive.digest_of(file)).first()
                    or SealedEpoch.objects.filter(archive=file.name).first()
                )
                if epoch is None:
                    return Verdict(0, 0, "", 1, f"{file} is no archive of this log, or was changed and named anew")
                archive.check(file, epoch)
            except Broken as broken:
                return Verdict(0, 0, "", broken.seq, broken.why)
            except (EOFError, zlib.error):
                return Verdict(0, 0, "", 1, f"{file} cannot be unpacked")
            except OSError as error:
                raise CommandError(f"{file} cannot be read ({error.strerror or error}).") from None
        return None

    def _enter(self, verdict: Verdict) -> None:
        """A log that is broken may take no entry any more; the verdict is told all the same."""
        word = "whole" if verdict.bad is None else "cut" if verdict.cut else "broken"
        try:
            with deed(Actor.system("verify_audit_log"), "audit.verify", Deployment.here()) as entry:
                entry.facts = {"verdict": word, "upto": verdict.bad or verdict.seq, "why": verdict.why[:300] or None}
        except (DatabaseError, VaultError):
            self.stderr.write("The verdict could not be written into the audit log.")


class _Counted:
    """Marks, and how many of them were asked for."""

    def __init__(self, found: Iterator[Mark]) -> None:
        self._found, self.count, self.last = found, 0, 0

    def __iter__(self) -> Iterator[Mark]:
        for mark in self._found:
            self.count, self.last = self.count + 1, mark.seq
            yield mark


def _seq(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise ArgumentTypeError(f"{text} is no entry. Entries are numbered from 1 on.")
    return int(text)
