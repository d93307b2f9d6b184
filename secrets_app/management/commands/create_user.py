import secrets
from typing import Any

import environ
from django.core.management.base import BaseCommand, CommandError, CommandParser

from secrets_app.access import ROLES
from secrets_app.actor import Actor
from secrets_app.errors import VaultError
from secrets_app.models import User


class Command(BaseCommand):
    help = (
        "Make a person. The password is taken from CONSOLE_USER_PASSWORD, or from the file that CONSOLE_USER_PASSWORD_FILE names; "
        "without either one is made and printed, this once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", action="append", default=[], choices=list(ROLES), help="may be given several times")

    def handle(self, *args: Any, **options: Any) -> None:
        given = environ.FileAwareEnv().str("CONSOLE_USER_PASSWORD", default="")
        password = given or secrets.token_urlsafe(12)
        try:
            user = User.create(options["username"], password, set(options["role"]), by=Actor.system("create_user"))
        except VaultError as refused:
            raise CommandError(refused.message) from None
        roles = ", ".join(sorted(options["role"])) or "no role yet: they can sign in and see nothing"
        self.stdout.write(f"{user.username} made ({roles}).")
        if not given:
            self.stdout.write(f"Password: {password}  (shown only now)")
