"""The options of the Bind Key and API Key pickers at 100,000 keys on SQLite, as each keystroke asks for them."""

from collections.abc import Callable
from typing import Any

from tests.benchmarks.many_keys import Row, apart, figures

CASES = {
    "nothing typed": "",
    "one letter": "o",
    "a prefix": "openai_p",
    "inside names": "ai_prod_0",
    "one of all, by its end": "_099999",
    "no key": "nosuchkey",
}


def run() -> list[Row]:
    return apart("key_options")


def measure() -> list[Row]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from secrets_app.models import Key, Region
    from tests import cast

    client, region, alice = cast.client("alice"), Region.objects.get(name="local"), cast.actor("alice")

    def ask(typed: str) -> Callable[[], Any]:
        def asked() -> None:
            assert client.get("/local/keys/options/", {"q": typed}).status_code == 200

        return asked

    rows = [figures(f"options: {name}", ask(typed), "p95 <= 40 ms") for name, typed in CASES.items()]
    most = 0
    for typed in CASES.values():
        with CaptureQueriesContext(connection) as own:
            Key.visible_to(alice, region).options(typed)
        most = max(most, len(own))
    return [*rows, ("options: queries of their own, at most (the others are session, person, roles and region)", str(most), "<= 2")]
