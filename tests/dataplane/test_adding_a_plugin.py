"""Adding a plugin is one module and one test.

Here is such a module, whole, and what comes with it: from the catalogue's page to a running Envoy.
"""

import pytest
from django.test import Client

from gateway.models import Instance
from gateway.plugins import CATALOGUE
from gateway.plugins.base import Config, Native, Official, Secret, SecretName
from gateway.plugins.envoy import injecting, removing, typed
from gateway.plugins.examine import examine
from secrets_app.models import Key
from tests import cast
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region

HEADER = "x-partner-token"

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["token"],
    "properties": {
        "token": {"type": "string", "description": "Sent to the back end in x-partner-token.", "minLength": 1},
        "greeting": {"type": "string", "description": "Sent beside it in x-greeting.", "default": "hello", "maxLength": 64},
    },
}


def native(config: Config, level: str, above: Config | None = None) -> Native:
    """The key's value travels as a secret; what is no secret may stand in a filter."""
    sent = injecting(0, SecretName(("token",), config["token"]))
    sent["credential"]["typed_config"]["header"] = HEADER
    greeting = {"append": {"header": {"key": "x-greeting", "value": config.get("greeting", "hello")}}}
    return Native(
        filters=(removing([HEADER]), sent, typed("header_mutation.v3.HeaderMutation", mutations={"request_mutations": [greeting]}))
    )


PLUGIN = Official(
    name="partner-token",
    title="Partner token",
    summary="Shows a token to the back end.",
    documentation=("A caller's own header of that name does not travel on.",),
    version="1.0.0",
    phase="default",
    priority=100,
    schema=SCHEMA,
    example="token: $ref{secretName}\n",
    secret_fields={"token": Secret(inbound=False, travels="Delivered to the gateway as a secret, which Envoy never shows.")},
    native=native,
)


@pytest.fixture(autouse=True)
def _in_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its place in gateway/plugins/official/ does."""
    monkeypatch.setitem(CATALOGUE, PLUGIN.name, PLUGIN)


def test_its_example_passes_and_a_slip_is_told_with_its_place() -> None:
    assert examine(PLUGIN, PLUGIN.example, "service")[1] == []
    (fault,) = examine(PLUGIN, "token: $ref{x}\ngreting: hi\n", "service")[1]
    assert (fault.line, fault.path, fault.meant) == (2, "greting", "greeting")
    assert "in the clear" in examine(PLUGIN, "token: hunter2\n", "service")[1][0].message


@pytest.mark.django_db
def test_it_has_its_pages() -> None:
    region = cast.deployment()
    key, instance = cast.key(region, "secretName"), cast.instance(region)
    alice: Client = cast.client("alice")
    plugins = f"/local/instances/{instance.ref}/plugins/"
    assert "Shows a token to the back end." in alice.get(plugins).content.decode()
    assert alice.post(f"{plugins}partner-token/install/").status_code == 303
    editor = alice.get(f"{plugins}partner-token/rules/instance/edit/").content.decode()
    assert "token: $ref{secretName}" in editor
    assert "Sent beside it in x-greeting." in editor
    body = {"step": "save", "text": PLUGIN.example, "enabled": "on"}
    assert alice.post(f"{plugins}partner-token/rules/instance/edit/", body).status_code == 303
    assert Key.objects.get(pk=key.pk).reference_count == 1
    assert Instance.objects.get().plugins.get().rules.get().enabled


@pytest.mark.envoy
def test_it_works_on_a_running_gateway_and_shows_its_value_to_the_back_end_alone(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    value = "the-partners-token-0123456789"
    region.key("secretName", value)
    region.key("provider", "sk-0")
    region.service("chat", backend.port, "provider", consumer_authentication=False)
    region.rule("partner-token", "token: $ref{secretName}\ngreeting: good day\n", service="chat")
    plane.publish(region)
    assert gateway.client.get(f"{gateway.url}/ai/chat/models", headers={HEADER: "forged"}).status_code == 200
    assert (backend.last.header(HEADER), backend.last.header("x-greeting")) == (value, "good day")
    assert value not in gateway.admin("/config_dump?include_eds")
