"""MCP services: the list, a new one, the page of one, and the key its server is shown."""

import uuid

import pytest

from gateway.models import Instance, McpService
from secrets_app.models import AuditEntry, Key, Reference, Region
from tests import cast
from tests.unit.console.asking import get, markup, post, text


@pytest.fixture
def gateway(region: Region) -> Instance:
    return cast.instance(region, "gateway")


@pytest.fixture
def tools(gateway: Instance) -> McpService:
    return cast.mcp(gateway, "tools.v1")


def place(instance: Instance, rest: str = "") -> str:
    return f"/local/instances/{instance.ref}/mcp/{rest}"


def configured(service: McpService, **fields: str) -> dict[str, str]:
    given = {"enabled": "on", "header": "Authorization", "word": "Bearer", "generation": "reference", "lock_version": service.lock_version}
    return {name: str(value) for name, value in (given | fields).items()}


def test_a_service_is_created_listed_and_found_at_its_endpoint(gateway: Instance) -> None:
    body = {"name": "tools.v1", "address": "https://tools.example.com", "transport": "streamable-http", "path": "/mcp"}
    answer = post(place(gateway, "new/"), body | {"consumer_authentication": "on"}, "olive", status=303)
    assert answer["Location"] == place(gateway, "tools.v1/")
    said = text(get(place(gateway)))
    assert "tools.v1 direct proxy Streamable HTTP https://tools.example.com/mcp Off Nobody yet: 403" in said
    assert "/mcp-servers/tools.v1/mcp" in text(get(place(gateway, "tools.v1/")))
    assert McpService.objects.get().consumer_authentication


def test_over_sse_a_message_path_belongs_to_it_and_over_http_it_is_not_read(gateway: Instance) -> None:
    body = {"address": "https://tools.example.com", "path": "/sse", "message_path": "/inbox"}
    post(place(gateway, "new/"), body | {"name": "sse", "transport": "sse"}, "olive", status=303)
    post(place(gateway, "new/"), body | {"name": "http", "transport": "streamable-http"}, "olive", status=303)
    assert dict(McpService.objects.values_list("name", "message_path")) == {"sse": "/inbox", "http": ""}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Tools"),
        ("name", "new"),
        ("address", "tools"),
        ("address", "https://tools.example.com/mcp"),
        ("path", "../etc"),
        ("transport", "ws"),
    ],
)
def test_what_is_wrong_stands_at_its_field(gateway: Instance, field: str, value: str) -> None:
    body = {"name": "tools", "address": "https://tools.example.com", "transport": "streamable-http", "path": "/mcp"} | {field: value}
    assert f"id_{field}-error" in markup(post(place(gateway, "new/"), body, "olive", status=422))
    assert not McpService.objects.exists()


def test_the_panel_has_the_documented_fields_in_their_order(tools: McpService) -> None:
    said = text(get(place(tools.instance, "tools.v1/backend-auth/")))
    labels = [
        "Authentication method",
        "API key",
        "Credential source",
        "Custom HTTP Header",
        "Header",
        "Generation method",
        "Reference Key",
        "Credential",
    ]
    found = [said.index(label) for label in ("Authentication method", "Credential source", "Generation method")]
    assert found == sorted(found)
    assert all(label in said for label in labels)


def test_a_key_is_referred_to_changed_and_released(region: Region, tools: McpService) -> None:
    key, panel = cast.key(region, "tools_key"), place(tools.instance, "tools.v1/backend-auth/")
    post(panel, configured(tools, key="tools_key"), "olive", status=303)
    stored = McpService.objects.get()
    assert (stored.header, stored.prefix, stored.generation) == ("authorization", "Bearer ", "reference")
    assert Reference.objects.get().path == "backend_auth"
    assert "authorization: Bearer $ref{tools_key}" in text(get(place(tools.instance, "tools.v1/")))
    post(panel, configured(stored, key="tools_key", header="x-api-key", word=""), "olive", status=303)
    assert (McpService.objects.get().header, Key.objects.get(pk=key.pk).reference_count) == ("x-api-key", 1)
    post(panel, configured(McpService.objects.get(), enabled=""), "olive", status=303)
    assert not Reference.objects.exists()
    assert "Off: the server is shown no key." in text(get(place(tools.instance, "tools.v1/")))
    assert AuditEntry.objects.latest("seq").action == "mcp.remove_backend_auth"


