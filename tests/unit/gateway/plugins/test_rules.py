"""Rules and their deeds: the text stands as typed, the reference rows follow it, and one entry tells it."""

import itertools
from uuid import uuid4

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from gateway.models import Instance, Plugin, Revision, Rule
from gateway.models.rule import REVISIONS_KEPT
from gateway.plugins import review
from gateway.plugins.review import RuleRefused
from secrets_app.access import ACTIONS, OPERATOR, OWNER, Action
from secrets_app.errors import AlreadyDone, Conflict, Invalid, KeyInUse, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Key, Reference, Region
from secrets_app.plaintext import Plaintext
from tests import cast

SEED = """\
credentials: 
# Reference the key named secretName
- $ref{secretName}
keys:
- apikey
- x-api-key
"""  # noqa: W291 - as documented

TRANSFORMER = """\
reqRules:
- operate: add
  headers:
  - key: x-token
    value: Bearer $ref{%s}
"""


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region, "east")


@pytest.fixture
def plugin(instance: Instance) -> Plugin:
    return cast.plugin(instance)


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def places(rule: Rule) -> set[tuple[str, str]]:
    return {(reference.path, reference.key.audit_name) for reference in rule.references}


def counts(region: Region) -> dict[str, int]:
    return {key.audit_name: key.reference_count for key in Key.objects.filter(region=region).named() if key.reference_count}


def test_the_documented_rule_is_one_reference_and_one_entry(plugin: Plugin) -> None:
    key = cast.key(plugin.instance.region, "secretName")
    olive, before = cast.actor("olive"), AuditEntry.objects.count()
    rule = Rule.write(plugin, None, SEED, lock_version=None, by=olive)
    assert AuditEntry.objects.count() == before + 1
    [reference] = rule.references
    assert (reference.key, reference.path, reference.inbound, reference.realm) == (key, "credentials[0]", True, f"plugin {rule.pk}")
    assert counts(plugin.instance.region) == {"secretName": 1}
    assert (rule.name, rule.text, rule.enabled, rule.number) == ("key-auth", SEED, False, 1)
    entry = last_entry()
    assert (entry.action, entry.target_kind, entry.target_id, entry.target) == ("rule.write", "plugin", str(rule.pk), "key-auth")
    assert entry.facts == {
        "instance": plugin.instance.ref,
        "plugin": "key-auth",
        "revision": 1,
        "enabled": False,
        "keys": ["secretName"],
        "released": [],
    }
    assert rule.changed_seq == entry.seq


def test_a_rule_of_a_service_says_so(plugin: Plugin) -> None:
    key, service = cast.key(plugin.instance.region, "a"), cast.service(plugin.instance, "chat")
    rule = cast.rule(plugin, cast.key_auth(key), service)
    assert (rule.name, rule.level, rule.service) == ("key-auth on chat", "service", service)
    assert (last_entry().target, last_entry().facts["service"]) == ("key-auth on chat", "chat")
    assert Rule.at(plugin, service) == rule
    assert Rule.at(plugin, None) is None


def test_a_service_of_another_instance_is_not_found(plugin: Plugin) -> None:
    service = cast.service(cast.instance(plugin.instance.region), "chat")
    with pytest.raises(NotFound):
        cast.rule(plugin, cast.key_auth(cast.key(plugin.instance.region)), service)


def test_no_value_stands_in_a_rule(plugin: Plugin) -> None:
    cast.key(plugin.instance.region, "secretName", "a-value-that-is-secret")
    rule = cast.rule(plugin, SEED)
    assert "a-value-that-is-secret" not in str(Rule.objects.filter(pk=rule.pk).values().get())
    assert "secret" not in str({k: v for k, v in last_entry().facts.items() if k not in ("keys",)})


def test_the_rows_follow_the_text(plugin: Plugin) -> None:
    region = plugin.instance.region
    a, b, c = (cast.key(region, name) for name in "abc")
    rule = cast.rule(plugin, cast.key_auth(a, b))
    assert places(rule) == {("credentials[0]", "a"), ("credentials[1]", "b")}
    cast.rule(plugin, cast.key_auth(b, c, a))
    assert places(rule) == {("credentials[0]", "b"), ("credentials[1]", "c"), ("credentials[2]", "a")}
    assert counts(region) == {"a": 1, "b": 1, "c": 1}
    assert last_entry().facts["released"] == []
    cast.rule(plugin, cast.key_auth(c))
    assert places(rule) == {("credentials[0]", "c")}
    assert counts(region) == {"c": 1}
    assert last_entry().facts["released"] == ["a", "b"]


