"""Agent services in the Create Service panel, their edit, and their page."""

import re
import uuid
from typing import Any

import pytest

from gateway.models import AgentService, Instance, Node, Service
from secrets_app.models import AuditEntry, Key, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text
from tests.unit.console.hostile import HOSTILE

HEADER = {"supplier": "custom", "address": "https://a.example", "credential": "header"}
CUSTOM = {"generation": "custom", "value_0": CANARY}
STUDIO = "https://dashscope-intl.aliyuncs.com/api/v1"


@pytest.fixture
def east(region: Region) -> Instance:
    """With the key "app_key" beside it."""
    cast.key(region, "app_key")
    return cast.instance(region, "east")


def services(instance: Instance, more: str = "") -> str:
    return f"/local/instances/{instance.ref}/services/{more}"


def given(**fields: Any) -> dict[str, Any]:
    """A Dify chatbot that refers to the key "app_key"; with `lock_version` the same as an edit."""
    agent = {"supplier": "dify", "bot_type": "chatbot", "address": "", "generation": "reference", "key_0": "app_key"}
    own = {name: fields.pop(name) for name in ("name", "source", "lock_version", "add_row", "remove_row") if name in fields}
    return {
        "source": "agent",
        "name": "bot",
        "once": uuid.uuid4(),
        **{f"agent_{name}": field for name, field in (agent | fields).items()},
        **own,
    }


def studio(**fields: Any) -> dict[str, Any]:
    """A Model Studio agent with two apps."""
    apps = {"app_0": "Alpha", "app_1": "beta", "key_1": "app_key"}
    return given(**({"supplier": "model-studio", "name": "studio"} | apps | fields))


def made() -> AgentService:
    service = Service.objects.get()
    assert isinstance(service, AgentService)
    return service