def test_a_value_of_its_own_is_never_shown_again(tools: McpService) -> None:
    panel = place(tools.instance, "tools.v1/backend-auth/")
    refused = post(panel, configured(tools, generation="custom", value="s3cret-value-for-tools", header="host"), "olive", status=422)
    assert "s3cret-value-for-tools" not in markup(refused)
    assert "id_header-error" in markup(refused)
    post(panel, configured(tools, generation="custom", value="s3cret-value-for-tools"), "olive", status=303)
    for page in (panel, place(tools.instance, "tools.v1/"), place(tools.instance)):
        assert "s3cret-value-for-tools" not in markup(get(page))
    kept = McpService.objects.get()
    post(panel, configured(kept, generation="custom", value="", header="x-api-key"), "olive", status=303)
    assert McpService.objects.get().references.get().key.version == 1


@pytest.mark.parametrize(
    ("given", "field"), [({"key": ""}, "key"), ({"key": "unknown"}, "key"), ({"header": ""}, "header"), ({"word": "two words"}, "word")]
)
def test_a_panel_that_cannot_be_saved_says_where(region: Region, tools: McpService, given: dict[str, str], field: str) -> None:
    cast.key(region, "tools_key")
    body = configured(tools, **({"key": "tools_key"} | given))
    assert f"id_{field}-error" in markup(post(place(tools.instance, "tools.v1/backend-auth/"), body, "olive", status=422))
    assert not Reference.objects.exists()


def test_an_old_instance_offers_no_reference(region: Region) -> None:
    old = cast.mcp(cast.instance(region, "old", version="2.1.10"), "tools")
    cast.key(region, "tools_key")
    panel = place(old.instance, "tools/backend-auth/")
    assert "2.1.11 or later; this instance has 2.1.10" in text(get(panel))
    post(panel, configured(old, key="tools_key"), "olive", status=422)


def test_a_form_that_something_changed_under_says_what_is_stored_now(region: Region, tools: McpService) -> None:
    cast.key(region, "tools_key")
    body = configured(tools, key="tools_key")
    tools.edit(address="https://tools.example.com", transport="sse", path="/sse", lock_version=tools.lock_version, by=cast.SETUP)
    refused = post(place(tools.instance, "tools.v1/backend-auth/"), body, "olive", status=409)
    assert "Stored now" in text(refused)
    edit = {"address": "https://tools.example.com", "transport": "sse", "path": "/other", "lock_version": "1"}
    assert "/sse" in text(post(place(tools.instance, "tools.v1/edit/"), edit, "olive", status=409))


def test_the_preview_shows_the_reference_and_never_a_value(tools: McpService) -> None:
    preview = place(tools.instance, "new/preview/")
    said = text(get(f"{preview}?header=Authorization&word=Bearer&generation=reference&key=tools_key"))
    assert "Authorization: Bearer $ref{tools_key}" in said
    assert "choose a key" in text(get(f"{preview}?header=x-api-key&generation=reference"))
    assert "••••••••" in text(get(f"{preview}?header=x-api-key&generation=custom&value=s3cret"))


@pytest.mark.parametrize(("who", "status"), [("olive", 303), ("kim", 403), ("vera", 403), ("audrey", 403)])
def test_who_may_configure(region: Region, tools: McpService, who: str, status: int) -> None:
    cast.key(region, "tools_key")
    post(place(tools.instance, "tools.v1/backend-auth/"), configured(tools, key="tools_key"), who, status=status)


def test_callers_are_authorized_and_revoked_here_too(region: Region, tools: McpService) -> None:
    cast.consumer(region, "acme")
    base = place(tools.instance, "tools.v1/")
    post(f"{base}authorize/", {"consumers": "acme"}, "olive", status=303)
    assert "acme" in text(get(base))
    post(f"{base}authorize/", {"consumers": "acme"}, "olive", status=409)
    post(f"{base}revoke/acme/", {}, "olive", status=303)
    post(f"{base}open/", {}, "olive", status=303)
    post(f"{base}require-authentication/", {}, "olive", status=303)
    answer = post(f"{base}delete/", {"confirm": "tools.v1", "once": str(uuid.uuid4())}, "olive", status=303)
    assert answer["Location"] == place(tools.instance)
    assert not McpService.objects.exists()


def test_what_lies_elsewhere_is_not_found(region: Region, tools: McpService) -> None:
    other = cast.instance(region, "other")
    for rest in ("tools.v1/", "tools.v1/edit/", "tools.v1/backend-auth/", "tools.v1/delete/"):
        get(place(other, rest), status=404)
