"""The key list at 100,000 keys and 1,000,000 references on SQLite, and beside it a stock Django admin of the same rows."""

from collections.abc import Callable
from typing import Any

from tests.benchmarks.many_keys import Row, apart, figures

REACH = "p95 <= 60 ms"
CASES = {
    "first page": "",
    "search hit, one of all": "?q=_099999",
    "search hit, many": "?q=prod",
    "search miss": "?q=no+such+key",
    "search miss, sorted by Referenced": "?q=no+such+key&sort=referenced",
    "sorted by Referenced": "?sort=referenced",
    "sorted by Last rotated": "?sort=rotated",
    "Unused filter": "?show=unused",
    "Referenced filter": "?show=referenced",
    "Disabled filter, search miss, sorted by Last rotated": "?show=disabled&q=no+such+key&sort=rotated",
}
ADMIN_CASES = {
    "first page": ("", ""),
    "deep page": ("?p=1500", "?p=1500"),
    "search hit, one of all": ("?q=_099999", "?q=_099999"),
    "search miss": ("?q=nosuchkey", "?q=nosuchkey"),
    "sorted by Referenced": ("?o=-6", "?o=-6"),
    "Unused filter": ("?reference_count__exact=0", "?use=unused"),
}


def run() -> list[Row]:
    return apart("key_list")


def measure() -> list[Row]:
    return [*_console(), *_admin("careful", 0, 20), *_admin("usual", 1, 5)]


def _console() -> list[Row]:
    from tests import cast

    client = cast.client("alice")

    def ask(address: str) -> Callable[[], Any]:
        def asked() -> None:
            assert client.get(f"/local/keys/{address}").status_code == 200

        return asked

    deep = {
        "page 1,000": _deep("", 50_000),
        "page 1,000, sorted by Referenced": _deep("sort=referenced", 50_000),
        "page 1,900, sorted by Referenced, among equals": _deep("sort=referenced", 95_000),
    }
    return [figures(f"key list: {name}", ask(address), REACH) for name, address in (CASES | deep).items()]


def _deep(address: str, row: int) -> str:
    """The page behind that row, by the link that the page before it would have."""
    from django.http import QueryDict

    from console.paging import Listing
    from console.views.keys import SORTS
    from secrets_app.models import Key

    listing = Listing(QueryDict(address), SORTS)
    return listing._at("after", Key.objects.named().order_by(*listing._columns())[row])


def _admin(form: str, column: int, rounds: int) -> list[Row]:
    """Without middleware, which is in the admin's favour."""
    from django.test import RequestFactory

    from secrets_app.models import Key, User
    from tests.benchmarks import key_admin

    User.objects.filter(username="alice").update(is_staff=True, is_superuser=True)
    alice = User.objects.get(username="alice")
    listed = getattr(key_admin, form)._registry[Key]

    def ask(address: str) -> Callable[[], Any]:
        def asked() -> None:
            request = RequestFactory().get(f"/{form}/secrets_app/key/{address}")
            request.user = alice
            request.csp_nonce = ""
            answer = listed.changelist_view(request)
            assert answer.status_code == 200
            answer.render()

        return asked

    return [figures(f"admin, {form}: {name}", ask(cases[column]), rounds=rounds) for name, cases in ADMIN_CASES.items()]
