"""Agent services and their deeds. Each test asserts the state and the one audit entry."""

import pytest

from gateway.agents import AGENTS, BOT_TYPES, app_of
from gateway.models import AgentService, AiService, Authorization, Instance, NewAgent, NewKeys, Service
from gateway.models.service import KEYS_A_SERVICE
from secrets_app.access import ACTIONS, OPERATOR, OWNER, Action
from secrets_app.errors import Conflict, Invalid, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Key, KeyVersion, Region
from tests import cast

STUDIO = NewAgent("model-studio", "https://dashscope-intl.aliyuncs.com/api/v1")
DIFY = NewAgent("dify", "https://api.dify.ai/v1", bot_type="chatflow")
OWN = NewAgent("custom", "https://agent.example.com", header="X-Agent-Token")


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region, "east")


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def create(instance: Instance, agent: NewAgent = DIFY, keys: NewKeys | None = None, **changes: object) -> AgentService:
    given = {"name": "helper", "keys": keys or NewKeys("custom", [cast.value()]), "by": cast.SETUP}
    return AgentService.create(instance, agent=agent, **given | changes)  # type: ignore[arg-type]


def studio(instance: Instance, *apps: str) -> AgentService:
    return create(instance, STUDIO, NewKeys("custom", [cast.value() for _ in apps], app_ids=apps))


def edit(service: AgentService, agent: NewAgent | None = None, **changes: object) -> None:
    now = AgentService.objects.get(pk=service.pk)
    same = NewAgent(now.supplier, now.address, now.bot_type, now.header)
    service.edit(agent or same, **{"lock_version": now.lock_version, "by": cast.SETUP} | changes)  # type: ignore[arg-type]


def errors(act: object) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as refused:
        act()  # type: ignore[operator]
    return refused.value.errors


def test_each_app_has_a_key_of_its_own_and_all_are_one_holder(instance: Instance) -> None:
    keys = [cast.key(instance.region, name) for name in ("one", "two")]
    service = create(instance, STUDIO, NewKeys("reference", key_names=["two", "one", "two"], app_ids=["zeta", "Alpha_1", "b-2"]))
    assert [(app_of(use.path), use.key.name, use.inbound) for use in service.uses] == [
        ("zeta", "two", False),
        ("Alpha_1", "one", False),
        ("b-2", "two", False),
    ]
    assert [Key.objects.get(pk=key.pk).reference_count for key in keys] == [1, 1]
    entry = last_entry()
    assert (entry.action, entry.target_kind, entry.target) == ("service.create", "agent_service", "helper")
    assert entry.facts == {
        "instance": instance.ref,
        "supplier": "model-studio",
        "address": STUDIO.address,
        "generation": "reference",
        "keys": ["two", "one", "two"],
        "apps": ["zeta", "Alpha_1", "b-2"],
        "trimmed": False,
    }
    assert service.changed_seq == entry.seq
    assert (service.shape.header, service.shape.prefix) == ("authorization", "Bearer ")


def test_dify_has_a_bot_type_and_one_key(instance: Instance) -> None:
    service = create(instance)
    assert ([use.path for use in service.uses], service.bot_type, service.bot_type_label) == (["api_keys[0]"], "chatflow", "Chatflow")
    assert (service.shape.header, service.shape.prefix) == ("authorization", "Bearer ")
    assert last_entry().facts["bot_type"] == "chatflow"
    assert "header" not in last_entry().facts


@pytest.mark.parametrize(("header", "sent"), [("", ("authorization", "Bearer ")), ("X-Agent-Token", ("x-agent-token", ""))])
def test_a_custom_agent_is_shown_its_key_where_it_wants_it(instance: Instance, header: str, sent: tuple[str, str]) -> None:
    service = create(instance, NewAgent("custom", "https://agent.example.com", header=header))
    assert (service.shape.header, service.shape.prefix) == sent
    assert last_entry().facts["header"] == header.lower()


def test_what_a_kind_does_not_ask_for_counts_for_nothing(instance: Instance) -> None:
    service = create(instance, NewAgent("dify", "https://api.dify.ai/v1", bot_type="agent", header="host"))
    assert service.header == ""
    own = create(instance, NewAgent("custom", "https://a.example", bot_type="none such"), name="own")
    assert own.bot_type == ""