def test_a_key_used_twice_in_one_rule_is_one_holder_in_two_places(plugin: Plugin) -> None:
    region = plugin.instance.region
    cast.key(region, "t")
    transformer = cast.plugin(plugin.instance, "transformer")
    text = TRANSFORMER % "t" + "  - key: x-other\n    value: $ref{T}:$ref{t}\n"
    rule = cast.rule(transformer, text)
    assert places(rule) == {("reqRules[0].headers[0].value", "t"), ("reqRules[0].headers[1].value", "t")}
    assert counts(region) == {"t": 1}
    cast.rule(transformer, "respRules:\n- operate: remove\n  headers:\n  - key: server\n")
    assert counts(region) == {}


def test_two_keys_in_one_scalar_are_two_references_of_one_place(plugin: Plugin) -> None:
    region = plugin.instance.region
    cast.key(region, "u")
    cast.key(region, "p")
    rule = cast.rule(cast.plugin(plugin.instance, "transformer"), TRANSFORMER % "u}:$ref{p")
    assert places(rule) == {("reqRules[0].headers[0].value", "u"), ("reqRules[0].headers[0].value", "p")}
    assert {reference.inbound for reference in rule.references} == {False}


def test_a_key_in_a_rule_cannot_be_deleted_even_while_the_rule_is_disabled(plugin: Plugin) -> None:
    key = cast.key(plugin.instance.region, "a")
    rule = cast.rule(plugin, cast.key_auth(key), enabled=False)
    with pytest.raises(KeyInUse):
        key.delete(by=cast.SETUP)
    rule.delete(by=cast.actor("olive"))
    assert (last_entry().action, last_entry().facts["released"]) == ("rule.delete", ["a"])
    key.delete(by=cast.SETUP)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("credentials:\n- $ref{secretNam}\nkeys: [apikey]", (2, 3, "credentials[0]"), "Did you mean “secretName”?"),
        ("credentials:\n- $ref{nothing_like_it}\nkeys: [apikey]", (2, 3, "credentials[0]"), "No key is named “nothing_like_it”"),
        ("credentials:\n- $ref{foreign}\nkeys: [apikey]", (2, 3, "credentials[0]"), "No key is named “foreign”"),
        ("credentials:\n- Bearer $ref{off}\nkeys: [apikey]", (2, 10, "credentials[0]"), "“off” is disabled"),
        ("credentials:\n- $ref{short}\nkeys: [apikey]", (2, 3, "credentials[0]"), "at least 16 characters"),
        ("credentials:\n- $ref{lines}\nkeys: [apikey]", (2, 3, "credentials[0]"), "cannot travel in an HTTP header"),
        ("credentials:\n- plain-text-credential\nkeys: [apikey]", (2, 3, "credentials[0]"), "in the clear"),
        ("credentials:\n- $$ref{secretName}\nkeys: [apikey]", (2, 3, "credentials[0]"), "in the clear"),
        ("credentials:\n- $ref{secretName}\nkeys:\n- $ref{secretName}", (4, 3, "keys[0]"), "no credential"),
        ("credentials:\n- $ref{secretName\nkeys: [apikey]", (2, 3, "credentials[0]"), "not closed"),
        ("credentials: 7", (1, 14, "credentials"), "list"),
        ("", (1, 1, ""), "Enter “consumers” or “credentials”"),
    ],
)
def test_what_cannot_be_a_rule_is_told_with_its_place_and_nothing_is_saved(
    plugin: Plugin, text: str, place: tuple[int, int, str], said: str
) -> None:
    region = plugin.instance.region
    cast.key(region, "secretName")
    cast.key(region, "off").disable(by=cast.SETUP)
    cast.key(region, "short", "short")
    cast.key(region, "lines", "a value of two lines\nand long enough")
    cast.key(Region.create("eu", "Europe", by=cast.SETUP), "foreign")
    olive, before = cast.actor("olive"), AuditEntry.objects.count()
    with pytest.raises(RuleRefused) as refused:
        Rule.write(plugin, None, text, lock_version=None, by=olive)
    fault = refused.value.faults[0]
    assert (fault.line, fault.column, fault.path) == place
    assert said in fault.message
    assert list(refused.value.errors) == ["text"]
    assert not Rule.objects.exists()
    assert counts(region) == {}
    assert AuditEntry.objects.count() == before


