"""Consumers who are known by tokens, on a running Envoy."""

import json

import pytest

from gateway.sources import BEARER
from gateway.type_urls import EXTENSION
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region, header, query
from tests.dataplane.test_changes import changed_kinds
from tests.keys_of_tokens import ec_key, key_set, rsa_key, shared_set, shared_token, token

pytestmark = pytest.mark.envoy

PUBLIC = key_set(rsa_key(), ec_key())


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("provider", "sk-0")
    region.key("acme", shared_set("one"))
    region.bearer("acme", "acme")
    region.token_service("chat", backend.port, "provider", authorized=("acme",))
    return region


def refused(gateway: Gateway, path: str, given: str = "") -> tuple[int, str]:
    answer = gateway.get(path, given)
    return answer.status_code, answer.json()["error"]["code"]


def test_a_shared_secret_lets_in_the_one_whom_the_claim_names(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    for number, kid in enumerate((True, False)):
        assert gateway.status(f"/ai/chat/shared-{number}", shared_token("one", kid=kid, uid="acme")) == 200
        assert backend.last.header("authorization") == "Bearer sk-0"
        assert not backend.last.holds("eyJ")
        assert not {name for name in backend.last.names if name.startswith("x-latchkey")}
    assert gateway.consumer_of("/v1/shared-1") == "acme/jwks~1"
    served = len(backend.seen)
    for wrong in (
        shared_token("two", uid="acme"),
        shared_token("one", uid="acme", exp=1),
        shared_token("one", uid="acme")[:-4] + "AAAA",
        token(uid="acme"),
        "a.b.c",
        "",
    ):
        assert refused(gateway, "/ai/chat/a", wrong) == (401, "invalid_token")
    for other in (shared_token("one", uid="Acme"), shared_token("one"), shared_token("one", uid=["acme"]), shared_token("one", sub="acme")):
        assert refused(gateway, "/ai/chat/a", other) == (403, "not_authorized")
    assert len(backend.seen) == served


def test_claims_that_a_caller_makes_in_headers_count_for_nothing(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    claims = {
        "x_latchkey_consumer": "acme/jwks~1",
        "x_latchkey_consumer_nowhere": shared_token("one", uid="acme"),
        "x_mse_consumer": "acme",
    }
    assert gateway.status("/ai/chat/a", **claims) == 401
    assert gateway.status("/ai/chat/claims", shared_token("one", uid="acme"), **claims) == 200
    assert not backend.last.names & {"x-latchkey-consumer", "x-mse-consumer", "x-latchkey-consumer-nowhere"}


def test_a_token_without_a_signature_is_none(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.bearer("partner", public=PUBLIC)
    region.change("chat", authorized=("acme", "partner"))
    plane.publish(region)
    _head, body, _signature = shared_token("one", uid="acme").split(".")
    assert gateway.status("/ai/chat/a", f"eyJhbGciOiJub25lIn0.{body}.") == 401
    # The public key taken for a shared secret.
    assert gateway.status("/ai/chat/a", shared_token(PUBLIC, uid="partner")) == 401


def test_public_keys_that_were_pasted(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.bearer("partner", public=PUBLIC, claim="https://issuer/who", value="42")
    region.bearer("sibling", public=PUBLIC, claim="sub")
    region.bearer("stranger", public=PUBLIC)
    region.change("chat", authorized=("acme", "partner", "sibling"))
    plane.publish(region)
    for algorithm in ("RS256", "ES256"):
        assert gateway.status("/ai/chat/partner", token(algorithm, **{"https://issuer/who": "42"})) == 200
        assert gateway.consumer_of("/v1/partner") == "partner/jwks"
        assert gateway.status("/ai/chat/number", token(algorithm, **{"https://issuer/who": 42})) == 200
        assert gateway.status("/ai/chat/sibling", token(algorithm, sub="sibling")) == 200
        assert gateway.consumer_of("/v1/sibling") == "sibling/jwks"
        # Signed by the same issuer, and of somebody who was not let in here.
        assert refused(gateway, "/ai/chat/a", token(algorithm, uid="stranger")) == (403, "not_authorized")
        assert refused(gateway, "/ai/chat/a", token(algorithm, uid="acme", sub="acme")) == (403, "not_authorized")
        assert refused(gateway, "/ai/chat/a", token(algorithm, sub="sibling", exp=1)) == (401, "invalid_token")


def test_sets_that_share_a_key_each_know_their_own(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    """Envoy stops at the first set that can check a signature."""
    region.bearer("first", public=key_set(rsa_key()))
    region.bearer("second", public=PUBLIC)
    region.bearer("third", public=key_set(ec_key(), rsa_key()))
    region.change("chat", authorized=("acme", "first", "second", "third"))
    plane.publish(region)
    for name in ("first", "second", "third"):
        assert gateway.status(f"/ai/chat/{name}", token(uid=name)) == 200
        assert gateway.consumer_of(f"/v1/{name}") == f"{name}/jwks"
    # What only the second and third know how to check says nothing of the first.
    assert gateway.status("/ai/chat/a", token("ES256", uid="first")) == 403
    assert gateway.status("/ai/chat/a", token("ES256", uid="third")) == 200
    assert gateway.status("/ai/chat/a", shared_token("one", uid="acme")) == 200
    assert gateway.status("/ai/chat/a", shared_token("one", uid="first")) == 403
    assert gateway.status("/ai/chat/a") == 401


def test_the_token_of_one_service_opens_no_other(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("other", shared_set("two"))
    region.bearer("other", "other")
    region.token_service("notes", backend.port, "provider", authorized=("other",))
    region.key("alice", "alice-key-0123456789")
    region.consumer("alice", "alice")
    region.service("keyed", backend.port, "provider", authorized=("alice", "acme"))
    region.change("chat", authorized=("acme", "alice"))
    plane.publish(region)
    mine, others = shared_token("one", uid="acme"), shared_token("two", uid="other")
    assert [gateway.status(path, mine) for path in ("/ai/chat/a", "/ai/notes/a", "/ai/keyed/a")] == [200, 401, 401]
    assert [gateway.status(path, others) for path in ("/ai/chat/a", "/ai/notes/a", "/ai/keyed/a")] == [401, 200, 401]
    # Each service asks for its own kind: a grant to a consumer of the other kind is without effect.
    assert [gateway.status(path, "alice-key-0123456789") for path in ("/ai/chat/a", "/ai/notes/a", "/ai/keyed/a")] == [401, 401, 200]


def test_where_nobody_with_tokens_is_authorized_nobody_comes_in(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("alice", "alice-key-0123456789")
    region.consumer("alice", "alice")
    region.change("chat", authorized=("alice",))
    plane.publish(region)
    for given in ("", "alice-key-0123456789", shared_token("one", uid="acme")):
        assert refused(gateway, "/ai/chat/a", given) == (403, "not_authorized")
    assert not backend.seen


def test_revoking_disabling_and_a_secret_that_cannot_be_read_end_it(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.bearer("partner", public=PUBLIC)
    region.change("chat", authorized=("acme", "partner"))
    plane.publish(region)
    mine, partners = shared_token("one", uid="acme"), token(uid="partner")
    assert [gateway.status("/ai/chat/a", given) for given in (mine, partners)] == [200, 200]
    region.unreadable.add("acme")
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", given) for given in (mine, partners)] == [401, 200]
    region.unreadable.clear()
    region.disabled.add("partner")
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", given) for given in (mine, partners)] == [200, 401]
    region.disabled.clear()
    region.change("chat", authorized=("partner",))
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", given) for given in (mine, partners)] == [401, 200]
    region.unreadable.add("acme")
    region.change("chat", authorized=("acme",))
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", given) for given in (mine, partners)] == [401, 401]


def test_a_rotation_changes_the_list_of_sets_alone_and_loses_no_request(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    before = plane.publish(region)
    old, new = shared_token("one", uid="acme"), shared_token("new", uid="acme")
    region.key("acme", shared_set("new"), shared_set("one"))
    after = plane.publish(region, wait=False)
    assert changed_kinds(before, after) == {EXTENSION}
    while plane.notes.effective.get(1) != plane._seq:
        assert gateway.status("/ai/chat/a", old) == 200
    assert [gateway.status(f"/ai/chat/{name}", given) for name, given in (("old", old), ("new", new))] == [200, 200]
    assert (gateway.consumer_of("/v1/old"), gateway.consumer_of("/v1/new")) == ("acme/jwks~1", "acme/jwks~0")
    region.key("acme", shared_set("new"))
    assert changed_kinds(after, plane.publish(region)) == {EXTENSION}
    assert [gateway.status("/ai/chat/a", given) for given in (old, new)] == [401, 200]


@pytest.mark.parametrize(
    ("place", "prefix", "path", "headers"),
    [
        (header("x-token"), "", "/ai/chat/a?b=%26", {"x_token": "{}"}),
        (header("x-token"), "Tok", "/ai/chat/a?b=%26", {"x_token": "Tok {}"}),
        (BEARER, "", "/ai/chat/a?b=%26", {"authorization": "{}"}),
        (BEARER, "Token", "/ai/chat/a?b=%26", {"authorization": "Token {}"}),
        (query("jwt"), "", "/ai/chat/a?b=%26&jwt={}", {}),
    ],
)
@pytest.mark.parametrize("pass_through", [False, True])
def test_places_and_whether_the_token_travels_on(
    plane: Plane,
    gateway: Gateway,
    backend: Backend,
    region: Region,
    place: object,
    prefix: str,
    path: str,
    headers: dict[str, str],
    pass_through: bool,
) -> None:
    given = shared_token("one", uid="acme")
    region.bearer("acme", "acme", place=place, prefix=prefix, pass_through=pass_through)
    region.change("chat", header="x-api-key", prefix="")
    plane.publish(region)
    sent = {name: value.format(given) for name, value in headers.items()}
    assert gateway.status(path.format(given), **sent) == 200
    assert backend.last.holds(given) is pass_through
    assert backend.last.header("x-api-key") == "sk-0"
    assert backend.last.target.startswith("/v1/a?b=%26")
    assert gateway.status("/ai/chat/a?b=%26", shared_token("two", uid="acme")) == 401


def test_a_refusal_does_not_repeat_the_address_that_was_called(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    """Whoever writes down answers would write down tokens."""
    region.bearer("acme", "acme", place=query("jwt"))
    plane.publish(region)
    expected = {"": 'Bearer realm="gateway"', shared_token("two", uid="acme"): 'Bearer realm="gateway", error="invalid_token"'}
    for given, challenge in expected.items():
        answer = gateway.get(f"/ai/chat/a?key=sk-1{'&jwt=' if given else ''}{given}")
        assert answer.status_code == 401
        assert answer.headers.get_list("www-authenticate") == [challenge]
        assert not {part for part in (given, "sk-1") if part and part in f"{answer.headers}{answer.text}"}


def test_a_token_travels_on_only_where_every_consumer_asks_for_it(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.change("chat", header="x-api-key", prefix="", authorized=("acme", "partner"))
    region.service("open", backend.port, "provider", consumer_authentication=False)
    for partner, expected in (({"pass_through": True}, True), ({}, False), ({"pass_through": True, "place": header("x-token")}, False)):
        region.bearer("acme", "acme", pass_through=True)
        region.bearer("partner", public=PUBLIC, **partner)
        plane.publish(region)
        given = shared_token("one", uid="acme")
        assert gateway.status("/ai/chat/a", given, x_token="own") == 200
        assert backend.last.holds(given) is expected
        # A service that asks for none sends on none.
        assert gateway.status("/ai/open/a", given) == 200
        assert not backend.last.holds(given)


def test_what_stands_in_the_dump_is_what_the_readme_says(plane: Plane, gateway: Gateway, region: Region) -> None:
    """Envoy takes a key set as part of its configuration: that is why its administration is a socket in a folder of the node's own."""
    plane.publish(region)
    secret = json.loads(shared_set("one"))["keys"][0]["k"]
    assert secret in gateway.admin("/config_dump")
    assert secret not in gateway.log + gateway.access_log
    assert gateway.node.admin_socket.stat().st_mode & 0o077 == 0
    assert gateway.node.folder.stat().st_mode & 0o077 == 0
