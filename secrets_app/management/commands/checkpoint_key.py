from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from secrets_app import keyring
from secrets_app.errors import CannotSign
from secrets_app.kms import signing


class Command(BaseCommand):
    help = (
        "Print the public key that tells the control plane's checkpoints of the audit log. Write it down where this machine cannot "
        "change it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--new", action="store_true", help="make the pair where there is none; nothing that exists is overwritten")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = keyring.folder()
        if options["new"] and not signing.create_pair(folder):
            raise CommandError(f"There is a pair in {folder} already. Move checkpoints.key and checkpoints.pub aside to have another one.")
        try:
            self.stdout.write(signing.load_verifier(folder).public)
        except CannotSign as refused:
            raise CommandError(refused.message) from None
