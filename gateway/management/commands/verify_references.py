import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway.bookkeeping import examine, repair
from secrets_app.actor import Actor
from secrets_app.models import Region

WRONG = 2  # exit code


class Command(BaseCommand):
    help = (
        "Recount each key's holders and look for references whose holder is gone. Exit code 2 when something is wrong; --repair mends it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        began, references, wrong = time.monotonic(), 0, 0
        for region in Region.objects.order_by("name"):
            found = examine(region)
            references += found.references
            for line in found.lines():
                self.stdout.write(f"{region.name}: {line}")
            if found.wrong and options["repair"]:
                repair(region, by=Actor.system("verify_references"))
                self.stdout.write(f"{region.name}: mended.")
            wrong += found.wrong
        took = time.monotonic() - began
        self.stdout.write(f"{references} references, {wrong} wrong ({took:.1f} s).")
        if wrong and not options["repair"]:
            raise CommandError("Run this again with --repair to mend it.", returncode=WRONG)
