"""basic-auth, jwt-auth and ip-restriction on a running gateway: whom they let in."""

import base64

import httpx
import pytest

from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.keys_of_tokens import ec_key, ed_key, key_set, rsa_key, token

pytestmark = pytest.mark.envoy

BASIC = """\
consumers:
- name: alice
  credential: al:$ref{password}
- name: bob
  credential: $ref{pair}
"""


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    for name, value in (
        ("password", "pässword: 0123456789".encode().decode("latin-1")),
        ("pair", "bobby:word-0123456789"),
        ("provider", "sk-0"),
    ):
        region.key(name, value)
    region.service("chat", backend.port, "provider", consumer_authentication=False)
    region.service("notes", backend.port, "provider", consumer_authentication=False)
    return region


def basic(pair: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def test_basic_auth_admits_users_by_their_passwords(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("password", "password: 0123456789")
    region.rule("basic-auth", BASIC, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", **basic("al:password: 0123456789"), x_mse_consumer="root") == 200
    assert backend.last.header("x-mse-consumer") == "alice"
    assert gateway.status("/ai/chat/a", **basic("bobby:word-0123456789")) == 200
    assert backend.last.header("x-mse-consumer") == "bob"
    assert backend.last.header("authorization") == "Bearer sk-0"
    for wrong in ("al:word-0123456789", "alice:password: 0123456789", "al:", "al", ":password: 0123456789", "al:$ref{password}"):
        assert gateway.status("/ai/chat/a", **basic(wrong)) == 401, wrong
    answer = gateway.get("/ai/chat/a")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert answer.json()["error"]["code"] == "missing_credentials"
    assert gateway.get("/ai/chat/a", **basic("a:b")).json()["error"]["code"] == "invalid_credentials"
    assert gateway.status("/ai/notes/a") == 200
    assert len(backend.seen) == 3


def test_a_password_may_hold_any_characters(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("password", "pässwörd:\t💡 0123456789")
    region.rule("basic-auth", BASIC, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", **basic("al:pässwörd:\t💡 0123456789")) == 200


def test_both_passwords_of_a_user_are_accepted_during_an_overlap(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    """Envoy's own basic_auth refuses a user with two."""
    region.key("password", "new-word-0123456789", "old-word-0123456789")
    region.rule("basic-auth", BASIC, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", **basic("al:new-word-0123456789")) == 200
    assert gateway.status("/ai/chat/a", **basic("al:old-word-0123456789")) == 200
    region.key("password", "new-word-0123456789")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", **basic("al:old-word-0123456789")) == 401


def test_a_pair_without_a_colon_and_a_disabled_key_harm_only_their_own_user(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.key("pair", "no-colon-0123456789")
    region.key("password", "word-0123456789")
    region.rule("basic-auth", BASIC, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", **basic("al:word-0123456789")) == 200
    assert gateway.status("/ai/chat/a", **basic("no-colon-0123456789")) == 401
    region.key("password")
    plane.publish(region)
    for pair in ("al:word-0123456789", "al:", "al:$ref{password}"):
        assert gateway.status("/ai/chat/a", **basic(pair)) == 401


def test_allow_narrows_basic_auth_too(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("password", "word-0123456789")
    region.rule("basic-auth", BASIC)
    region.rule("basic-auth", "allow: [bob]", service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", **basic("al:word-0123456789")) == 403
    assert gateway.status("/ai/chat/a", **basic("bobby:word-0123456789")) == 200


# Tokens


def consumer(name: str, keys: str, *lines: str) -> str:
    return "\n".join([f"- name: {name}", "  issuer: https://issuer", f"  jwks: '{keys}'", *(f"  {line}" for line in lines), ""])


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def test_jwt_auth_admits_tokens_of_each_kind_of_key_and_no_other(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    rule = "consumers:\n" + consumer("carol", key_set(rsa_key(), ec_key())) + consumer("dave", key_set(ed_key()))
    region.rule("jwt-auth", rule, service="chat")
    plane.publish(region)
    for algorithm, name in (("RS256", "carol"), ("ES256", "carol"), ("EdDSA", "dave")):
        assert gateway.status("/ai/chat/a", **bearer(token(algorithm)), x_mse_consumer="root") == 200
        assert backend.last.header("x-mse-consumer") == name
        assert not backend.last.holds("eyJ")
        assert not {seen for seen in backend.last.names if seen.startswith("x-latchkey")}
    served = len(backend.seen)
    for wrong in (token(exp=1), token(iss="https://other"), token()[:-4] + "AAAA", "a.b.c"):
        answer = gateway.get("/ai/chat/a", **bearer(wrong))
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")
    assert gateway.status("/ai/chat/a") == gateway.status(f"/ai/chat/a?access_token={token()}") == 401
    assert gateway.status("/ai/notes/a") == 200
    assert len(backend.seen) == served + 1


def test_a_token_comes_from_where_the_consumer_says_and_its_claims_go_where_it_says(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    lines = (
        "from_headers: [{name: X-Token, value_prefix: 'Tok '}]",
        "from_params: [jwt]",
        "from_cookies: [session]",
        "claims_to_headers: [{claim: sub, header: X-Subject}]",
    )
    rule = "consumers:\n" + consumer("carol", key_set(rsa_key()), *lines) + consumer("dave", key_set(ed_key()))
    region.rule("jwt-auth", rule, service="chat")
    plane.publish(region)
    for path, headers in (
        ("/ai/chat/a?b=%26", {"x_token": f"Tok {token()}"}),
        (f"/ai/chat/a?b=%26&jwt={token()}", {}),
        ("/ai/chat/a?b=%26", {"cookie": f"session={token()}"}),
    ):
        assert gateway.status(path, **headers, x_subject="root") == 200
        assert backend.last.header("x-subject") == "carol@example.com"
        assert backend.last.target == "/v1/a?b=%26"
        assert not backend.last.holds("eyJ")
    assert gateway.status("/ai/chat/a", **bearer(token("EdDSA")), x_subject="root") == 200
    assert "x-subject" not in backend.last.names
    assert gateway.status("/ai/chat/a", **bearer(token())) == 401


def test_a_token_travels_on_where_the_rule_keeps_it(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.service("own", backend.port, consumer_authentication=False)
    region.rule("jwt-auth", "consumers:\n" + consumer("carol", key_set(rsa_key()), "keep_token: true"))
    plane.publish(region)
    sent = token()
    assert gateway.status("/ai/own/a", **bearer(sent)) == 200
    assert backend.last.header("authorization") == f"Bearer {sent}"
    assert gateway.status("/ai/chat/a", **bearer(sent)) == 200
    assert backend.last.header("authorization") == "Bearer sk-0"


def test_allow_narrows_jwt_auth_too(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("jwt-auth", "consumers:\n" + consumer("carol", key_set(rsa_key())) + consumer("dave", key_set(ed_key())))
    region.rule("jwt-auth", "allow: [dave]", service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", **bearer(token())) == 403
    assert gateway.status("/ai/chat/a", **bearer(token("EdDSA"))) == 200
    assert gateway.status("/ai/chat/a") == 401


# Addresses


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("allow: [127.0.0.1]", 200),
        ("allow: [10.0.0.0/8, 127.0.0.0/8]", 200),
        ("allow: [10.0.0.0/8, 'fd00::/8']", 403),
        ("deny: [127.0.0.0/8]", 403),
        ("deny: [10.0.0.0/8, '::1']", 200),
        ("allow: ['0.0.0.0/0']", 200),
        ("deny: ['0.0.0.0/0']", 403),
    ],
)
def test_ip_restriction_looks_at_the_connection_and_at_nothing_that_a_caller_says(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, rule: str, status: int
) -> None:
    region.rule("ip-restriction", rule, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a") == status
    for claimed in ("10.1.1.1", "127.0.0.1", "192.0.2.1"):
        answer = gateway.get("/ai/chat/a", x_forwarded_for=claimed, x_real_ip=claimed, forwarded=f"for={claimed}")
        assert answer.status_code == status
        if status != httpx.codes.OK:
            assert answer.json()["error"]["code"] == "address_not_allowed"
    assert gateway.status("/ai/notes/a") == 200


def test_an_address_that_is_kept_out_is_asked_for_no_key(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("ip-restriction", "deny: [127.0.0.0/8]")
    region.rule("basic-auth", BASIC)
    plane.publish(region)
    assert gateway.status("/ai/chat/a") == 403
    assert gateway.status("/ai/none/a") == 404
