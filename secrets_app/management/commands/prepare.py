from typing import Any

from django.core.management.base import BaseCommand, CommandError

from secrets_app import setup
from secrets_app.actor import Actor
from secrets_app.errors import VaultError
from secrets_app.hardening import close_data_folder


class Command(BaseCommand):
    help = (
        "Set a production deployment up after `migrate`: keyring, master key, first region. "
        "Run again, it checks the keyring and changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        by = Actor.system("prepare")
        for trouble in close_data_folder():
            self.stderr.write(trouble)
        try:
            made = setup.prepare(by)
            region, made_region = setup.first_region(by)
        except VaultError as refused:
            raise CommandError(refused.message) from None
        self.stdout.write(
            "Keyring and master key made. Back kms/ up, apart from the database." if made else "The keyring is the one this database knows."
        )
        if made_region:
            self.stdout.write(f"Region {region.name} made.")