def test_all_that_is_wrong_is_told_at_once(instance: Instance) -> None:
    assert set(errors(lambda: create(instance, NewAgent("pai", "nowhere"), name="No"))) == {"name", "supplier", "address"}
    assert list(errors(lambda: create(instance, NewAgent("dify", "https://api.dify.ai/v1", bot_type="bot")))) == ["bot_type"]
    assert list(errors(lambda: create(instance, NewAgent("custom", "https://a.example", header="Transfer-Encoding")))) == ["header"]
    assert not Service.objects.exists()
    assert not Key.objects.exists()


@pytest.mark.parametrize(
    ("apps", "values", "at"),
    [
        ([], 0, "app_0"),
        ([""], 1, "app_0"),
        (["a", "b/c"], 2, "app_1"),
        (["a", "..", "c"], 3, "app_1"),
        (["a" * 65], 1, "app_0"),
        (["a\n"], 1, "app_0"),
        (["a", "b", "a"], 3, "app_2"),
        (["a", "b"], 1, "key_1"),
        (["a"], 2, "key_0"),
        ([f"a{number}" for number in range(KEYS_A_SERVICE + 1)], KEYS_A_SERVICE + 1, f"app_{KEYS_A_SERVICE}"),
    ],
)
def test_apps_are_checked_and_told_at_their_own_field(instance: Instance, apps: list[str], values: int, at: str) -> None:
    assert list(errors(lambda: create(instance, STUDIO, NewKeys("custom", [cast.value() for _ in range(values)], app_ids=apps)))) == [at]


def test_a_refused_key_is_told_at_its_own_field(instance: Instance) -> None:
    cast.key(instance.region, "good")
    refused = lambda: create(instance, STUDIO, NewKeys("reference", key_names=["good", "nobody"], app_ids=["a", "b"]))  # noqa: E731
    assert list(errors(refused)) == ["key_1"]
    assert list(errors(lambda: create(instance, keys=NewKeys("custom", [cast.value("$ref{good}")])))) == ["key_0"]
    assert list(errors(lambda: create(instance, keys=NewKeys("custom", [])))) == ["key_0"]
    assert list(errors(lambda: create(instance, keys=NewKeys("custom", [cast.value(), cast.value()])))) == ["key_0"]
    assert list(errors(lambda: create(instance, keys=NewKeys("custom", [None])))) == ["key_0"]
    assert Key.objects.get(name="good").reference_count == 0


def test_ai_and_agent_services_share_their_names(instance: Instance) -> None:
    create(instance)
    with pytest.raises(Invalid, match="taken"):
        cast.service(instance, "helper")
    cast.service(instance, "chat")
    with pytest.raises(Invalid, match="taken"):
        create(instance, name="chat")
    assert cast.mcp(instance, "helper").pk


def test_every_row_comes_as_the_class_of_its_kind(instance: Instance) -> None:
    agent, ai, tools = create(instance), cast.service(instance, "chat"), cast.mcp(instance, "tools")
    cast.consumer(instance.region, "acme")
    agent.authorize(["acme"], by=cast.SETUP)
    assert {type(row) for row in Service.objects.all()} == {type(agent), type(ai), type(tools)}
    assert isinstance(Authorization.objects.select_related("service").get().service, AgentService)
    assert [row.name for row in AgentService.objects.all()] == ["helper"]
    owner = cast.actor("alice")
    assert {row.name for row in Service.visible_to(owner, instance)} == {"helper", "chat"}
    assert AiService.visible_to(owner, instance).find("chat").shape
    with pytest.raises(NotFound):
        AiService.visible_to(owner, instance).find("helper")
    assert (agent.entrance, ai.entrance, tools.entrance) == ("/agents/helper", "/ai/chat", "/mcp-servers/tools/mcp")


def test_an_old_instance_takes_no_references(region: Region) -> None:
    old = cast.instance(region, version="2.1.10")
    cast.key(region, "shared")
    assert list(errors(lambda: create(old, keys=NewKeys("reference", key_names=["shared"])))) == ["generation"]
    assert create(old).pk


# Editing


def test_an_edit_says_what_changed_and_leaves_the_keys(instance: Instance) -> None:
    cast.key(instance.region, "one")
    service = create(instance, keys=NewKeys("reference", key_names=["one"]))
    edit(service, NewAgent("dify", "https://dify.example.com/v1", bot_type="workflow"))
    stored = AgentService.objects.get()
    assert (stored.address, stored.bot_type, [use.key.name for use in stored.uses]) == ("https://dify.example.com/v1", "workflow", ["one"])
    assert last_entry().facts["changed"] == ["address", "bot_type"]


