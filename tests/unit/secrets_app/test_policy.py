"""Where a key may go: patterns of hosts against what a gateway would call, and who may put a key where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_app.errors import Invalid, NotAllowed
from secrets_app.models import AuditEntry, Key, Region
from secrets_app.models.admitting import OutsidePolicy
from secrets_app.models.policy import CLOSED, OPEN, Destination, Policy, checked, parsed, pattern, written
from tests import cast

CHAT = Destination("ai_service", "api.example.com", "gw-1", "authorization")


def goes(host: str, **fields: str) -> Destination:
    return Destination(**{"kind": "ai_service", "host": host, "instance": "gw-1", "header": "authorization", **fields})


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("api.example.com", "api.example.com"),
        ("  API.Example.COM. ", "api.example.com"),
        ("https://api.example.com/", "api.example.com"),
        ("HTTPS://api.example.com:443", "api.example.com"),
        ("api.example.com:8443", "api.example.com:8443"),
        ("http://api.example.com", "http://api.example.com"),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[::1]:9000", "[::1]:9000"),
        ("[::ffff:10.0.0.7]", "10.0.0.7"),
        ("*.example.com", "*.example.com"),
        ("*.Example.com:8443", "*.example.com:8443"),
        ("http://*.internal.example", "http://*.internal.example"),
        ("plugin:my-script@0123456789abcdef", "plugin:my-script@0123456789abcdef"),
    ],
)
def test_a_host_is_told_in_one_spelling(typed: str, told: str) -> None:
    assert pattern(typed) == told
    assert pattern(told) == told


@pytest.mark.parametrize(
    "typed",
    [
        "", " ", "*", "*.", "*.com", "*.*.example.com", "a.*.example.com", "*example.com", "api.*", "**.example.com", "*.10.0.0.1", "*.1.2",
        "*.[::1]", "user@api.example.com", "user:pw@api.example.com", "api.example.com/v1", "api.example.com?x", "api.example.com#x",
        "api.example.com:0", "api.example.com:99999", "api.example.com:http", "ftp://api.example.com", "//api.example.com", "127.1",
        "0x7f.1", "2130706433", "::1", "[::1", "api example.com", "api.example.com\n", "api.\u200bexample.com", "a\\b.example.com",
        "%61pi.example.com", "[fe80::1%25eth0]", "api..example.com", ".example.com", "plugin:x", "plugin:x@short",
        "plugin:x@0123456789ABCDEF", "javascript:alert(1)", "http://", "https://*.com",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(typed: str) -> None:
    if typed.strip() == "api.example.com":
        assert pattern(typed) == "api.example.com"
        return
    with pytest.raises(Invalid) as refused:
        pattern(typed)
    assert list(refused.value.errors) == ["hosts"]


@pytest.mark.parametrize(
    ("allowed", "host", "covered"),
    [
        ("api.example.com", "api.example.com", True),
        ("api.example.com", "api.example.com:8443", False),
        ("api.example.com", "http://api.example.com", False),
        ("api.example.com", "xapi.example.com", False),
        ("api.example.com", "api.example.com.evil.example", False),
        ("http://api.example.com", "api.example.com", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "a.example.com:8443", False),
        ("*.example.com", "http://a.example.com", False),
        ("*.example.com:8443", "a.example.com:8443", True),
        ("*.example.com:8443", "a.example.com", False),
        ("http://*.example.com", "http://a.example.com", True),
        ("http://*.example.com", "http://example.com", False),
        ("http://*.example.com", "a.example.com", False),
        ("*.example.com", "plugin:a.example.com", False),
        ("*.example.com", "?", False),
    ],
)
def test_a_pattern_takes_what_it_says_and_nothing_else(allowed: str, host: str, covered: bool) -> None:
    policy = checked(kinds=["ai_service"], hosts=[allowed])
    assert policy.refuses(goes(host)) == ("" if covered else "host")


@pytest.mark.parametrize(
    ("policy", "to", "outside"),
    [
        (CLOSED, CHAT, "kind"),
        (CLOSED, Destination("consumer"), "kind"),
        (OPEN, CHAT, ""),
        (OPEN, Destination("plugin", "?", "gw-1", "*"), ""),
        (Policy(kinds=("consumer",)), Destination("consumer"), ""),
        (Policy(kinds=("consumer",)), CHAT, "kind"),
        (Policy(kinds=("ai_service",), hosts=("api.example.com",)), CHAT, ""),
        (Policy(kinds=("ai_service",)), CHAT, "host"),
        (Policy(kinds=("ai_service",), hosts=("api.example.com",), instances=("gw-2",)), CHAT, "instance"),
        (Policy(kinds=("ai_service",), hosts=("api.example.com",), headers=("x-api-key",)), CHAT, "header"),
        (Policy(kinds=("plugin",), hosts=("a.example",), headers=("x-a",)), Destination("plugin", "a.example", "gw-1", "*"), "header"),
    ],
)  # fmt: skip
def test_each_side_of_a_policy_counts(policy: Policy, to: Destination, outside: str) -> None:
    assert policy.refuses(to) == outside


HOSTS = st.sampled_from(["api.example.com", "a.example.com", "http://10.0.0.7:80", "plugin:p@0123456789abcdef", ""])
DESTINATIONS = st.builds(
    Destination,
    st.sampled_from(["consumer", "ai_service", "mcp_service", "plugin"]),
    HOSTS,
    st.sampled_from(["", "gw-1", "gw-2"]),
    st.sampled_from(["", "authorization", "x-api-key", "*"]),
).filter(lambda to: bool(to.host) or not to.header)  # what is sent nowhere stands in no header


@given(st.lists(DESTINATIONS, max_size=5))
def test_a_policy_made_wider_takes_what_it_was_made_wider_for(wanted: list[Destination]) -> None:
    policy = CLOSED.with_these(wanted)
    assert not any(policy.refuses(to) for to in wanted)
    assert parsed(written(policy)) == policy
    assert policy.with_these(wanted) == policy


def test_being_made_wider_lets_nothing_else_in() -> None:
    policy = Policy(kinds=("consumer",)).with_these([CHAT])
    assert policy == Policy(kinds=("consumer", "ai_service"), hosts=("api.example.com",), instances=("gw-1",), headers=("authorization",))
    assert OPEN.with_these([CHAT]) == OPEN


def test_a_script_takes_the_place_of_its_earlier_text() -> None:
    was, becomes = (Destination("plugin", f"plugin:p@{digit * 16}", "gw-1") for digit in "01")
    assert CLOSED.with_these([was, becomes]).hosts == (becomes.host,)


@pytest.mark.parametrize("stored", ["nonsense", "[]", "7", '{"kinds": 7}', '{"open": "yes"}', '{"open": 1}', "null"])
def test_what_cannot_be_read_lets_nothing_through(stored: str) -> None:
    assert parsed(stored).refuses(CHAT)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kinds": ["nonsense"]}, "kinds"),
        ({"kinds": ["ai_service"]}, "hosts"),
        ({"kinds": ["ai_service"], "hosts": ["a b"]}, "hosts"),
        ({"kinds": ["ai_service"], "hosts": ["a.example"], "headers": ["*"]}, "headers"),
        ({"kinds": ["ai_service"], "hosts": ["a.example"], "headers": ["a b"]}, "headers"),
        ({"kinds": ["ai_service"], "hosts": [f"h{n}.example" for n in range(51)]}, "hosts"),
    ],
)
def test_a_policy_is_looked_at_whole(given: dict[str, list[str]], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked(**given)  # type: ignore[arg-type]
    assert list(refused.value.errors) == [field]


# ── Whose say it is ──


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


def bound(key: Key, by: str, to: Destination = CHAT) -> Key:
    key._bind("ai_service", 1, "api_keys[0]", to=to, by=cast.actor(by), inbound=False)
    key.refresh_from_db()
    return key


def test_a_new_key_may_go_nowhere(region: Region) -> None:
    key = Key.create(region, "fresh", cast.value(), by=cast.actor("kim"))
    assert key.policy == CLOSED
    with pytest.raises(OutsidePolicy, match="may go nowhere yet"):
        bound(key, "olive")


def test_whoever_may_set_the_policy_makes_the_first_bind_and_with_it_the_policy(region: Region) -> None:
    key = bound(Key.create(region, "fresh", cast.value(), by=cast.actor("kim")), "alice")
    assert str(key.policy) == "AI services to api.example.com in authorization on gw-1"


def test_an_operator_binds_within_the_policy_and_not_outside(region: Region) -> None:
    key = cast.key(region, policy=CLOSED.with_these([CHAT]))
    with pytest.raises(OutsidePolicy) as refused:
        bound(key, "olive", goes("evil.example"))
    assert "may not be sent to evil.example" in refused.value.message
    assert "AI services to api.example.com" in refused.value.message
    assert "Ask an owner or a key manager" in refused.value.message
    assert bound(key, "olive").reference_count == 1


def test_members_of_other_teams_do_not_bind(region: Region) -> None:
    policy = Policy(open=True, teams=("00000000-0000-0000-0000-000000000001",))
    key = cast.key(region, policy=policy)
    with pytest.raises(OutsidePolicy, match="members of certain teams"):
        bound(key, "olive")
    assert bound(key, "alice").policy == policy


def test_who_may_not_set_a_policy_creates_no_key_with_one(region: Region) -> None:
    with pytest.raises(NotAllowed):
        Key.create(region, "one", cast.value(), by=cast.actor("olive"), policy=OPEN)
    Key.create(region, "two", cast.value(), by=cast.actor("kim"), policy=OPEN)
    assert AuditEntry.objects.latest("seq").facts["policy"] == "any destination"
