"""The pages that show services of every kind."""

import pytest

from gateway.call import call
from gateway.models import AgentService, Instance, Problem, Service
from secrets_app.models import Key, Region
from tests import cast
from tests.unit.console.asking import get, text


@pytest.fixture
def shared(region: Region) -> Key:
    key, gateway = cast.key(region, "shared"), cast.instance(region, "east")
    services: list[Service] = [
        cast.service(gateway, "chat", keys=[key]),
        cast.agent(gateway, "studio", keys=[key, key], apps=["Alpha", "beta"]),
        cast.agent(gateway, "bot", keys=[key]),
        cast.mcp(gateway, "tools.v2", key=key),
    ]
    cast.consumer(region, "acme")
    for service in services:
        service.authorize(["acme"], by=cast.SETUP)
    Problem.rewrite(region.pk, [("mcp_service", services[3].pk, "backend_auth", "unreadable")])
    return key


def test_a_key_names_its_holders_of_every_kind(region: Region, shared: Key) -> None:
    for page in (f"/{region.name}/keys/shared/", f"/{region.name}/keys/shared/references/"):
        told = text(get(page))
        for name in ("chat", "studio", "bot", "tools.v2", "API Key (Alpha)", "Backend authentication"):
            assert name in told, (page, name)


def test_pages_about_the_whole_show_them(region: Region, shared: Key) -> None:
    instance = Instance.objects.get()
    assert "tools.v2 is not served" in text(get(f"/{region.name}/"))
    listed = text(get(f"/{region.name}/instances/{instance.ref}/services/"))
    assert "studio" in listed
    assert "tools.v2" not in listed  # MCP services have a list of their own
    assert get(f"/{region.name}/consumers/acme/").status_code == 200
    for name in ("studio", "bot", "chat"):
        assert get(f"/{region.name}/instances/{instance.ref}/services/{name}/").status_code == 200


def test_each_kind_is_called_in_its_own_way(region: Region, shared: Key) -> None:
    lines = {service.name: call(service, None, "localhost").curl for service in Service.objects.all()}
    assert lines["studio"].startswith("curl http://GATEWAY:PORT/agents/studio/apps/Alpha/completion ")
    assert lines["bot"].startswith("curl http://GATEWAY:PORT/agents/bot/chat-messages ")
    assert lines["tools.v2"].startswith("curl http://GATEWAY:PORT/mcp-servers/tools.v2/mcp ")
    assert "Accept: application/json, text/event-stream" in lines["tools.v2"]
    assert all("$LATCHKEY_API_KEY" in line for line in lines.values())
    AgentService.objects.filter(name="bot").update(bot_type="workflow")
    assert "/agents/bot/workflows/run " in call(AgentService.objects.get(name="bot"), None, "localhost").curl
    listening = cast.mcp(Instance.objects.get(), "events", transport="sse")
    assert call(listening, None, "localhost").curl.startswith("curl -N http://GATEWAY:PORT/mcp-servers/events/sse ")
