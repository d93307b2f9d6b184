import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from secrets_app.models import AuditEntry

BROKEN = 2  # exit code


class Command(BaseCommand):
    help = (
        "Check the hash chain of the whole audit log. Exit code 2 and the first bad entry when it is broken. Write the printed head "
        "down elsewhere: a log that was rewritten from some entry on, head and all, is found only by comparing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        verdict = AuditEntry.verify()
        if verdict.bad is not None:
            raise CommandError(f"The audit log is broken at entry {verdict.bad}: {verdict.why}.", returncode=BROKEN)
        took = time.monotonic() - began
        self.stdout.write(f"{verdict.entries} entries, the chain is whole ({took:.1f} s). Head: {verdict.entries} {verdict.head}")
