"""MCP services and their deeds. Each test asserts the state and the one audit entry."""

from collections.abc import Callable

import pytest
from django.test import override_settings

from gateway.models import Instance, McpService, NewCredential, Node, Service
from secrets_app.access import ACTIONS, OPERATOR, OWNER, Action
from secrets_app.errors import Conflict, Invalid, NotAllowed, StaleEdit
from secrets_app.models import AuditEntry, Key, KeyVersion, Region
from tests import cast


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region, "east")


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def create(instance: Instance, **changes: object) -> McpService:
    given = {"name": "tools", "address": "https://tools.example.com", "transport": "streamable-http", "path": "/mcp", "by": cast.SETUP}
    return McpService.create(instance, **given | changes)  # type: ignore[arg-type]


def edit(service: McpService, **changes: object) -> None:
    now = McpService.objects.get(pk=service.pk)
    same = {name: getattr(now, name) for name in ("address", "transport", "path", "message_path", "lock_version")}
    service.edit(**same | {"by": cast.SETUP} | changes)


def configure(service: McpService, credential: NewCredential | None, header: str = "X-Api-Key", **changes: object) -> None:
    now = McpService.objects.get(pk=service.pk).lock_version
    service.configure_backend_auth(header, credential, **{"lock_version": now, "by": cast.SETUP} | changes)  # type: ignore[arg-type]


def refers(name: str) -> NewCredential:
    return NewCredential("reference", key_name=name)


def errors(act: Callable[[], object]) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as refused:
        act()
    return refused.value.errors


def test_a_new_service_shows_no_key_and_asks_for_one(instance: Instance) -> None:
    service = create(instance)
    assert (service.consumer_authentication, service.generation, service.backend_auth) == (True, "", None)
    assert (service.entrance, service.supplier_label, service.message_path) == ("/mcp-servers/tools/mcp", "Streamable HTTP", "")
    entry = last_entry()
    assert (entry.action, entry.target_kind, entry.target) == ("mcp.create", "mcp_service", "tools")
    assert entry.facts == {
        "instance": instance.ref,
        "address": "https://tools.example.com",
        "transport": "streamable-http",
        "path": "/mcp",
        "consumer_authentication": True,
    }
    assert service.changed_seq == entry.seq


def test_over_sse_messages_have_a_path_of_their_own(instance: Instance) -> None:
    assert create(instance, transport="sse", path="/test/sse").message_path == "/messages"
    assert create(instance, name="b", transport="sse", path="/sse", message_path="/api/message/").message_path == "/api/message"
    assert create(instance, name="c", message_path="not looked at").message_path == ""
    assert last_entry().facts.get("message_path") is None


@pytest.mark.parametrize("name", ["a", "9", "a-b", "tools.v2", "a--b.c-d", "x" * 64])
def test_names_may_hold_hyphens_and_dots(instance: Instance, name: str) -> None:
    assert create(instance, name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "-a", "a-", ".a", "a.", "a..b", "a.-b", "x" * 65, "a b", "a/b", "ä", "a\n", "new", "options"]
)
def test_names_that_are_none(instance: Instance, name: str) -> None:
    assert list(errors(lambda: create(instance, name=name))) == ["name"]


def test_a_name_is_taken_once_among_the_mcp_services_of_an_instance(instance: Instance) -> None:
    cast.service(instance, "tools")
    create(instance)
    with pytest.raises(Invalid, match="taken"):
        create(instance)
    assert create(cast.instance(instance.region)).pk


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("address", "https://tools.example.com/mcp"),
        ("address", "ftp://tools.example.com"),
        ("address", "https://user:word@tools.example.com"),
        ("address", ""),
        ("transport", "stdio"),
        *(("path", path) for path in ("", "mcp", "/a//b", "/a/../b", "/./a", "/a?b", "/a#b", "/a b", "/a%2fb", "//a", "/" + "a" * 200)),
        *(("message_path", path) for path in ("/", "messages", "/a/../b", "//", "/" + "a" * 200)),
    ],
)
def test_what_is_wrong_is_told_at_its_field(instance: Instance, field: str, wrong: str) -> None:
    assert list(errors(lambda: create(instance, **{"transport": "sse", field: wrong}))) == [field]
    assert not Service.objects.exists()


def test_the_root_and_a_slash_at_the_end_are_paths(instance: Instance) -> None:
    assert [create(instance, name=f"n{n}", path=path).path for n, path in enumerate(("/", "/mcp/", "/a/b.c"))] == ["/", "/mcp/", "/a/b.c"]


@override_settings(WEB_PORT=8000, XDS_PORT=18000)
def test_an_address_may_not_be_our_own(instance: Instance) -> None:
    Node.join(instance, "local", "127.0.0.1", 8080, by=cast.SETUP)
    for port in (8000, 18000, 8080):
        with pytest.raises(Invalid, match="own address"):
            create(instance, address=f"http://localhost:{port}")
    assert create(instance, address="http://localhost:9000").in_clear is False