def uses(service: Service) -> dict[str, str | None]:
    return {use.path: use.key.name for use in AgentService.objects.get(pk=service.pk).uses}


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 303), ("olive", 303), ("kim", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_create_agents(east: Instance, who: str, status: int) -> None:
    for path in ("new/", "new/preset/?source=agent", "new/key-row/?kind=agent&row=0"):
        get(services(east, path), who, status=200 if status == 303 else 403)
    post(services(east, "new/"), given(), who, status=status)
    assert Service.objects.count() == (1 if status == 303 else 0)


def test_every_platform_is_in_the_first_answer(east: Instance) -> None:
    for part in ("", "panel"):
        said = text(get(services(east, "new/"), part=part))
        for words in (
            "Agent Configuration Agent platform Model Studio app A key for each App ID Dify",
            "Bot type Choose a type Chatbot Agent Chatflow Workflow Text generation",
            "Credential source Authorization: Bearer Custom HTTP Header",
            "App ID",
            "Generation method Custom Reference Key",
        ):
            assert words in said
    page = markup(get(services(east, "new/")))
    names = re.findall(r'<(?:input|select)[^>]* name="([^"]+)"', page)
    assert names.count("name") == names.count("once") == 1
    assert len(re.findall(r'id="([^"]+)"', page)) == len(set(re.findall(r'id="([^"]+)"', page)))


def test_a_dify_app_with_a_reference_key(east: Instance) -> None:
    answer = post(services(east, "new/"), given(), "olive")
    assert answer.headers["Location"] == services(east, "bot/")
    assert (made().supplier, made().bot_type, made().address) == ("dify", "chatbot", "https://api.dify.ai/v1")
    assert uses(made()) == {"api_keys[0]": "app_key"}
    assert AuditEntry.objects.latest("seq").action == "service.create"


def test_a_model_studio_app_has_a_key_for_each_app_id(east: Instance) -> None:
    cast.key(east.region, "other")
    post(services(east, "new/"), studio(app_0="Alpha", app_3="beta", app_1="", key_1="", key_3="other"))
    assert made().address == STUDIO
    assert uses(made()) == {"apps[Alpha]": "app_key", "apps[beta]": "other"}


def test_a_custom_agent_in_a_header_of_its_own(east: Instance) -> None:
    where = {"supplier": "custom", "address": "https://agent.example.com", "credential": "header", "header": "X-Agent-Key"}
    post(services(east, "new/"), given(**where, generation="custom", value_0=CANARY))
    assert made().header == "x-agent-key"
    assert made().uses[0].key.is_inline
    for path in (services(east), services(east, "bot/"), services(east, "bot/edit/")):
        assert_silent(get(path), CANARY)


def test_what_another_platform_asks_for_is_not_read(east: Instance) -> None:
    left = {"app_0": "Alpha", "header": "host", "credential": "nonsense", "app_1": "not an id", "key_1": "nobody", "value_0": "$ref{x}"}
    post(services(east, "new/"), given(**left))
    assert uses(made()) == {"api_keys[0]": "app_key"}
    post(
        services(east, "new/"),
        given(name="two", supplier="custom", address="https://a.example", credential="bearer", header="host", bot_type="x"),
    )
    assert AgentService.objects.get(name="two").header == ""


def test_an_ai_service_is_made_of_its_own_fields_alone(east: Instance) -> None:
    ai = {"supplier": "openai", "protocol": "OpenAI/v1", "address": "", "generation": "reference", "key_0": "app_key", "source": "ai"}
    post(services(east, "new/"), given(address="nonsense") | ai)
    assert Service.objects.get().kind == "ai"


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"name": ""}, "name", "Enter a name for the service"),
        ({"supplier": ""}, "agent_supplier_0", "Choose a platform"),
        ({"supplier": "nobody"}, "agent_supplier_0", "Choose one of those listed"),
        ({"bot_type": ""}, "agent_bot_type", "Choose what kind of Dify app"),
        ({"bot_type": "parrot"}, "agent_bot_type", "Choose one of those listed"),
        ({"address": "dify.example.com"}, "agent_address", "begins with https://"),
        ({"address": STUDIO}, "agent_address", "This is the address of Model Studio app"),
        ({"supplier": "custom", "credential": "bearer"}, "agent_address", "Enter the agent's address"),
        (HEADER, "agent_header", "Enter the header's name"),
        (HEADER | {"header": "Host"}, "agent_header", "a meaning of its own"),
        ({"generation": "magic"}, "agent_generation_0", "Choose one of those listed"),
        ({"generation": "custom"}, "agent_value_0", "Enter or choose the API key"),
        ({"generation": "custom", "value_0": "two\nlines"}, "agent_value_0", "cannot travel in an HTTP header"),
        ({"key_0": ""}, "agent_key_0", "Enter or choose the API key"),
        ({"key_0": "nobody"}, "agent_key_0", "No key is named “nobody”"),
        ({"supplier": "model-studio"}, "agent_app_0", "Enter an App ID of 1 to 64"),
        ({"supplier": "model-studio", "key_0": ""}, "agent_app_0", "Enter at least one App ID"),
        ({"supplier": "model-studio", "app_0": "a b"}, "agent_app_0", "Enter an App ID of 1 to 64"),
        ({"supplier": "model-studio", "app_0": "A", "app_7": "A", "key_7": "app_key"}, "agent_app_7", "stands here twice"),
        ({"supplier": "model-studio", "app_0": "A", "app_7": "B"}, "agent_key_7", "Choose a key"),
        (CUSTOM | {"supplier": "model-studio", "app_0": "A", "app_7": "B"}, "agent_value_7", "Enter the API key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_own_field(east: Instance, wrong: dict[str, str], field: str, said: str) -> None:
    answer = post(services(east, "new/"), given(**wrong), status=422)
    assert said in text(answer)
    assert f'<a href="#id_{field}">' in markup(answer)
    assert f'id="{"id_" + field}"' in markup(answer)
    assert_silent(answer, CANARY)
    assert 'name="source" value="agent" id="id_source_1" checked' in markup(answer)
    assert not Service.objects.exists()


def test_names_are_shared_with_ai_services(east: Instance) -> None:
    cast.service(east, "bot")
    assert "This name is taken" in text(post(services(east, "new/"), given(), status=422))


def test_the_same_post_again_leads_to_the_agent(east: Instance) -> None:
    data = given()
    post(services(east, "new/"), data)
    assert post(services(east, "new/"), data).headers["Location"] == services(east, "bot/")
    assert Service.objects.count() == 1


def test_on_an_old_instance_references_are_off_and_say_why(region: Region) -> None:
    old = cast.instance(region, "old", version="2.1.10")
    cast.key(region, "app_key")
    assert 'name="agent_generation" value="reference" id="id_agent_generation_1" disabled' in markup(get(services(old, "new/")))
    answer = post(services(old, "new/"), given(), status=422)
    assert '<a href="#id_agent_generation_0">' in markup(answer)


def test_a_key_page_leads_to_the_form_with_that_key_chosen(east: Instance) -> None:
    page = markup(get(services(east, "new/?source=agent&key=app_key")))
    assert page.count('value="app_key"') == 2
    assert 'name="source" value="agent" id="id_source_1" checked' in page


def rows(answer: Any) -> list[str]:
    return re.findall(r'<input[^>]* name="agent_(app_[^"]*)"', markup(answer))


def test_without_javascript_the_server_adds_and_removes_apps(east: Instance) -> None:
    answer = post(services(east, "new/"), studio(generation="custom", value_0=CANARY, add_row="agent"), status=200)
    assert rows(answer) == ["app_0", "app_1", "app_2"]
    assert_silent(answer, CANARY)
    assert 'value="Alpha"' in markup(answer)
    assert rows(post(services(east, "new/"), studio(remove_row="agent_0"), status=200)) == ["app_1"]
    assert rows(post(services(east, "new/"), given(remove_row="agent_0"), status=200)) == ["app_0"]
    for strange in ("x", "agent_²", "agent_999", ""):
        post(services(east, "new/"), studio(remove_row=strange), status=200)
    assert not Service.objects.exists()


def test_with_javascript_one_row_comes_alone(east: Instance) -> None:
    row = markup(get(services(east, "new/key-row/?kind=agent&row=0&row=4"), part="app-rows"))
    for there in ('name="agent_app_5"', 'name="agent_value_5"', 'name="agent_key_5"', "App ID 3", "API Key 3"):
        assert there in row
    many = "&".join(f"row={n}" for n in range(20))
    assert get(services(east, f"new/key-row/?kind=agent&{many}"), status=204).content == b""


def test_a_platform_fills_the_address(east: Instance) -> None:
    preset = services(east, "new/preset/?source=agent&agent_supplier=")
    assert 'value="https://api.dify.ai/v1"' in markup(get(preset + "dify"))
    assert 'value="https://api.dify.ai/v1"' in markup(get(f"{preset}dify&agent_address={STUDIO}"))
    assert "https://my.dify.example" in markup(get(preset + "dify&agent_address=https://my.dify.example"))
    assert "dify" not in markup(get(preset + "custom&agent_address=https://api.dify.ai/v1"))
    for strange in ("", "<x>", "dify&agent_address=http://["):
        get(preset + strange)
    assert "The key travels in clear." in text(get(preset + "custom&agent_address=http://10.0.0.7"))


# The list and the page


def test_the_list_says_the_source_and_can_be_narrowed_to_one(east: Instance) -> None:
    cast.service(east, "chat")
    cast.agent(east, "bot")
    said = text(get(services(east)))
    assert "bot Dify Agent service" in said
    assert "chat OpenAI-compatible AI service" in said
    agents = markup(get(services(east, "?show=agent")))
    assert 'id="service-bot"' in agents
    assert 'id="service-chat"' not in agents
    assert 'id="service-bot"' not in markup(get(services(east, "?show=ai&q=bot"), part="services"))
    assert 'id="service-bot"' in markup(get(services(east, "?show=nonsense")))


def test_the_page_speaks_of_its_platform(east: Instance) -> None:
    Node.join(east, "local", "127.0.0.1", 18080, by=cast.SETUP)
    key = Key.objects.get(name="app_key")
    cast.agent(east, "studio", keys=[key, key], apps=["Alpha", "beta"])
    said = text(get(services(east, "studio/"), "vera"))
    for words in ("Agent service, Model Studio app", "App ID Alpha $ref{app_key}", "App ID beta", "/agents/studio/apps/Alpha/completion"):
        assert words in said
    assert "Model protocol" not in said
    assert "AI service" not in said
    cast.agent(east, "bot")
    assert "Bot type Chatbot" in text(get(services(east, "bot/")))
    cast.agent(east, "own", kind="custom", header="x-agent-key")
    assert "Key is shown in x-agent-key" in text(get(services(east, "own/")))


# Edit


def test_an_edit_starts_from_what_is_stored(east: Instance) -> None:
    key = Key.objects.get(name="app_key")
    cast.agent(east, "studio", keys=[key], apps=["Alpha"])
    page = markup(get(services(east, "studio/edit/")))
    for there in (
        'value="model-studio" id="id_agent_supplier_0" checked',
        'value="Alpha"',
        'value="app_key"',
        'name="lock_version" value="1"',
    ):
        assert there in page
    assert "Large Model" not in page


def test_an_edit_keeps_the_keys_unless_others_are_named(east: Instance) -> None:
    key = Key.objects.get(name="app_key")
    agent = cast.agent(east, "bot", keys=[key])
    before = agent.uses[0].pk
    post(services(east, "bot/edit/"), given(address="https://dify.example.com/v1", bot_type="workflow", lock_version=1))
    assert (made().address, made().bot_type, made().uses[0].pk) == ("https://dify.example.com/v1", "workflow", before)
    cast.key(east.region, "other")
    post(services(east, "bot/edit/"), given(key_0="other", lock_version=2))
    assert uses(made()) == {"api_keys[0]": "other"}
    post(services(east, "bot/edit/"), studio(lock_version=3))
    assert uses(made()) == {"apps[Alpha]": "app_key", "apps[beta]": "app_key"}


def test_an_apps_value_is_kept_where_none_is_entered(east: Instance) -> None:
    agent = cast.agent(east, "studio", apps=["Alpha", "beta"])
    before = {use.path: use.key_id for use in agent.uses}
    assert "Leave an API Key empty to keep the value that is stored." in text(get(services(east, "studio/edit/")))
    own = {"generation": "custom", "key_0": "", "key_1": "", "address": "https://agent.example.com/v2"}
    post(services(east, "studio/edit/"), studio(**own, lock_version=1))
    assert {use.path: use.key_id for use in made().uses} == before
    answer = post(services(east, "studio/edit/"), studio(**own, app_1="gamma", lock_version=2), status=422)
    assert '<a href="#id_agent_value_1">' in markup(answer)
    answer = post(services(east, "studio/edit/"), studio(**own, app_1="gamma", value_1=CANARY, lock_version=2))
    assert_silent(answer, CANARY)
    after = {use.path: use.key_id for use in made().uses}
    assert after["apps[Alpha]"] == before["apps[Alpha]"]
    assert set(after) == {"apps[Alpha]", "apps[gamma]"}


def test_another_platform_wants_its_keys_again(east: Instance) -> None:
    cast.agent(east, "studio", apps=["Alpha"])
    answer = post(services(east, "studio/edit/"), given(generation="custom", key_0="", lock_version=1), status=422)
    assert "Another kind of agent has keys of its own." in text(answer)
    assert '<a href="#id_agent_supplier_0">' in markup(answer)
    post(services(east, "studio/edit/"), given(generation="custom", key_0="", value_0=CANARY, lock_version=1))
    assert set(uses(made())) == {"api_keys[0]"}


def test_a_stale_edit_shows_what_is_stored_and_the_next_save_counts(east: Instance) -> None:
    agent = cast.agent(east, "bot", keys=[Key.objects.get(name="app_key")])
    post(services(east, "bot/edit/"), given(address="https://theirs.example", bot_type="workflow", lock_version=1))
    answer = post(services(east, "bot/edit/"), given(address="https://mine.example", lock_version=1), status=409)
    assert "Stored now Agent platform Dify Bot type Workflow Service address https://theirs.example" in text(answer)
    assert 'value="https://mine.example"' in markup(answer)
    post(services(east, "bot/edit/"), given(address="https://mine.example", lock_version=2))
    agent.refresh_from_db()
    assert agent.address == "https://mine.example"


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_edit_agents(east: Instance, who: str) -> None:
    cast.agent(east, "bot")
    get(services(east, "bot/edit/"), who, status=403)
    post(services(east, "bot/edit/"), given(lock_version=1), who, status=403)


def test_an_agent_of_another_instance_is_not_found(region: Region, east: Instance) -> None:
    cast.agent(cast.instance(Region.create("other", "Other", by=cast.SETUP)), "bot")
    for action in ("", "edit/", "delete/"):
        get(services(east, f"bot/{action}"), status=404)
    post(services(east, "bot/edit/"), given(lock_version=1), status=404)


def test_deleting_an_agent_releases_its_keys(east: Instance) -> None:
    cast.agent(east, "bot", keys=[Key.objects.get(name="app_key")])
    post(services(east, "bot/delete/"), {"confirm": "bot"}, "olive")
    assert Key.objects.get(name="app_key").reference_count == 0


@pytest.mark.parametrize(
    "field", ["supplier", "bot_type", "credential", "header", "address", "generation", "app_0", "value_0", "key_0", "app_99"]
)
def test_nothing_typed_anywhere_breaks_the_page(east: Instance, field: str) -> None:
    client = cast.client("olive")
    platform = {"header": "custom", "credential": "custom", "app_0": "model-studio", "app_99": "model-studio"}.get(field, "dify")
    chosen = {"supplier": platform, "credential": "header", "generation": "custom" if field == "value_0" else "reference"}
    for typed in HOSTILE:
        answer = client.post(services(east, "new/"), given(**chosen | {field: typed}))
        assert answer.status_code in (303, 422), (field, typed[:40], answer.status_code)
        assert client.post(services(east, "new/"), given(**chosen | {field: typed}, remove_row=typed)).status_code == 200
        for service in Service.objects.all():
            service.delete(by=cast.SETUP)
    assert Key.objects.filter(name=None).count() == 0
