"""Lists as their addresses ask for them: search, filter, order, and a place in that order instead of a page number.

Keyset pages cost the same everywhere in a list, however long it is, and a row that comes or goes meanwhile shifts nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core import signing
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import QueryDict

Row = TypeVar("Row", bound=Model)
T = TypeVar("T")

ROWS_A_PAGE = 50
LONGEST_SEARCH = 200  # characters
ASCENDING, DESCENDING, UNSORTED = "ascending", "descending", "none"


@dataclass(frozen=True, slots=True)
class Head:
    """A column head that sorts: where it leads, and what aria-sort says."""

    url: str
    aria: str


@dataclass(frozen=True, slots=True)
class Tab:
    """One filter: where it leads, and whether it is the one in force."""

    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Cut(Generic[T]):
    """One page of rows, and where the pages before and after it are ("" where there is none)."""

    rows: list[T]
    previous_url: str
    next_url: str


class Listing:
    """`?q=` search, `?show=` filter, `?sort=` order, `?after=` or `?before=` a place in it.

    `sorts` maps a name to columns as order_by takes them: no NULLs, the last one unique in the list, and an index in that order. A "-"
    before the name in the address turns the order round. The first sort and no filter are the default. `keep` names what else the
    address holds and every link of the list shall hold too.
    What the address asks for and does not exist counts as not asked for: an old or a mistyped address still shows the list.
    """

    def __init__(
        self, address: QueryDict, sorts: Mapping[str, Sequence[str]], filters: Collection[str] = (), keep: Collection[str] = ()
    ) -> None:
        self._address, self._sorts, self._filters = address, sorts, filters
        self._kept = {name: address.get(name, "") for name in keep}
        self.q = address.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
        asked = address.get("sort", "")
        self.sort = asked if asked.removeprefix("-") in sorts else next(iter(sorts))
        asked = address.get("show", "")
        self.show = asked if asked in filters else ""

    @property
    def narrowed(self) -> bool:
        """Rows may be missing because of the search or the filter."""
        return bool(self.q or self.show)

    @property
    def heads(self) -> dict[str, Head]:
        return {name: self._head(name) for name in self._sorts}

    @property
    def tabs(self) -> dict[str, Tab]:
        """By filter; "all" takes the filter away."""
        named = {"all": "", **{name: name for name in self._filters}}
        return {name: Tab(self._url(show=show), self.show == show) for name, show in named.items()}

    @property
    def all_url(self) -> str:
        """The list without search and filter."""
        return self._url(q="", show="")

    def cut(self, rows: QuerySet[Row]) -> Cut[Row]:
        """The page of these rows that the address names; past either end, the first. One query, and one more where a sort breaks ties."""
        columns = self._columns()
        if (place := self._place("before")) is not None:
            found = _following(rows, _turned(columns), place)
            if len(found) > ROWS_A_PAGE:
                shown = found[:ROWS_A_PAGE][::-1]
                return Cut(shown, self._at("before", shown[0]), self._at("after", shown[-1]))
        place = self._place("after")
        found = _following(rows, columns, place)
        if not found and place is not None:
            place, found = None, _following(rows, columns, None)
        shown = found[:ROWS_A_PAGE]
        previous = self._at("before", shown[0]) if place is not None else ""
        return Cut(shown, previous, self._at("after", shown[-1]) if len(found) > ROWS_A_PAGE else "")

    def cut_list(self, rows: Sequence[T], name: Callable[[T], str]) -> Cut[T]:
        """The page of rows that are no table's, in an order of their own; each has a name that no other has."""
        names = [name(row) for row in rows]
        after, before = self._address.get("after", ""), self._address.get("before", "")
        start = names.index(after) + 1 if after in names else max(names.index(before) - ROWS_A_PAGE, 0) if before in names else 0
        shown = list(rows[start : start + ROWS_A_PAGE])
        end = start + len(shown)
        previous = self._url(before=names[start]) if start and shown else ""
        return Cut(shown, previous, self._url(after=names[end - 1]) if end < len(rows) else "")

    def _columns(self) -> list[str]:
        columns = list(self._sorts[self.sort.removeprefix("-")])
        return _turned(columns) if self.sort.startswith("-") else columns

    def _head(self, name: str) -> Head:
        if self.sort.removeprefix("-") != name:
            return Head(self._url(sort=name), UNSORTED)
        down = self._columns()[0].startswith("-")
        return Head(self._url(sort=name if self.sort != name else f"-{name}"), DESCENDING if down else ASCENDING)

    def _place(self, side: str) -> list[str] | None:
        """Signed by `_at`, so that only values of our own rows come back into a query."""
        try:
            sort, *values = signing.loads(self._address.get(side, ""), salt=__name__)
        except (signing.BadSignature, ValueError):
            return None
        return values if sort == self.sort else None

    def _at(self, side: str, row: Model) -> str:
        values = [_field(type(row), column).value_to_string(row) for column in self._columns()]
        return self._url(**{side: signing.dumps([self.sort, *values], salt=__name__)})

    def _url(self, **changes: str) -> str:
        said = self._kept | {"q": self.q, "show": self.show, "sort": self.sort if self.sort != next(iter(self._sorts)) else ""} | changes
        query = QueryDict(mutable=True)
        query.update({name: value for name, value in said.items() if value})
        return f"?{query.urlencode()}"


def _following(rows: QuerySet[Row], columns: Sequence[str], place: Sequence[str] | None) -> list[Row]:
    """The rows behind a place, one more than a page holds.

    First those equal to it in the leading columns, then the rest: in one condition (a < x OR a = x AND b > y) no index finds the place.
    """
    most = ROWS_A_PAGE + 1
    ordered = rows.order_by(*columns)
    if place is None:
        return list(ordered[:most])
    try:
        values = [_field(rows.model, column).to_python(value) for column, value in zip(columns, place, strict=True)]
    except (ValidationError, ValueError):  # signed before these columns changed
        return list(ordered[:most])
    found: list[Row] = []
    for depth in reversed(range(len(columns))):
        behind: dict[str, Any] = dict(zip((column.removeprefix("-") for column in columns[:depth]), values, strict=False))
        comparison = "lt" if columns[depth].startswith("-") else "gt"
        behind[f"{columns[depth].removeprefix('-')}__{comparison}"] = values[depth]
        found += ordered.filter(**behind)[: most - len(found)]
        if len(found) == most:
            break
    return found


def _turned(columns: Sequence[str]) -> list[str]:
    return [column.removeprefix("-") if column.startswith("-") else f"-{column}" for column in columns]


def _field(model: type[Model], column: str) -> Any:
    return model._meta.get_field(column.removeprefix("-"))
