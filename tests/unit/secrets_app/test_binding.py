"""All references of one holder at once."""

from uuid import UUID

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from secrets_app.errors import Invalid
from secrets_app.models import Key, Reference, Region
from secrets_app.models.binding import Place, Rebound, Unusable, refer
from secrets_app.models.policy import Destination
from secrets_app.models.version import GONE
from tests import cast

REALM = "plugin 7"


def bind(*places: tuple[str, Key], inbound: bool = True) -> Rebound:
    return refer("plugin", 7, [Place(path, key.pk, inbound) for path, key in places], realm=REALM)


def rows() -> set[tuple[str, str, bool, str]]:
    found = Reference.objects.filter(holder_kind="plugin", holder_id=7).select_related("key")
    return {(row.path, row.key.audit_name, row.inbound, row.realm) for row in found}


def counts() -> dict[str | None, int]:
    return dict(Key.objects.values_list("name", "reference_count"))


def test_references_become_those_that_are_wanted(region: Region) -> None:
    a, b, c = (cast.key(region, name) for name in "abc")
    assert bind(("0", a), ("1", b), ("2", a)) == Rebound(frozenset({a.pk, b.pk}), ())
    assert rows() == {("0", "a", True, REALM), ("1", "b", True, REALM), ("2", "a", True, REALM)}
    assert counts() == {"a": 1, "b": 1, "c": 0}
    assert bind(("0", b), ("1", c)) == Rebound(frozenset({c.pk}), ("a",))
    assert rows() == {("0", "b", True, REALM), ("1", "c", True, REALM)}
    assert counts() == {"a": 0, "b": 1, "c": 1}
    assert bind() == Rebound(frozenset(), ("b", "c"))
    assert (rows(), counts()) == (set(), {"a": 0, "b": 0, "c": 0})


def test_what_is_sent_has_no_realm(region: Region) -> None:
    bind(("0", cast.key(region, "a", "short")), inbound=False)
    assert rows() == {("0", "a", False, "")}


def test_every_key_that_cannot_be_bound_is_told(region: Region) -> None:
    off, short, lines = cast.key(region, "off"), cast.key(region, "short", "short"), cast.key(region, "lines", "two lines\nof a value")
    off.disable(by=cast.SETUP)
    one, two = cast.key(region, "one", "the same value of both"), cast.key(region, "two", "the same value of both")
    good = cast.key(region, "good")
    with pytest.raises(Unusable) as refused:
        bind(*((key.audit_name, key) for key in (good, off, short, lines, one, two)))
    told: dict[UUID, str] = refused.value.keys
    assert told.keys() == {off.pk, short.pk, lines.pk, one.pk, two.pk}
    assert [word in told[key.pk] for key, word in ((off, "disabled"), (short, "16 characters"), (lines, "HTTP header"))] == [True] * 3
    assert told[one.pk] == told[two.pk]
    assert (rows(), set(counts().values())) == (set(), {0})


def test_a_previous_value_that_is_still_accepted_counts(region: Region) -> None:
    rotated, other = cast.key(region, "rotated", "the value before rotating"), cast.key(region, "other", "the value before rotating")
    bind(("0", rotated))
    rotated.rotate(cast.value(), 24, by=cast.SETUP)
    with pytest.raises(Unusable):
        bind(("0", rotated), ("1", other))
    bind(("0", other))  # the other one goes


def test_a_key_that_stays_is_not_looked_at(region: Region) -> None:
    a = cast.key(region, "a")
    bind(("0", a))
    a.disable(by=cast.SETUP)
    bind(("1", a))
    assert rows() == {("1", "a", True, REALM)}


def test_an_inline_key_ends_with_its_last_reference(region: Region) -> None:
    inline = Key._new_inline(region, cast.value(), cast.SETUP, to=Destination("consumer"))
    bind(("0", inline), ("1", inline))
    bind(("1", inline))
    assert counts() == {None: 1}
    assert bind() == Rebound(frozenset(), ())
    assert not Key.objects.exists()


def test_another_holders_references_are_left_alone(region: Region) -> None:
    key = cast.key(region, "a")
    cast.consumer(region, bound_to=key)
    bind(("0", key))
    assert counts() == {"a": 2}
    bind()
    assert counts() == {"a": 1}


def test_a_fixed_number_of_queries(region: Region, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    keys = [cast.key(region) for _ in range(20)]
    for number in (1, 20, 5, 0):
        with django_assert_max_num_queries(8):
            bind(*((str(place), key) for place, key in enumerate(keys[:number])))


def test_a_key_that_was_deleted_since_it_was_chosen_is_told_like_one_that_cannot_be_used(region: Region) -> None:
    """On PostgreSQL deeds pass one another: the key was there when the holder's deed looked its name up."""
    a, b = cast.key(region, "a"), cast.key(region, "b")
    again = Key.objects.get(pk=b.pk)
    again.delete(by=cast.SETUP)
    with pytest.raises(Unusable) as refused:
        bind(("0", a), ("1", b))
    assert list(refused.value.keys) == [b.pk]
    with pytest.raises(Invalid) as invalid:
        b._bind("consumer", 7, "0", to=Destination("consumer"), by=cast.SETUP, inbound=True)
    assert invalid.value.errors == {"key": [str(GONE)]}
    assert (rows(), counts()) == (set(), {"a": 0})