def test_an_app_more_or_less_keeps_the_values_of_the_others(instance: Instance) -> None:
    """Nobody can look a stored value up, so nobody has to enter it again."""
    service = studio(instance, "a", "b")
    before = {app_of(use.path): use.key_id for use in service.uses}
    edit(service, keys=NewKeys("custom", [None, cast.value()], app_ids=["b", "c"]))
    after = {app_of(use.path): use.key_id for use in service.uses}
    assert list(after) == ["b", "c"]
    assert after["b"] == before["b"]
    assert not Key.objects.filter(pk=before["a"]).exists()
    assert (last_entry().facts["apps"], last_entry().facts["keys"]) == (["b", "c"], 1)
    assert list(errors(lambda: edit(service, keys=NewKeys("custom", [None, None], app_ids=["b", "d"])))) == ["key_1"]
    assert {app_of(use.path): use.key_id for use in service.uses} == after


def test_from_references_no_value_can_be_kept(instance: Instance) -> None:
    cast.key(instance.region, "one")
    service = create(instance, STUDIO, NewKeys("reference", key_names=["one"], app_ids=["a"]))
    assert list(errors(lambda: edit(service, keys=NewKeys("custom", [None], app_ids=["a"])))) == ["key_0"]
    edit(service, keys=NewKeys("custom", [cast.value()], app_ids=["a"]))
    assert last_entry().facts["released"] == ["one"]
    inline = service.uses[0].key_id
    edit(service, keys=NewKeys("reference", key_names=["one"], app_ids=["a"]))
    assert not KeyVersion.objects.filter(key=inline).exists()


def test_another_kind_of_agent_needs_its_keys_again(instance: Instance) -> None:
    service = create(instance)
    assert list(errors(lambda: edit(service, STUDIO))) == ["supplier"]
    edit(service, STUDIO, keys=NewKeys("custom", [cast.value()], app_ids=["a"]))
    assert ([use.path for use in service.uses], service.bot_type) == (["apps[a]"], "")
    edit(service, OWN, keys=NewKeys("custom", [cast.value()]))
    assert ([use.path for use in service.uses], service.shape.header) == (["api_keys[0]"], "x-agent-token")
    edit(service, DIFY, keys=NewKeys("custom", [cast.value()]))
    assert [use.path for use in service.uses] == ["api_keys[0]"]


def test_a_stale_edit_shows_what_is_stored_now(instance: Instance) -> None:
    service = create(instance)
    edit(service, NewAgent("dify", "https://api.dify.ai/theirs", bot_type="agent"))
    with pytest.raises(StaleEdit) as refused:
        service.edit(DIFY, lock_version=1, by=cast.SETUP)
    assert refused.value.current == {
        "supplier": "Dify",
        "address": "https://api.dify.ai/theirs",
        "bot_type": "Agent",
        "header": "",
        "generation": "custom",
    }


def test_who_may_not_bind_keys_may_not_send_bound_ones_elsewhere(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.key(instance.region, "one")
    service = create(instance, keys=NewKeys("reference", key_names=["one"]))
    monkeypatch.setitem(ACTIONS, "key.bind", Action(ACTIONS["key.bind"].text, frozenset({OWNER})))
    unbinding = cast.holding("olive", OPERATOR)
    with pytest.raises(NotAllowed):
        edit(service, NewAgent("dify", "https://elsewhere.example", bot_type="agent"), by=unbinding)
    edit(service, NewAgent("dify", DIFY.address, bot_type="agent"), by=unbinding)


def test_grants_and_deletion_are_those_of_every_service(instance: Instance) -> None:
    cast.key(instance.region, "shared")
    cast.consumer(instance.region, "acme")
    service = create(instance, STUDIO, NewKeys("reference", key_names=["shared", "shared"], app_ids=["a", "b"]))
    service.authorize(["acme"], by=cast.actor("olive"))
    assert (last_entry().action, last_entry().target_kind) == ("service.authorize", "agent_service")
    with pytest.raises(Conflict):
        service.authorize(["acme"], by=cast.SETUP)
    with pytest.raises(NotAllowed):
        service.delete(by=cast.actor("kim"))
    service.delete(by=cast.actor("olive"))
    assert last_entry().facts == {"instance": instance.ref, "released": ["shared", "shared"], "consumers": 1}
    assert Key.objects.get(name="shared").reference_count == 0
    assert not Service.objects.exists()


def test_the_table_of_agents_is_whole() -> None:
    assert list(AGENTS) == ["model-studio", "dify", "custom"]
    assert [str(label) for label in BOT_TYPES.values()] == ["Chatbot", "Agent", "Chatflow", "Workflow", "Text generation"]