def test_a_key_that_goes_while_the_text_is_read_is_told_as_gone(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL alone lets it go between two queries of one deed."""
    cast.key(plugin.instance.region, "secretName")
    monkeypatch.setattr(review, "_versions", lambda _mentions: {})
    with pytest.raises(RuleRefused, match="was deleted a moment ago"):
        Rule.write(plugin, None, SEED, lock_version=None, by=cast.actor("olive"))
    assert not Rule.objects.exists()


def test_two_keys_of_equal_value_are_refused_in_one_rule_and_taken_in_two(plugin: Plugin) -> None:
    region = plugin.instance.region
    a, b = cast.key(region, "a", "the same value of both"), cast.key(region, "b", "the same value of both")
    with pytest.raises(RuleRefused) as refused:
        cast.rule(plugin, cast.key_auth(a, b))
    assert "same list" in refused.value.faults[0].message
    assert [fault.path for fault in refused.value.faults] == ["credentials[0]", "credentials[1]"]
    assert counts(region) == {}
    cast.rule(plugin, cast.key_auth(a))
    cast.rule(plugin, cast.key_auth(b), cast.service(plugin.instance, "chat"))
    cast.consumer(region, bound_to=a)  # whom the services themselves let in: another list
    assert counts(region) == {"a": 2, "b": 1}


def test_a_rotation_to_the_value_of_a_neighbour_in_a_rule_is_refused(plugin: Plugin) -> None:
    a, b = cast.key(plugin.instance.region, "a"), cast.key(plugin.instance.region, "b", "the value of neighbour b")
    cast.rule(plugin, cast.key_auth(a, b))
    cast.rule(plugin, cast.key_auth(a), cast.service(plugin.instance, "chat"))
    with pytest.raises(Invalid):
        a.rotate(Plaintext("the value of neighbour b"), by=cast.SETUP)
    with pytest.raises(Invalid):
        a.rotate(Plaintext("short"), by=cast.SETUP)
    a.rotate(Plaintext("a value of its own, and new"), 24, by=cast.SETUP)


def test_a_key_can_be_replaced_by_one_of_equal_value(plugin: Plugin) -> None:
    region = plugin.instance.region
    a, b = cast.key(region, "a", "the same value of both"), cast.key(region, "b", "the same value of both")
    cast.rule(plugin, cast.key_auth(a))
    cast.rule(plugin, cast.key_auth(b))
    assert counts(region) == {"b": 1}


def test_an_instance_before_references_takes_rules_without_them(region: Region) -> None:
    old = cast.instance(region, version="2.1.10")
    cast.key(region, "secretName")
    with pytest.raises(RuleRefused) as refused:
        cast.rule(cast.plugin(old), SEED)
    fault = refused.value.faults[0]
    assert (fault.line, "2.1.11" in fault.message, "2.1.10" in fault.message) == (3, True, True)
    cast.rule(cast.plugin(old, "ip-restriction"), "allow:\n- 10.0.0.0/8\n")
    old.upgrade("2.1.11", by=cast.SETUP)
    cast.rule(Plugin.objects.get(instance=old, name="key-auth"), SEED)


def test_a_second_first_rule_and_a_stale_one_show_what_is_stored(plugin: Plugin) -> None:
    a, b = cast.key(plugin.instance.region, "a"), cast.key(plugin.instance.region, "b")
    rule = cast.rule(plugin, cast.key_auth(a))
    stale = rule.lock_version
    with pytest.raises(StaleEdit) as refused:
        Rule.write(plugin, None, cast.key_auth(b), lock_version=None, by=cast.SETUP)
    assert refused.value.current == {"text": cast.key_auth(a), "enabled": True}
    cast.rule(plugin, cast.key_auth(a, b))
    with pytest.raises(StaleEdit) as refused:
        Rule.write(plugin, None, cast.key_auth(b), lock_version=stale, by=cast.SETUP)
    assert refused.value.current["text"] == cast.key_auth(a, b)
    assert places(rule) == {("credentials[0]", "a"), ("credentials[1]", "b")}


def test_a_rule_deleted_meanwhile_is_not_found(plugin: Plugin) -> None:
    rule = cast.rule(plugin, cast.key_auth(cast.key(plugin.instance.region)))
    rule.delete(by=cast.SETUP)
    with pytest.raises(NotFound):
        Rule.write(plugin, None, rule.text, lock_version=rule.lock_version, by=cast.SETUP)


def test_the_same_form_sent_twice_counts_once(plugin: Plugin) -> None:
    key, once = cast.key(plugin.instance.region), uuid4()
    Rule.write(plugin, None, cast.key_auth(key), lock_version=None, by=cast.SETUP, once=once)
    with pytest.raises(AlreadyDone):
        Rule.write(plugin, None, cast.key_auth(key), lock_version=None, by=cast.SETUP, once=once)


def test_enabling_and_disabling(plugin: Plugin) -> None:
    rule = cast.rule(plugin, cast.key_auth(cast.key(plugin.instance.region, "a")), enabled=False)
    rule.enable(by=cast.actor("olive"))
    assert Rule.objects.get().enabled
    assert (last_entry().action, last_entry().facts) == ("rule.enable", {"instance": plugin.instance.ref, "plugin": "key-auth"})
    assert rule.changed_seq == last_entry().seq
    with pytest.raises(Conflict):
        rule.enable(by=cast.SETUP)
    rule.disable(by=cast.actor("olive"))
    assert not Rule.objects.get().enabled
    assert counts(plugin.instance.region) == {"a": 1}
    with pytest.raises(Conflict):
        rule.disable(by=cast.SETUP)


def test_a_rule_is_looked_at_anew_before_it_is_enabled(plugin: Plugin) -> None:
    key = cast.key(plugin.instance.region, "a")
    rule = cast.rule(plugin, cast.key_auth(key), enabled=False)
    key.disable(by=cast.SETUP)
    with pytest.raises(RuleRefused, match="disabled"):
        rule.enable(by=cast.SETUP)
    assert not Rule.objects.get().enabled


def test_saving_leaves_the_switch_where_it_is_unless_told(plugin: Plugin) -> None:
    a, b = cast.key(plugin.instance.region, "a"), cast.key(plugin.instance.region, "b")
    rule = cast.rule(plugin, cast.key_auth(a), enabled=True)
    rule = Rule.write(plugin, None, cast.key_auth(b), lock_version=rule.lock_version, by=cast.SETUP)
    assert rule.enabled
    rule = Rule.write(plugin, None, cast.key_auth(b), lock_version=rule.lock_version, enabled=False, by=cast.SETUP)
    assert (rule.enabled, rule.number) == (False, 2)


def test_earlier_texts_are_kept_and_restored(plugin: Plugin) -> None:
    region = plugin.instance.region
    a, b = cast.key(region, "a"), cast.key(region, "b")
    rule = cast.rule(plugin, cast.key_auth(a))
    rule = cast.rule(plugin, cast.key_auth(b))
    assert [(revision.number, revision.text, revision.by_name) for revision in rule.revisions.all()] == [
        (1, cast.key_auth(a), cast.SETUP.name)
    ]
    rule.restore(1, lock_version=rule.lock_version, by=cast.actor("olive"))
    assert (rule.text, rule.number, rule.written_by) == (cast.key_auth(a), 3, "olive")
    assert (last_entry().action, last_entry().facts["restored"], last_entry().facts["revision"]) == ("rule.restore", 1, 3)
    assert counts(region) == {"a": 1}
    assert places(rule) == {("credentials[0]", "a")}


def test_restoring_a_text_whose_key_is_gone_is_refused(plugin: Plugin) -> None:
    region = plugin.instance.region
    a, b = cast.key(region, "a"), cast.key(region, "b")
    cast.rule(plugin, cast.key_auth(a))
    rule = cast.rule(plugin, cast.key_auth(b))
    a.delete(by=cast.SETUP)
    with pytest.raises(RuleRefused, match="No key is named “a”"):
        rule.restore(1, lock_version=rule.lock_version, by=cast.SETUP)
    assert Rule.objects.get().text == cast.key_auth(b)
    with pytest.raises(NotFound):
        rule.restore(7, lock_version=rule.lock_version, by=cast.SETUP)
    with pytest.raises(StaleEdit):
        rule.restore(1, lock_version=rule.lock_version - 1, by=cast.SETUP)


def test_no_more_texts_are_kept_than_help(plugin: Plugin) -> None:
    key = cast.key(plugin.instance.region)
    rule = cast.rule(plugin, cast.key_auth(key))
    earlier = [Revision(rule=rule, number=n, text="", at=rule.written_at, by_name="x") for n in range(1, REVISIONS_KEPT + 5)]
    Revision.objects.bulk_create(earlier)
    Rule.objects.update(number=REVISIONS_KEPT + 5)
    rule.refresh_from_db()
    cast.rule(plugin, cast.key_auth(key) + "# changed\n")
    kept = list(rule.revisions.order_by("number").values_list("number", flat=True))
    assert (len(kept), kept[0], kept[-1]) == (REVISIONS_KEPT, 6, REVISIONS_KEPT + 5)


def test_saving_the_same_text_makes_no_revision(plugin: Plugin) -> None:
    key = cast.key(plugin.instance.region)
    cast.rule(plugin, cast.key_auth(key))
    rule = cast.rule(plugin, cast.key_auth(key).replace("\n", "\r\n"))  # as a browser sends it
    assert (rule.number, rule.revisions.count(), rule.text) == (1, 0, cast.key_auth(key))


def test_new_keys_need_the_right_to_bind(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    region = plugin.instance.region
    a, b = cast.key(region, "a"), cast.key(region, "b")
    rule = cast.rule(plugin, cast.key_auth(a, b))
    sending = cast.rule(cast.plugin(plugin.instance, "transformer"), TRANSFORMER % "a")
    monkeypatch.setitem(ACTIONS, "key.bind", Action(ACTIONS["key.bind"].text, frozenset({OWNER})))
    olive, elsewhere = cast.actor("olive"), (TRANSFORMER % "a").replace("x-token", "x-debug")
    rule = Rule.write(plugin, None, cast.key_auth(b, a), lock_version=rule.lock_version, by=olive)  # none is new
    rule = Rule.write(plugin, None, cast.key_auth(b), lock_version=rule.lock_version, by=olive)
    with pytest.raises(NotAllowed):
        Rule.write(plugin, None, cast.key_auth(b, a), lock_version=rule.lock_version, by=olive)
    with pytest.raises(NotAllowed):  # the same key, into another header: somebody else may read it there
        Rule.write(sending.plugin, None, elsewhere, lock_version=sending.lock_version, by=olive)
    assert places(rule) == {("credentials[0]", "b")}


def test_who_may_not_see_keys_finds_none(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    key = cast.key(plugin.instance.region, "a")
    monkeypatch.setitem(ACTIONS, "key.view", Action(ACTIONS["key.view"].text, frozenset({OWNER})))
    with pytest.raises(RuleRefused, match="No key is named “a” in this region") as refused:
        Rule.write(plugin, None, cast.key_auth(key), lock_version=None, by=cast.actor("olive"))
    assert "Did you mean" not in refused.value.message


@pytest.mark.parametrize("name", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_change_rules(plugin: Plugin, name: str) -> None:
    rule = cast.rule(plugin, cast.key_auth(cast.key(plugin.instance.region)), enabled=False)
    by = cast.actor(name)
    deeds = [
        lambda: Rule.write(plugin, None, rule.text, lock_version=rule.lock_version, by=by),
        lambda: rule.restore(1, lock_version=rule.lock_version, by=by),
        lambda: rule.enable(by=by),
        lambda: rule.disable(by=by),
        lambda: rule.delete(by=by),
    ]
    for do in deeds:
        with pytest.raises(NotAllowed):
            do()
    assert OPERATOR in ACTIONS["rule.write"].roles
    assert not Rule.objects.get().enabled


def test_saving_takes_the_same_queries_however_many_keys_there_are(
    plugin: Plugin, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    keys = [cast.key(plugin.instance.region) for _ in range(30)]
    rule = cast.rule(plugin, cast.key_auth(keys[0]))
    for chosen in (keys[:2], keys, keys[1:], keys[15:]):
        with django_assert_max_num_queries(32):
            rule = Rule.write(plugin, None, cast.key_auth(*chosen), lock_version=rule.lock_version, by=cast.SETUP)
        assert len(places(rule)) == len(chosen)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:])
def test_any_order_of_the_same_keys_is_the_same_count(plugin: Plugin, order: tuple[int, ...]) -> None:
    keys = [cast.key(plugin.instance.region, name) for name in "abc"]
    cast.rule(plugin, cast.key_auth(*keys))
    rule = cast.rule(plugin, cast.key_auth(*(keys[place] for place in order)))
    assert places(rule) == {(f"credentials[{at}]", "abc"[place]) for at, place in enumerate(order)}
    assert Reference.objects.filter(holder_kind="plugin").count() == 3
    assert counts(plugin.instance.region) == {"a": 1, "b": 1, "c": 1}


def test_an_address_of_our_own_is_refused(plugin: Plugin) -> None:
    ext_auth = cast.plugin(plugin.instance, "ext-auth")
    text = "http_service:\n  endpoint:\n    address: {}\n"
    for address in ("http://127.0.0.1:8000", "http://localhost:18000/x"):
        with pytest.raises(RuleRefused, match="own address") as refused:
            cast.rule(ext_auth, text.format(address))
        assert refused.value.faults[0].path == "http_service.endpoint.address"
    with pytest.raises(RuleRefused, match="user name or password"):
        cast.rule(ext_auth, text.format("https://user:pass@auth.example.com"))
    assert cast.rule(ext_auth, text.format("https://auth.example.com/check")).enabled