def test_open_from_the_start_needs_the_right_to_open(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    assert create(instance, consumer_authentication=False).consumer_authentication is False
    monkeypatch.setitem(ACTIONS, "mcp.open", Action(ACTIONS["mcp.open"].text, frozenset({OWNER})))
    with pytest.raises(NotAllowed):
        create(instance, name="b", consumer_authentication=False, by=cast.holding("olive", OPERATOR))


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_touch_mcp_services(instance: Instance, who: str) -> None:
    service, actor = create(instance), cast.actor(who)
    deeds: list[Callable[[], object]] = [
        lambda: create(instance, name="mine", by=actor),
        lambda: edit(service, address="https://evil.example", by=actor),
        lambda: configure(service, NewCredential("custom", cast.value()), by=actor),
        lambda: service.remove_backend_auth(by=actor),
        lambda: service.delete(by=actor),
        lambda: service.open(by=actor),
        lambda: service.require_authentication(by=actor),
        lambda: service.authorize(["acme"], by=actor),
    ]
    for deed in deeds:
        with pytest.raises(NotAllowed):
            deed()
    assert McpService.objects.get().address == "https://tools.example.com"
    assert McpService.visible_to(actor, instance).exists() == (who in ("kim", "vera"))


# Backend authentication


def test_backend_authentication_with_a_reference_key(instance: Instance) -> None:
    key, service = cast.key(instance.region, "upstream"), create(instance)
    configure(service, refers("upstream"), by=cast.actor("olive"))
    use = service.backend_auth
    assert use
    assert (use.path, use.key, use.inbound) == ("backend_auth", key, False)
    assert (service.header, service.prefix, service.generation, service.lock_version) == ("x-api-key", "", "reference", 2)
    assert Key.objects.get(pk=key.pk).reference_count == 1
    entry = last_entry()
    assert (entry.action, entry.target) == ("mcp.configure_backend_auth", "tools")
    assert entry.facts == {
        "instance": instance.ref,
        "header": "x-api-key",
        "prefix": "",
        "generation": "reference",
        "key": "upstream",
        "released": [],
        "trimmed": False,
    }
    assert service.changed_seq == entry.seq


def test_a_value_of_its_own_is_an_inline_key(instance: Instance) -> None:
    service = create(instance)
    configure(service, NewCredential("custom", cast.value()), "Authorization", prefix="Bearer ")
    assert service.backend_auth
    assert service.backend_auth.key.is_inline
    assert (service.shape.header, service.shape.prefix, last_entry().facts["prefix"]) == ("authorization", "Bearer ", "Bearer")


def test_changing_it_keeps_or_releases_the_key(instance: Instance) -> None:
    old, service = cast.key(instance.region, "old"), create(instance)
    cast.key(instance.region, "another")
    configure(service, refers("old"))
    configure(service, None, "X-Other")
    assert (service.header, service.backend_auth and service.backend_auth.key) == ("x-other", old)
    configure(service, refers("another"), "X-Other")
    assert last_entry().facts["released"] == ["old"]
    configure(service, NewCredential("custom", cast.value()), "X-Other")
    assert service.backend_auth
    inline = service.backend_auth.key_id
    configure(service, refers("old"), "X-Other")
    assert not KeyVersion.objects.filter(key=inline).exists()
    assert {key.name: key.reference_count for key in Key.objects.all()} == {"old": 1, "another": 0}


def test_turning_it_off_releases_the_key(instance: Instance) -> None:
    cast.key(instance.region, "upstream")
    service = create(instance)
    with pytest.raises(Conflict, match="off already"):
        service.remove_backend_auth(by=cast.SETUP)
    configure(service, refers("upstream"))
    service.remove_backend_auth(by=cast.actor("olive"))
    stored = McpService.objects.get()
    assert (stored.header, stored.prefix, stored.generation, stored.backend_auth) == ("", "", "", None)
    assert (last_entry().action, last_entry().facts["released"]) == ("mcp.remove_backend_auth", ["upstream"])
    assert Key.objects.get().reference_count == 0


@pytest.mark.parametrize(
    "header",
    [
        *("", "X Api", "x:y", ":authority", "a\nb", "é", "x" * 65),
        *(
            "Host",
            "Connection",
            "transfer-encoding",
            "TE",
            "Content-Type",
            "Content-Length",
            "Accept",
            "Accept-Encoding",
            "Cookie",
            "Origin",
        ),
        *("Mcp-Session-Id", "mcp-protocol-version", "Last-Event-Id", "X-Forwarded-For", "X-Envoy-Foo", "x-latchkey-consumer"),
    ],
)
def test_headers_that_a_key_may_not_travel_in(instance: Instance, header: str) -> None:
    service = create(instance)
    assert list(errors(lambda: configure(service, NewCredential("custom", cast.value()), header))) == ["header"]
    assert McpService.objects.get().header == ""
    assert not Key.objects.exists()


@pytest.mark.parametrize("prefix", [" Bearer", "Bearer", "Bearer  ", "sk-1234 ", "B" * 17 + " ", "Bearer\n", "Bearer %REQ(x)% "])
def test_a_prefix_is_one_word_in_which_no_key_fits(instance: Instance, prefix: str) -> None:
    service = create(instance)
    assert list(errors(lambda: configure(service, NewCredential("custom", cast.value()), prefix=prefix))) == ["prefix"]


def test_a_refused_credential_is_told_at_its_field_and_changes_nothing(instance: Instance) -> None:
    cast.key(instance.region, "off").disable(by=cast.SETUP)
    cast.key(Region.create("other", "Other", by=cast.SETUP), "foreign")
    service = create(instance)
    for name in ("off", "foreign", "nobody", ""):
        assert list(errors(lambda: configure(service, refers(name)))) == ["key"]  # noqa: B023
    assert list(errors(lambda: configure(service, NewCredential("custom", cast.value("$ref{off}"))))) == ["value"]
    assert list(errors(lambda: configure(service, NewCredential("custom", cast.value("a\nb"))))) == ["value"]
    assert list(errors(lambda: configure(service, NewCredential("system", cast.value())))) == ["generation"]
    assert list(errors(lambda: configure(service, None))) == ["generation"]
    assert McpService.objects.get().generation == ""


def test_an_old_instance_takes_no_references(region: Region) -> None:
    service = create(cast.instance(region, version="2.1.10"))
    cast.key(region, "shared")
    assert list(errors(lambda: configure(service, refers("shared")))) == ["generation"]
    configure(service, NewCredential("custom", cast.value()))


def test_a_stale_configuration_shows_what_is_stored_now(instance: Instance) -> None:
    service = create(instance)
    configure(service, NewCredential("custom", cast.value()), "X-Theirs")
    with pytest.raises(StaleEdit) as refused:
        service.configure_backend_auth("X-Mine", NewCredential("custom", cast.value()), lock_version=1, by=cast.SETUP)
    assert refused.value.current["header"] == "x-theirs"
    assert McpService.objects.get().header == "x-theirs"


# Editing and the rest


def test_an_edit_says_what_changed(instance: Instance) -> None:
    service = create(instance)
    edit(service, transport="sse", path="/sse")
    stored = McpService.objects.get()
    assert (stored.transport, stored.path, stored.message_path, stored.lock_version) == ("sse", "/sse", "/messages", 2)
    assert last_entry().facts["changed"] == ["transport", "path", "message_path"]


def test_who_may_not_bind_keys_may_not_send_bound_ones_elsewhere(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.key(instance.region, "one")
    service = create(instance)
    configure(service, refers("one"))
    monkeypatch.setitem(ACTIONS, "key.bind", Action(ACTIONS["key.bind"].text, frozenset({OWNER})))
    unbinding = cast.holding("olive", OPERATOR)
    for change in ({"address": "https://elsewhere.example"}, {"path": "/echo"}):
        with pytest.raises(NotAllowed):
            edit(service, **change, by=unbinding)
    edit(service, by=unbinding)


def test_grants_are_those_of_every_service_under_rights_of_their_own(instance: Instance) -> None:
    service = create(instance)
    acme = cast.consumer(instance.region, "acme")
    service.authorize(["acme"], by=cast.actor("olive"))
    assert (last_entry().action, last_entry().facts["consumers"]) == ("mcp.authorize", ["acme"])
    service.revoke(acme, by=cast.actor("olive"))
    assert last_entry().action == "mcp.revoke"
    service.open(by=cast.actor("olive"))
    assert (last_entry().action, McpService.objects.get().consumer_authentication) == ("mcp.open", False)
    service.require_authentication(by=cast.actor("olive"))
    assert last_entry().action == "mcp.require_authentication"


def test_deleting_ends_reference_and_authorizations(instance: Instance) -> None:
    cast.key(instance.region, "upstream")
    cast.consumer(instance.region, "acme")
    service = create(instance)
    configure(service, refers("upstream"))
    service.authorize(["acme"], by=cast.SETUP)
    service.delete(by=cast.actor("olive"))
    assert (last_entry().action, last_entry().facts) == ("mcp.delete", {"instance": instance.ref, "released": ["upstream"], "consumers": 1})
    assert Key.objects.get(name="upstream").reference_count == 0
    assert not Service.objects.exists()
