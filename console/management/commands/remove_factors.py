from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console import factors, sessions
from secrets_app.actor import Actor
from secrets_app.errors import VaultError
from secrets_app.models import User


class Command(BaseCommand):
    help = "Remove every second factor of somebody who lost them all, and end that person's sessions. The password stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username__iexact=options["username"]).first()
        if user is None:
            raise CommandError(f"There is nobody named {options['username']}.")
        try:
            count = factors.remove_all(user, by=Actor.system("remove_factors"))
        except VaultError as refused:
            raise CommandError(refused.message) from None
        ended, _each = sessions.of(user).delete()
        self.stdout.write(f"{count} second factors of {user.username} removed, {ended} sessions ended. Make sure that it is them who ask.")
        if tokens := user.api_tokens.count():
            self.stdout.write(f"API tokens of theirs that go on working: {tokens}. Owners revoke them on the Team page.")
