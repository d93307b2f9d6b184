"""Where keys go, whoever holds them: no deed of an operator sends one past its policy, whatever way it takes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway import moving, policing
from gateway.models import AgentService, AiService, Consumer, CustomPlugin, Instance, NewAgent, NewCredential, NewKeys, Rule
from gateway.models.mcp_service import McpService
from gateway.plugins import CATALOGUE
from gateway.plugins.installed import script_name
from secrets_app.errors import Conflict, Invalid, NotAllowed, StaleEdit
from secrets_app.models import AuditEntry, Key, Region
from secrets_app.models.policy import CLOSED, Policy, checked
from tests import cast

OURS, EVIL = "https://api.example.com/v1", "https://evil.example/v1"
OLIVE, KIM, ALICE = "olive", "kim", "alice"
ADDING = "reqRules:\n- operate: add\n  headers:\n  - key: x-partner\n    value: $ref{bounded}\n"
ASKING = "http_service:\n  endpoint:\n    address: %s\n  authorization_request:\n    headers_to_add:\n      x-gateway: $ref{bounded}\n"


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


@pytest.fixture
def east(region: Region) -> Instance:
    return cast.instance(region, "east")


def policy_of(*kinds: str, hosts: tuple[str, ...] = ("api.example.com",), headers: tuple[str, ...] = ()) -> Policy:
    return checked(kinds=kinds, hosts=hosts, headers=headers)


@pytest.fixture
def bounded(region: Region) -> Key:
    return cast.key(region, "bounded", policy=policy_of("ai_service", "agent_service", "mcp_service", "plugin"))


def chat(instance: Instance, key: str = "bounded", address: str = OURS, who: str = OLIVE, name: str = "chat") -> AiService:
    keys = NewKeys("reference", key_names=[key]) if key else NewKeys("custom", [cast.value()])
    return AiService.create(instance, name, "custom", "OpenAI/v1", address, keys, by=cast.actor(who))


def move_to(service: AiService, address: str, who: str = OLIVE, keys: NewKeys | None = None, **fields: str) -> None:
    service.refresh_from_db()
    where = {"supplier": "custom", "protocol": "OpenAI/v1", "address": address, **fields}
    service.edit(**where, lock_version=service.lock_version, keys=keys, by=cast.actor(who))


def write(instance: Instance, plugin: str, text: str, service: AiService | None = None, who: str = OLIVE, enabled: bool = True) -> Rule:
    installed = cast.plugin(instance, plugin)
    there = Rule.at(installed, service)
    version = there.lock_version if there else None
    return Rule.write(installed, service, text, lock_version=version, enabled=enabled, by=cast.actor(who))


def refused(deed: Callable[[], object]) -> dict[str, list[str]]:
    """What it is refused with; it leaves nothing behind but, of a conflict, an entry."""
    with pytest.raises(Invalid) as told:
        deed()
    return told.value.errors


# ── Services ──


def test_an_operator_makes_no_service_that_leads_elsewhere(east: Instance, bounded: Key) -> None:
    errors = refused(lambda: chat(east, address=EVIL))
    assert list(errors) == ["key_0"]
    assert "“bounded” may not be sent to evil.example" in errors["key_0"][0]
    assert AiService.objects.count() == 0
    assert chat(east).uses[0].key == bounded


@pytest.mark.parametrize(
    "address",
    [
        EVIL, "http://api.example.com/v1", "https://api.example.com:8443/v1", "https://api.example.com.evil.example", "https://xapi.example.com",
        "https://example.com", "https://xn--pi-7ga.example.com", "http://10.0.0.7:443",
    ],
)  # fmt: skip
def test_nor_does_an_edit_lead_one_elsewhere(east: Instance, bounded: Key, address: str) -> None:
    service = chat(east)
    assert list(refused(lambda: move_to(service, address))) == ["address"]
    service.refresh_from_db()
    assert service.address == OURS
    move_to(service, "https://API.example.com.:443/v2")  # the same host


def test_another_header_is_another_destination(region: Region, east: Instance) -> None:
    cast.key(region, "bounded", policy=policy_of("ai_service", headers=("authorization",)))
    service = chat(east)
    assert list(refused(lambda: move_to(service, OURS, supplier="claude", protocol="native"))) == ["supplier"]


def test_agents_and_mcp_services_too(east: Instance, bounded: Key) -> None:
    by, keys = cast.actor(OLIVE), NewKeys("reference", key_names=["bounded"])
    own = NewAgent("custom", OURS, header="x-agent")
    assert list(refused(lambda: AgentService.create(east, "a", NewAgent("custom", EVIL), keys, by=by))) == ["key_0"]
    agent = AgentService.create(east, "a", own, keys, by=by)
    assert list(refused(lambda: agent.edit(NewAgent("custom", EVIL, header="x-agent"), lock_version=1, by=by))) == ["address"]
    tools = McpService.create(east, "t", "https://evil.example", "streamable-http", "/mcp", by=by)
    reference = NewCredential("reference", key_name="bounded")
    assert list(refused(lambda: tools.configure_backend_auth("x-a", reference, lock_version=1, by=by))) == ["key"]
    tools.edit(address="https://api.example.com", transport="streamable-http", path="/mcp", lock_version=tools.lock_version, by=by)
    tools.configure_backend_auth("x-a", reference, lock_version=tools.lock_version, by=by)
    with pytest.raises(Invalid, match=r"address: .*evil\.example"):
        tools.edit(address="https://evil.example", transport="streamable-http", path="/mcp", lock_version=tools.lock_version, by=by)


def test_the_header_of_an_mcp_service_counts_too(region: Region, east: Instance) -> None:
    cast.key(region, "bounded", policy=policy_of("mcp_service", headers=("x-a",)))
    by = cast.actor(OLIVE)
    tools = McpService.create(east, "t", "https://api.example.com", "streamable-http", "/mcp", by=by)
    tools.configure_backend_auth("x-a", NewCredential("reference", key_name="bounded"), lock_version=1, by=by)
    assert list(refused(lambda: tools.configure_backend_auth("x-b", lock_version=tools.lock_version, by=by))) == ["header"]


def test_whoever_may_set_the_policy_makes_it_wider_in_the_same_deed_and_the_entry_says_so(region: Region, east: Instance) -> None:
    key = Key.create(region, "fresh", cast.value(), by=cast.actor(KIM))
    assert "may go nowhere yet" in refused(lambda: chat(east, "fresh"))["key_0"][0]
    service = chat(east, "fresh", who=ALICE)
    told = f"fresh: AI services to api.example.com in authorization on {east.ref}"
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.facts["policy"]) == ("service.create", [told])
    key.refresh_from_db()
    assert key.changed_seq == entry.seq
    chat(east, "fresh", name="second")
    assert "policy" not in AuditEntry.objects.latest("seq").facts
    refused(lambda: move_to(service, EVIL))
    move_to(service, EVIL, who=ALICE)
    assert "evil.example" in AuditEntry.objects.latest("seq").facts["policy"][0]


def test_instances_count(region: Region, east: Instance) -> None:
    west = cast.instance(region, "west")
    cast.key(region, "bounded", policy=checked(kinds=["ai_service"], hosts=["api.example.com"], instances=[east.ref]))
    chat(east)
    assert f"may not be used on the instance {west.ref}" in refused(lambda: chat(west))["key_0"][0]


# ── Values of a holder's own ──


@pytest.mark.parametrize("who", [OLIVE, ALICE])
def test_a_value_of_its_own_goes_to_no_other_host_until_it_is_entered_again(east: Instance, who: str) -> None:
    service = chat(east, "")
    assert "was entered for api.example.com" in refused(lambda: move_to(service, EVIL, who))["address"][0]
    assert "was entered for" in refused(lambda: move_to(service, "http://api.example.com/v1", who))["address"][0]
    move_to(service, "https://api.example.com/v2", who)
    move_to(service, EVIL, who, NewKeys("custom", [cast.value()]))
    assert service.uses[0].key.policy.hosts == ("evil.example",)


def test_of_an_agent_with_apps_those_that_are_kept_stay_where_they_are(east: Instance) -> None:
    by = cast.actor(OLIVE)
    two = NewKeys("custom", [cast.value(), cast.value()], app_ids=["a", "b"])
    agent = AgentService.create(east, "studio", NewAgent("model-studio", OURS), two, by=by)
    one_new = NewKeys("custom", [cast.value(), None], app_ids=["a", "b"])
    errors = refused(lambda: agent.edit(NewAgent("model-studio", EVIL), lock_version=1, keys=one_new, by=by))
    assert list(errors) == ["address"]


def test_the_back_end_authentication_of_an_mcp_service_too(east: Instance) -> None:
    by = cast.actor(OLIVE)
    tools = McpService.create(east, "t", "https://api.example.com", "streamable-http", "/mcp", by=by)
    tools.configure_backend_auth("x-a", NewCredential("custom", cast.value()), lock_version=1, by=by)
    tools.configure_backend_auth("x-b", lock_version=tools.lock_version, by=by)
    with pytest.raises(Invalid, match="was entered for api"):
        tools.edit(address="https://evil.example", transport="streamable-http", path="/mcp", lock_version=tools.lock_version, by=by)


# ── Consumers ──


def test_a_key_for_suppliers_is_not_handed_to_callers(region: Region, bounded: Key) -> None:
    reference, by = NewCredential("reference", key_name="bounded"), cast.actor(OLIVE)
    assert list(refused(lambda: Consumer.create(region, "acme", reference, by=by))) == ["key"]
    consumer = cast.consumer(region, "acme")
    assert list(refused(lambda: consumer.add_credential(reference, by=by))) == ["key"]
    assert list(refused(lambda: consumer.edit_credential(0, reference, lock_version=consumer.lock_version, by=by))) == ["key"]
    consumer.add_credential(reference, by=cast.actor(ALICE))
    bounded.refresh_from_db()
    assert "consumer" in bounded.policy.kinds
    assert "policy" in AuditEntry.objects.latest("seq").facts


# ── Rules ──


def test_a_rule_of_the_instance_sends_to_every_service_of_it(east: Instance, bounded: Key) -> None:
    other = chat(east, "", EVIL, name="other")
    assert "evil.example" in refused(lambda: write(east, "transformer", ADDING))["text"][0]
    other.delete(by=cast.actor(OLIVE))
    write(east, "transformer", ADDING)
    assert "The rule “transformer”" in refused(lambda: chat(east, "", EVIL, name="other"))["address"][0]
    mine = chat(east, "", name="mine")
    assert list(refused(lambda: move_to(mine, EVIL, keys=NewKeys("custom", [cast.value()])))) == ["address"]
    by = cast.actor(OLIVE)
    assert list(refused(lambda: McpService.create(east, "t", "https://evil.example", "streamable-http", "/mcp", by=by))) == ["address"]
    assert list(refused(lambda: AgentService.create(east, "a", NewAgent("custom", EVIL), NewKeys("custom", [cast.value()]), by=by))) == [
        "address"
    ]


def test_nor_does_who_may_set_the_policy_pass_by_a_rule_without_a_word(east: Instance, bounded: Key) -> None:
    write(east, "transformer", ADDING)
    assert list(refused(lambda: chat(east, "", EVIL, ALICE, "other"))) == ["address"]


def test_a_rule_of_a_service_is_for_its_host_alone(east: Instance, bounded: Key) -> None:
    mine, other = chat(east, "", name="mine"), chat(east, "", EVIL, name="other")
    assert "text" in refused(lambda: write(east, "transformer", ADDING, other))
    write(east, "transformer", ADDING, mine)
    refused(lambda: move_to(mine, EVIL, keys=NewKeys("custom", [cast.value()])))


def test_a_rule_of_a_service_that_ends_lets_the_instances_through(east: Instance, bounded: Key) -> None:
    other = chat(east, "", EVIL, name="other")
    harmless = "reqRules:\n- operate: remove\n  headers:\n  - key: x-a\n"
    own = write(east, "transformer", harmless, other)
    write(east, "transformer", ADDING)
    assert "The rule “transformer”" in refused(lambda: own.disable(by=cast.actor(OLIVE)))["text"][0]
    assert "The rule “transformer”" in refused(lambda: own.delete(by=cast.actor(OLIVE)))["text"][0]
    assert "The rule “transformer”" in refused(lambda: write(east, "transformer", harmless, other, enabled=False))["text"][0]


def test_a_rule_that_was_disabled_meanwhile_is_looked_at_anew(east: Instance, bounded: Key) -> None:
    rule = write(east, "transformer", ADDING, enabled=False)
    chat(east, "", EVIL, name="other")
    assert "evil.example" in refused(lambda: rule.enable(by=cast.actor(OLIVE)))["text"][0]
    assert "evil.example" in refused(lambda: rule.enable(by=cast.actor(ALICE)))["text"][0]


def test_an_earlier_text_is_looked_at_anew(east: Instance, bounded: Key) -> None:
    rule = write(east, "transformer", ADDING)
    rule = write(east, "transformer", "reqRules:\n- operate: remove\n  headers:\n  - key: x-a\n")
    chat(east, "", EVIL, name="other")
    assert "evil.example" in refused(lambda: rule.restore(1, lock_version=rule.lock_version, by=cast.actor(OLIVE)))["text"][0]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (ADDING, "x-partner"),
        ("reqRules:\n- operate: add\n  querys:\n  - key: token\n    value: $ref{bounded}\n", "?token"),
        (ADDING + "- operate: rename\n  headers:\n  - oldKey: X-Partner\n    newKey: x-other\n", "x-other"),
        (
            ADDING + "- operate: map\n  headers:\n  - fromKey: x-partner\n    toKey: x-two\n  - fromKey: x-two\n    toKey: x-three\n",
            "x-three",
        ),
    ],
)
def test_headers_of_a_rule_are_those_that_the_key_ends_up_in(region: Region, east: Instance, text: str, header: str) -> None:
    key = cast.key(region, "bounded", policy=policy_of("plugin", headers=("x-partner", "x-two") if header != "x-partner" else ("x-a",)))
    chat(east, "", name="mine")
    assert f"may not be sent in {header}." in refused(lambda: write(east, "transformer", text))["text"][0]
    write(east, "transformer", text, who=ALICE)
    key.refresh_from_db()
    assert header in key.policy.headers


def test_ext_auth_sends_to_whom_it_asks_and_to_nobody_else(east: Instance, bounded: Key) -> None:
    chat(east, "", EVIL, name="other")
    assert "evil.example" in refused(lambda: write(east, "ext-auth", ASKING % "https://evil.example/check"))["text"][0]
    write(east, "ext-auth", ASKING % "https://api.example.com/check")


def test_a_key_that_lets_callers_in_needs_a_policy_for_plug_ins(region: Region, east: Instance) -> None:
    key = cast.key(region, policy=policy_of("ai_service"))
    assert "may not be used by plug-ins" in refused(lambda: write(east, "key-auth", cast.key_auth(key)))["text"][0]
    write(east, "key-auth", cast.key_auth(key), who=ALICE)
    write(east, "key-auth", cast.key_auth(key) + "realm: x\n")


def test_a_key_that_may_go_nowhere_is_bound_by_no_operator_even_where_nothing_would_be_sent(region: Region, east: Instance) -> None:
    cast.key(region, "bounded", policy=CLOSED)
    assert "may go nowhere yet" in refused(lambda: write(east, "transformer", ADDING))["text"][0]


# ── Scripts ──

TOKEN = "token: $ref{bounded}\n"
SCRIPT_TWO = cast.SCRIPT.replace("x-token", "x-other")


@pytest.fixture
def script(region: Region) -> CustomPlugin:
    return cast.custom_plugin(region, "mine")


def test_a_script_is_a_destination_by_its_text(region: Region, east: Instance, script: CustomPlugin) -> None:
    named = script_name("mine", cast.SCRIPT)
    key = cast.key(region, "bounded", policy=policy_of("plugin", hosts=("api.example.com",)))
    chat(east, "", name="mine")
    assert named in refused(lambda: write(east, "mine", TOKEN))["text"][0]
    write(east, "mine", TOKEN, who=ALICE)
    key.refresh_from_db()
    assert named in key.policy.hosts
    fields = {"description": "", "schema": cast.SCHEMA, "phase": "default", "priority": 10}
    edit = lambda who: script.edit(source=SCRIPT_TWO, **fields, lock_version=script.lock_version, by=cast.actor(who))  # noqa: E731
    assert "plugin:mine@" in refused(lambda: edit(OLIVE))["source"][0]
    script.refresh_from_db()
    assert script.source == cast.SCRIPT
    edit(ALICE)
    key.refresh_from_db()
    assert key.policy.hosts == ("api.example.com", script_name("mine", SCRIPT_TWO))
    assert "policy" in AuditEntry.objects.latest("seq").facts


def test_what_a_script_is_told_may_go_to_every_host_of_its_services(region: Region, east: Instance, script: CustomPlugin) -> None:
    cast.key(region, "bounded", policy=policy_of("plugin", hosts=("api.example.com", script_name("mine", cast.SCRIPT))))
    chat(east, "", name="mine")
    write(east, "mine", TOKEN)
    refused(lambda: chat(east, "", EVIL, name="other"))
    assert "evil.example" in refused(
        lambda: write(east, "ext-auth", "http_service:\n  endpoint:\n    address: https://evil.example\n")
    )["text"][0]  # fmt: skip


def test_a_script_beside_a_rule_sees_what_the_rule_adds(region: Region, east: Instance, bounded: Key) -> None:
    cast.custom_plugin(region, "reader", schema='{"type": "object"}')
    service = chat(east, "", name="mine")
    reader = write(east, "reader", "{}", service)
    assert "plugin:reader@" in refused(lambda: write(east, "transformer", ADDING))["text"][0]
    reader.disable(by=cast.actor(OLIVE))
    write(east, "transformer", ADDING)
    assert "plugin:reader@" in refused(lambda: reader.enable(by=cast.actor(OLIVE)))["text"][0]
    assert "plugin:reader@" in refused(lambda: write(east, "reader", "{}"))["text"][0]


def test_a_script_of_the_same_name_is_another_one(region: Region, east: Instance) -> None:
    cast.key(region, "bounded", policy=policy_of("plugin", hosts=("api.example.com", script_name("mine", cast.SCRIPT))))
    evil = cast.custom_plugin(region, "mine", source="function envoy_on_request(h) h:respond({[':status']='200'}, config.token) end")
    chat(east, "", name="mine")
    assert script_name("mine", evil.source) in refused(lambda: write(east, "mine", TOKEN))["text"][0]


def test_every_official_plug_in_says_where_it_sends_keys() -> None:
    for plugin in CATALOGUE.values():
        if any(not secret.inbound for secret in plugin.secret_fields.values()):
            assert plugin.sends is not CATALOGUE["cors"].sends, plugin.name


# ── Moving all references, and the policy itself ──


def test_references_are_not_moved_to_a_key_that_may_not_go_there(region: Region, east: Instance, bounded: Key) -> None:
    was = cast.key(region, "was")
    chat(east, "was", EVIL)
    by = cast.actor(OLIVE)
    decided = moving.plan(was, bounded, by=by)
    assert "may not be sent to evil.example" in decided.refused[0].refused
    with pytest.raises(Conflict):
        moving.move(was, bounded, seen=decided.seen, by=by)
    assert "consumers" in refused_move(was, bounded, lambda: cast.consumer(region, bound_to=was))


def refused_move(was: Key, becomes: Key, deed: Callable[[], object]) -> str:
    deed()
    return " ".join(step.refused for step in moving.plan(was, becomes, by=cast.actor(OLIVE)).refused)


def test_nor_are_those_of_rules(region: Region, east: Instance, bounded: Key) -> None:
    was = cast.key(region, "was")
    chat(east, "", EVIL)
    write(east, "transformer", ADDING.replace("bounded", "was"))
    assert "may not be sent to evil.example" in moving.plan(was, bounded, by=cast.actor(OLIVE)).refused[0].refused


def test_a_policy_that_would_shut_out_a_use_is_refused_with_the_list(region: Region, east: Instance, bounded: Key) -> None:
    chat(east)
    write(east, "transformer", ADDING)
    by = cast.actor(KIM)
    for narrow in (CLOSED, policy_of("consumer", "plugin"), policy_of("ai_service", "plugin", hosts=("other.example",))):
        bounded.refresh_from_db()
        with pytest.raises(policing.Excludes) as told:
            policing.set_policy(bounded, narrow, lock_version=bounded.lock_version, by=by)
        assert "chat" in {holder.name for holder in told.value.holders}
    bounded.refresh_from_db()
    assert bounded.policy == policy_of("ai_service", "agent_service", "mcp_service", "plugin")
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.outcome, entry.facts) == ("key.set_policy", "refused", {"reason": "policy_excludes"})


def test_a_policy_is_set_by_who_may_and_the_entry_says_what_it_was(region: Region, bounded: Key) -> None:
    policing.set_policy(bounded, policy_of("consumer"), lock_version=bounded.lock_version, by=cast.actor(KIM))
    entry = AuditEntry.objects.latest("seq")
    assert entry.facts == {
        "before": "AI services, Agent services, MCP services and plug-ins to api.example.com",
        "after": "consumers to api.example.com",
    }
    with pytest.raises(StaleEdit):
        policing.set_policy(bounded, CLOSED, lock_version=1, by=cast.actor(KIM))
    for who in (OLIVE, "vera", "audrey", "mallory"):
        with pytest.raises(NotAllowed):
            policing.set_policy(bounded, CLOSED, lock_version=bounded.lock_version, by=cast.actor(who))


def test_a_session_left_open_lets_no_key_go_anywhere_new(east: Instance) -> None:
    """Whoever sits down there may go on with what the policy allows."""
    key = Key.create(east.region, "fresh", cast.value(), by=cast.actor(KIM))
    stale, keys = replace(cast.actor(ALICE), fresh=False), NewKeys("reference", key_names=["fresh"])
    assert "/account/confirm/" in refused(lambda: AiService.create(east, "one", "custom", "OpenAI/v1", OURS, keys, by=stale))["key_0"][0]
    assert Key.objects.get(pk=key.pk).policy.closed
    chat(east, "fresh", who=ALICE)
    AiService.create(east, "one", "custom", "OpenAI/v1", OURS, keys, by=stale)
