"""The pages that test a service's connection: what is asked, and what came of it in words."""

import uuid
from typing import Any

import pytest

from console.facts.trials import Told
from gateway.models import Instance
from gateway.models.trial import Trial
from secrets_app.models import AuditEntry, Region
from tests import cast
from tests.unit.console.asking import get, post, text


@pytest.fixture
def gateway(region: Region) -> Instance:
    gateway = cast.instance(region)
    upstream, second = cast.key(region, "upstream"), cast.key(region, "second")
    cast.service(gateway, "chat", keys=[upstream])
    cast.service(gateway, "many", keys=[upstream, second])
    cast.mcp(gateway, "tools", key=cast.key(region, "tools"))
    cast.mcp(gateway, "bare")
    return gateway


def at(gateway: Instance, service: str = "services/chat") -> str:
    return f"/local/instances/{gateway.ref}/{service}/test/"


def said(**fields: Any) -> dict[str, Any]:
    return {"once": uuid.uuid4()} | fields


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("service", ["services/chat", "mcp/tools"])
@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 403), ("olive", 200), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may(gateway: Instance, service: str, who: str, status: int) -> None:
    get(at(gateway, service), who, status=status)
    post(at(gateway, service), said(), who, status=status)


@pytest.mark.usefixtures("broker")
def test_it_says_what_will_be_called_and_then_what_came_of_it(gateway: Instance) -> None:
    page = text(get(at(gateway), "olive"))
    assert "GET /v1/models" in page
    assert "https://api.example.com/v1" in page
    for part in ("", "sheet"):
        told = text(post(at(gateway), said(), "olive", part=part, status=200))
        assert "The connection works" in told
        assert "12 ms" in told
        assert '{"data": []}' in told
    assert "POST /mcp" in text(get(at(gateway, "mcp/tools"), "olive"))
    assert "Without a key" in text(get(at(gateway, "mcp/bare"), "olive"))
    bare = text(post(at(gateway, "mcp/bare"), said(), "olive", status=200))
    assert "No key was shown." in bare
    assert "What it said is not shown" in bare
    assert '{"data": []}' not in bare


@pytest.mark.usefixtures("broker")
def test_of_several_keys_one_is_chosen(gateway: Instance) -> None:
    page = get(at(gateway, "services/many"), "olive")
    assert "$ref{upstream}" in text(page)
    assert "$ref{second}" in text(page)
    post(at(gateway, "services/many"), said(), "olive", status=422)
    post(at(gateway, "services/many"), said(path="api_keys[7]"), "olive", status=422)
    post(at(gateway, "services/many"), said(path="api_keys[1]"), "olive", status=200)
    assert AuditEntry.objects.filter(action="service.test").latest("seq").facts["key"] == "second"


@pytest.mark.usefixtures("control_plane_down")
@pytest.mark.parametrize("part", ["", "sheet"])
def test_without_a_control_plane_it_says_so(gateway: Instance, part: str) -> None:
    assert "The control plane did not answer" in text(post(at(gateway), said(), "olive", part=part, status=503))


@pytest.mark.usefixtures("broker")
def test_the_limit_of_a_minute_is_said(gateway: Instance) -> None:
    for _ in range(6):
        post(at(gateway), said(), "olive", status=200)
    assert "that is the limit" in text(post(at(gateway), said(), "olive", status=429))


@pytest.mark.usefixtures("broker")
def test_the_same_form_again_calls_nobody(gateway: Instance) -> None:
    fields = said()
    post(at(gateway), fields, "olive", status=200)
    post(at(gateway), fields, "olive")
    assert AuditEntry.objects.filter(action="service.call").count() == 1


def test_what_a_back_end_said_is_text(gateway: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial("answered", "GET /v1/models", status=200, milliseconds=1, message="<script>alert(1)</script>")
    monkeypatch.setattr("gateway.models.service.tested", lambda *_given: trial)
    assert "&lt;script&gt;alert(1)" in post(at(gateway), said(), "olive", status=200).content.decode()


def test_a_service_and_an_mcp_service_offer_it(gateway: Instance) -> None:
    for service in ("services/chat", "mcp/tools"):
        page = get(at(gateway, service).removesuffix("test/"), "olive").content.decode()
        assert f'href="{at(gateway, service)}"' in page
        assert "Test connection Needs Operator" in text(get(at(gateway, service).removesuffix("test/"), "vera"))


@pytest.mark.parametrize(
    ("trial", "tone", "words"),
    [
        (Trial("answered", status=200), "ok", "It accepts the key."),
        (Trial("answered", status=200, sure=False), "ok", "is not seen"),
        (Trial("answered", status=401), "bad", "refuses the key"),
        (Trial("answered", status=403), "bad", "refuses the key"),
        (Trial("answered", status=302), "warn", "follow no redirect"),
        (Trial("answered", status=404), "info", "not seen"),
        (Trial("answered", status=400), "info", "not refused"),
        (Trial("answered", status=429), "warn", "limits calls"),
        (Trial("answered", status=503), "warn", "trouble of its own"),
        (Trial("unknown_name"), "bad", "No address"),
        (Trial("no_connection"), "bad", "Nobody listens"),
        (Trial("tls", message="certificate has expired"), "bad", "certificate has expired."),
        (Trial("too_slow"), "bad", "10 seconds"),
        (Trial("no_http"), "bad", "does not speak HTTP"),
        (Trial("policy"), "bad", "policy"),
        (Trial("disabled"), "bad", "Enable the key"),
        (Trial("unreadable"), "bad", "Rotate the key"),
        (Trial("charset"), "bad", "ASCII"),
        (Trial("ours"), "bad", "back end"),
    ],
)
def test_every_outcome_has_words(trial: Trial, tone: str, words: str) -> None:
    told = Told.of(trial, with_key=True)
    assert told.tone == tone
    assert words in f"{told.title} {told.text}"
