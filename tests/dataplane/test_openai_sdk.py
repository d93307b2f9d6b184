"""The real SDK, as people's programs use it: only its base URL and its key are the gateway's."""

from collections.abc import Iterator

import openai
import pytest

from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region, header

pytestmark = pytest.mark.envoy

ALICE, BOB = "alice-key-0123456789", "bobby-key-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("alice", ALICE)
    region.key("bob", BOB)
    region.key("provider", "sk-provider-0123456789")
    region.consumer("alice", "alice")
    region.consumer("bob", "bob", sources=(header("x-team-key"),))
    region.consumer("idle", "bob")
    region.service("chat", backend.port, "provider", authorized=("alice", "bob"))
    region.service("closed", backend.port, "provider", authorized=("bob",))
    backend.accepts = {"Bearer sk-provider-0123456789"}
    return region


@pytest.fixture
def sdk(plane: Plane, gateway: Gateway, region: Region) -> Iterator["Maker"]:
    plane.publish(region)
    clients: list[openai.OpenAI] = []

    def make(service: str, key: str, **headers: str) -> openai.OpenAI:
        clients.append(openai.OpenAI(base_url=f"{gateway.url}/ai/{service}", api_key=key, max_retries=0, default_headers=headers))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class Maker:
    def __call__(self, service: str, key: str, **headers: str) -> openai.OpenAI: ...


def test_a_completion(sdk: Maker, backend: Backend) -> None:
    answer = sdk("chat", ALICE).chat.completions.create(model="gpt", messages=[{"role": "user", "content": "ping"}])
    assert answer.choices[0].message.content == "pong"
    assert backend.last.target == "/v1/chat/completions"
    assert not backend.last.holds(ALICE)


def test_a_stream_arrives_word_by_word(sdk: Maker, backend: Backend) -> None:
    backend.gap.clear()  # the back end says one word and waits
    stream = sdk("chat", ALICE).chat.completions.create(model="gpt", messages=[{"role": "user", "content": "ping"}], stream=True)
    words = (chunk.choices[0].delta.content for chunk in stream)
    assert next(words) == "one"
    backend.gap.set()
    assert "".join(word or "" for word in words) == " two three"


def test_a_key_in_a_header_of_its_own_beside_the_one_the_sdk_insists_on(sdk: Maker, backend: Backend) -> None:
    client = sdk("closed", "the-sdk-needs-some-key", **{"x-team-key": BOB})
    assert client.chat.completions.create(model="gpt", messages=[]).choices[0].message.content == "pong"
    assert not backend.last.holds("the-sdk-needs-some-key")
    assert not backend.last.holds(BOB)


def test_a_wrong_key_is_an_authentication_error_that_says_whose(sdk: Maker) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        sdk("chat", "wrong-key-0123456789").chat.completions.create(model="gpt", messages=[])
    assert refused.value.code == "invalid_api_key"
    assert "This API key is not accepted here." in refused.value.message
    assert "wrong-key" not in str(refused.value)


def test_a_consumer_that_is_not_authorised_is_a_permission_error(sdk: Maker) -> None:
    with pytest.raises(openai.AuthenticationError):
        sdk("closed", ALICE).chat.completions.create(model="gpt", messages=[])
    with pytest.raises(openai.PermissionDeniedError, match="valid, but not for this service") as refused:
        sdk("closed", "any", **{"x-team-key": ALICE}).chat.completions.create(model="gpt", messages=[])
    assert refused.value.code == "not_authorized"


def test_an_unknown_service_is_not_found(sdk: Maker) -> None:
    with pytest.raises(openai.NotFoundError, match="no service at this address"):
        sdk("none", ALICE).chat.completions.create(model="gpt", messages=[])


def test_a_key_that_the_provider_refuses_is_the_providers_own_error(
    sdk: Maker, backend: Backend, plane: Plane, region: Region, gateway: Gateway
) -> None:
    region.key("provider", "sk-expired-0123456789")
    plane.publish(region)
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"):
        sdk("chat", ALICE).chat.completions.create(model="gpt", messages=[])
