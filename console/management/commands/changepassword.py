import getpass
from typing import Any

import environ
from django.core.management.base import BaseCommand, CommandError, CommandParser

from console import sessions
from secrets_app.actor import Actor
from secrets_app.errors import VaultError
from secrets_app.models import User


class Command(BaseCommand):
    """In place of Django's, which writes no entry into the audit log and leaves API tokens alive."""

    help = (
        "Give somebody a new password, end that person's sessions and revoke their API tokens. The password is asked for, or taken from "
        "CONSOLE_USER_PASSWORD, or from the file that CONSOLE_USER_PASSWORD_FILE names."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--keep-tokens", action="store_true", help="leave their API tokens alive")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username__iexact=options["username"]).first()
        if user is None:
            raise CommandError(f"There is nobody named {options['username']}.")
        password = environ.FileAwareEnv().str("CONSOLE_USER_PASSWORD", default="") or _asked()
        tokens = 0 if options["keep_tokens"] else user.api_tokens.count()
        try:
            user.reset_password(password, by=Actor.system("changepassword"), revoke_tokens=not options["keep_tokens"])
        except VaultError as refused:
            raise CommandError(refused.message) from None
        ended, _each = sessions.of(user).delete()
        self.stdout.write(f"{user.username} has the new password: {ended} sessions ended, {tokens} API tokens revoked.")


def _asked() -> str:
    password = getpass.getpass("New password: ")
    if password != getpass.getpass("New password again: "):
        raise CommandError("The two are not the same. Nothing was changed: run it again.")
    return password
