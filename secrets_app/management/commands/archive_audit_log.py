import zlib
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError
from django.utils import timezone

from secrets_app import archive, keyring
from secrets_app.actor import Actor
from secrets_app.chain import Broken
from secrets_app.checkpoints import Misfit, read
from secrets_app.errors import VaultError
from secrets_app.kms.signing import load_signer
from secrets_app.models import Deployment

AGE = timedelta(days=400)


class Command(BaseCommand):
    help = (
        "Move the oldest entries of the audit log into an archive file, up to the last checkpoint before a day: written, read back, signed "
        "and recorded, and only then deleted from the database. Needs kms/checkpoints.key. Nothing else ever deletes an entry. Keep the "
        "file: verify_audit_log --archive checks it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--before", type=_day, required=True, metavar="DATE", help="2026-01-31: entries of earlier days, in UTC")
        parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="a new file, such as audit-2025.jsonl.gz")
        parser.add_argument(
            "--checkpoints",
            type=Path,
            default=settings.AUDIT_SINK,
            metavar="FILE",
            help="where the epoch may end (default: CONSOLE_AUDIT_SINK)",
        )
        parser.add_argument("--although-younger-than-400-days", action="store_true", help="also entries that should still be at hand")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["before"] > timezone.now() - AGE and not options["although_younger_than_400_days"]:
            raise CommandError(
                f"Entries stay in the log for {AGE.days} days. Name an earlier day, or say --although-younger-than-400-days if nobody will "
                "need to look at them in the console."
            )
        file = options["to"]
        try:
            signer = load_signer(keyring.folder())
            checkpoints = read(options["checkpoints"], signer.verifier, Deployment.here().pk)
            plan = archive.Plan.before(options["before"], checkpoints)
            epoch = archive.seal(plan, file, signer, by=Actor.system("archive_audit_log"))
            gone = archive.let_go()
        except VaultError as refused:
            raise CommandError(refused.message) from None
        except Misfit as misfit:
            raise CommandError(f"Nothing was deleted: {misfit}.") from None
        except Broken as broken:
            raise CommandError(f"Nothing was deleted: the audit log is broken at entry {broken.seq}, {broken.why}.", returncode=2) from None
        except (EOFError, zlib.error):
            raise CommandError(f"Nothing was deleted: {file} could not be read back.") from None
        except ProgrammingError:  # insufficient_privilege
            raise CommandError(
                f"Nothing was deleted: the role in DATABASE_URL may not. Remove {file}, and run this as the one that owns the tables."
            ) from None
        except OSError as error:
            raise CommandError(f"Nothing was deleted: {error.filename or file}: {error.strerror or error}.") from None
        self.stdout.write(f"Entries {epoch.first_seq} to {epoch.last_seq} stand in {file} (SHA-256 {epoch.digest}).")
        self.stdout.write(f"{gone} entries were deleted from the database. Keep the file: nothing else holds them.")


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no day. Write one as 2026-01-31.") from None
