"""Key sets that Envoy fetches itself, from a server that answers, one that has gone, and one that says nothing."""

import json
import secrets
import socket
import time
from collections.abc import Iterator

import pytest

from tests.dataplane.backend import Backend, running_backend
from tests.dataplane.gateway import Gateway, running_gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.keys_of_tokens import ec_key, key_set, rsa_key, shared_set, shared_token, token
from tests.processes import eventually

pytestmark = pytest.mark.envoy

JSON = {"content-type": "application/json"}


@pytest.fixture
def issuer() -> Iterator[Backend]:
    with running_backend() as issuer:
        issuer.answers["/jwks"] = (JSON, key_set(rsa_key()).encode())
        yield issuer


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("provider", "sk-0")
    region.key("acme", shared_set("one"))
    region.bearer("acme", "acme")
    region.token_service("chat", backend.port, "provider", authorized=("acme", "partner"))
    return region


def url(port: int) -> str:
    return f"http://localhost:{port}/jwks"


def test_the_set_is_fetched_and_kept(plane: Plane, gateway: Gateway, backend: Backend, issuer: Backend, region: Region) -> None:
    region.bearer("partner", url=url(issuer.port), cache_seconds=600)
    region.bearer("sibling", url=url(issuer.port), cache_seconds=3600, claim="sub")
    region.change("chat", authorized=("acme", "partner", "sibling"))
    plane.publish(region)
    for name, claims in (("partner", {"uid": "partner"}), ("sibling", {"sub": "sibling"})):
        assert gateway.status(f"/ai/chat/{name}", token(**claims)) == 200
        assert gateway.consumer_of(f"/v1/{name}") == f"{name}/jwks"
    fetched = len(issuer.seen)
    assert {seen.target for seen in issuer.seen} == {"/jwks"}
    assert issuer.last.header("host") == f"localhost:{issuer.port}"
    assert not {"authorization", "cookie"} & issuer.last.names
    assert all(gateway.status("/ai/chat/a", token(uid="partner")) == 200 for _ in range(20))
    assert len(issuer.seen) == fetched
    assert gateway.status("/ai/chat/a", token(uid="other")) == 403
    assert gateway.status("/ai/chat/a", token("ES256", uid="partner")) == 401


def test_a_fetched_and_a_pasted_set_that_share_a_key_each_know_their_own(
    plane: Plane, gateway: Gateway, backend: Backend, issuer: Backend, region: Region
) -> None:
    region.bearer("partner", url=url(issuer.port), cache_seconds=600)
    region.bearer("pasted", public=key_set(rsa_key()))
    region.change("chat", authorized=("acme", "partner", "pasted"))
    plane.publish(region)
    assert gateway.status("/ai/chat/a", token(uid="pasted")) == 200
    eventually(lambda: gateway.status("/ai/chat/fetched", token(uid="partner")) == 200, within=5)
    assert gateway.consumer_of("/v1/fetched") == "partner/jwks"


def test_new_keys_of_an_issuer_are_known_once_its_set_is_fetched_again(
    plane: Plane, gateway: Gateway, backend: Backend, issuer: Backend, region: Region
) -> None:
    region.bearer("partner", url=url(issuer.port), cache_seconds=6)
    plane.publish(region)
    assert gateway.status("/ai/chat/a", token(uid="partner")) == 200
    issuer.answers["/jwks"] = (JSON, key_set(ec_key()).encode())
    eventually(lambda: gateway.status("/ai/chat/a", token("ES256", uid="partner")) == 200, within=15)
    assert gateway.status("/ai/chat/a", token(uid="partner")) == 401


@pytest.mark.parametrize("how", ["silent", "gone", "nameless", "wrong"])
def test_an_issuer_that_is_away_harms_its_own_consumers_alone(
    plane: Plane, gateway: Gateway, backend: Backend, issuer: Backend, silent: int, region: Region, how: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone = taken.getsockname()[1]
    issuer.answers["/jwks"] = (JSON, json.dumps({"error": "not today"}).encode())
    addresses = {"silent": url(silent), "gone": url(gone), "nameless": "http://keys.invalid/jwks", "wrong": url(issuer.port)}
    with running_backend() as other:
        other.answers["/jwks"] = (JSON, key_set(ec_key()).encode())
        region.bearer("partner", url=addresses[how], cache_seconds=600)
        region.bearer("fetched", url=url(other.port), cache_seconds=600)
        region.change("chat", authorized=("acme", "fetched", "partner"))
        region.token_service("notes", backend.port, "provider", authorized=("partner",))
        plane.publish(region)
        began = time.monotonic()
        assert gateway.status("/ai/chat/a", shared_token("one", uid="acme")) == 200
        assert gateway.status("/ai/chat/a", token("ES256", uid="fetched")) == 200
        assert time.monotonic() - began < 1.5
        for path in ("/ai/chat/a", "/ai/notes/a"):
            assert gateway.status(path, token(uid="partner")) == 401
        assert gateway.status("/ai/chat/a", token("ES256", uid="partner")) in (401, 403)


def test_an_issuer_that_says_nothing_delays_no_start(
    plane: Plane, backend: Backend, silent: int, region: Region, tmp_path_factory: pytest.TempPathFactory
) -> None:
    region.bearer("partner", url=url(silent), cache_seconds=600)
    node_token = secrets.token_urlsafe(32)
    plane.join(2, node_token)
    plane.publish(region, node=2, wait=False)
    began = time.monotonic()
    with running_gateway(tmp_path_factory.mktemp("node"), "node-2", plane.port, node_token) as gateway:
        gateway.wait_until_ready()
        took = time.monotonic() - began
        assert gateway.status("/ai/chat/a", shared_token("one", uid="acme")) == 200
    assert took < 6
