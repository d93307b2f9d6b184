"""Testing a connection: one call, to the service's own address, with the key as gateways send it, and no key in what comes back."""

import uuid
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from gateway.address import parse_address
from gateway.models import Service
from gateway.models.trial import Trial
from gateway.probe import calling
from gateway.probe.asking import Question
from gateway.probe.calling import CallFailed, call
from gateway.xds import trials
from gateway.xds.trials import Trials
from secrets_app.broker import Broker
from secrets_app.errors import Invalid, NoAnswer, NotAllowed, TooOften, Withheld
from secrets_app.models import AuditEntry, Errand, Key, Region
from tests import cast
from tests.backends import back_end, certificate, header_of, http, in_chunks, packed, slow_back_end
from tests.security.canary import Canaries
from tests.security.world import everything

VALUE = "sk-Zx9Qw7Er5Ty3Ui1Op8As6Df4Gh2Jk0L"
QUESTION = Question("GET", "/v1/models")
HERE = [ip_address("127.0.0.1")]


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "upstream", VALUE)


@pytest.fixture
def control_plane(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does make the call."""
    broker._others = Trials(cast.CONTROL_PLANE)
    monkeypatch.setattr(trials, "ends_of", lambda _address, _ports: HERE)


def served(region: Region, key: Key | None, port: int, **fields: Any) -> Service:
    return cast.service(cast.instance(region), keys=[key] if key else None, address=f"http://127.0.0.1:{port}/v1", **fields)


def tried(service: Service, who: str = "olive", path: str = "api_keys[0]", once: uuid.UUID | None = None) -> Trial:
    return service.test(path, by=cast.actor(who), once=once or uuid.uuid4())


@pytest.mark.usefixtures("control_plane")
def test_the_back_end_is_shown_the_key_as_the_gateway_shows_it(region: Region, key: Key) -> None:
    with back_end(lambda _head: http("200 OK", '{"data": [{"id": "gpt"}]}')) as (port, seen):
        trial = tried(served(region, key, port))
    assert (trial.result, trial.status, trial.message, trial.asked) == ("answered", 200, '{"data": [{"id": "gpt"}]}', "GET /v1/models")
    assert [head.split(b"\r\n")[0] for head in seen] == [b"GET /v1/models HTTP/1.1"]
    assert header_of(seen[0], "authorization") == f"Bearer {VALUE}"
    assert header_of(seen[0], "host") == f"127.0.0.1:{port}"
    entries = [(entry.actor, entry.action, entry.outcome) for entry in AuditEntry.objects.order_by("-seq")[:2]]
    assert entries == [("control-plane", "service.call", "ok"), ("olive", "service.test", "ok")]
    assert AuditEntry.objects.get(action="service.call").facts["status"] == 200
    assert not Errand.objects.exists()


@pytest.mark.usefixtures("control_plane")
@pytest.mark.parametrize(
    "answer",
    [
        lambda head: http("401 Unauthorized", f'{{"error": "wrong key: {header_of(head, "authorization")}"}}'),
        lambda head: http(
            "401 Unauthorized", header_of(head, "authorization"), "text/plain", f"X-Echo: {header_of(head, 'authorization')}"
        ),
        lambda head: in_chunks("401 Unauthorized", f"wrong key: {header_of(head, 'authorization')}".encode(), 3),
        lambda head: packed("401 Unauthorized", head),
        lambda head: http("401 Unauthorized", head, "application/octet-stream"),
        lambda head: http("302 Found", "", "text/html", f"Location: http://127.0.0.1:9/?k={header_of(head, 'authorization')}"),
        lambda head: http(f"401 {header_of(head, 'authorization')}"),
        lambda head: header_of(head, "authorization").encode() + b"\r\n\r\n",
        lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: " + header_of(head, "authorization").encode() + b"\r\n\r\n",
    ],
    ids=["json", "text", "chunks", "packed", "binary", "redirect", "reason", "no http", "length"],
)
def test_a_back_end_that_repeats_the_key_tells_nobody(region: Region, key: Key, answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    canaries = Canaries()
    canaries.watch("key", VALUE.replace("-", ""))
    with back_end(answer) as (port, seen):
        trial = tried(served(region, key, port))
    assert VALUE.encode() in seen[0]
    assert canaries.found_in({"told": repr(trial), "rows": everything(), "log": caplog.text}) == []
    assert VALUE[3:12] not in repr(trial)


@pytest.mark.usefixtures("control_plane")
def test_a_redirect_is_not_followed(region: Region, key: Key) -> None:
    with (
        back_end(lambda _head: http("200 OK")) as (elsewhere, seen),
        back_end(lambda _head: http("307 Temporary Redirect", "", "text/html", f"Location: http://127.0.0.1:{elsewhere}/")) as (
            port,
            _seen,
        ),
    ):
        assert tried(served(region, key, port)).status == 307
    assert seen == []


@pytest.mark.usefixtures("control_plane")
def test_nobody_there_is_said(region: Region, key: Key) -> None:
    with back_end(lambda _head: b"") as (port, _seen):
        pass
    assert tried(served(region, key, port)).result == "no_connection"


def test_one_byte_at_a_time_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "TIME", 0.4)
    with slow_back_end() as port, pytest.raises(CallFailed) as failed:
        call(parse_address(f"http://127.0.0.1:{port}"), HERE, QUESTION, None, None)
    assert failed.value.code == "too_slow"


def test_a_certificate_that_nobody_vouches_for_ends_it_before_the_key_is_sent(tmp_path: Path) -> None:
    context, file = certificate(tmp_path)
    with back_end(lambda _head: http("200 OK"), context) as (port, seen):
        address = parse_address(f"https://localhost:{port}")
        with pytest.raises(CallFailed) as failed:
            call(address, HERE, QUESTION, ("x-key", b"secret"), None)
        assert (failed.value.code, seen) == ("tls", [])
        assert call(address, HERE, QUESTION, ("x-key", b"secret"), file).status == 200
        with pytest.raises(CallFailed) as failed:  # of another name
            call(parse_address(f"https://other.localhost:{port}"), HERE, QUESTION, ("x-key", b"secret"), file)
        assert failed.value.code == "tls"
        assert len(seen) == 1


def test_what_is_no_http_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "TIME", 1.0)
    with back_end(lambda _head: b"\x00\x01garbage") as (port, _seen):
        with pytest.raises(CallFailed) as failed:
            call(parse_address(f"http://127.0.0.1:{port}"), HERE, QUESTION, None, None)
        assert failed.value.code == "no_http"
        with pytest.raises(CallFailed) as failed:
            call(parse_address(f"https://127.0.0.1:{port}"), HERE, QUESTION, None, None)
        assert failed.value.code in ("tls", "no_http", "too_slow")  # it waits for the rest of what is no request


@pytest.mark.usefixtures("broker")
def test_who_may(region: Region, key: Key) -> None:
    service = served(region, key, 9)
    for who in ("kim", "vera", "audrey", "mallory"):
        with pytest.raises(NotAllowed):
            tried(service, who)
    for who in ("alice", "olive"):
        assert tried(service, who).result == "answered"


@pytest.mark.usefixtures("broker")
def test_six_a_minute(region: Region, key: Key) -> None:
    service = served(region, key, 9)
    for _ in range(6):
        tried(service)
    with pytest.raises(TooOften):
        tried(service)


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("path", ["", "api_keys[1]", "backend_auth", "../x"])
def test_a_key_that_is_not_the_services_cannot_be_chosen(region: Region, key: Key, path: str) -> None:
    with pytest.raises(Invalid):
        tried(served(region, key, 9), path=path)


@pytest.mark.usefixtures("control_plane")
def test_a_disabled_key_and_one_outside_its_policy_are_not_sent(region: Region, key: Key) -> None:
    with back_end(lambda _head: http("200 OK")) as (port, seen):
        service = served(region, key, port)
        key.disable(by=cast.SETUP)
        assert tried(service).result == "disabled"
        key.enable(by=cast.SETUP)
        Key.objects.filter(pk=key.pk).update(policy=type(key.policy)())
        assert tried(service).result == "policy"
    assert seen == []


def test_latchkeys_own_ports_are_not_called(region: Region, key: Key, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    broker._others = Trials(cast.CONTROL_PLANE)
    monkeypatch.undo()
    with back_end(lambda _head: http("200 OK")) as (port, seen):
        service = served(region, key, port)
        monkeypatch.setattr(settings, "WEB_PORT", port)
        assert Trials(cast.CONTROL_PLANE)._tried(service, "api_keys[0]").result == "ours"
    assert seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.9.9.9", "[::]"])
def test_in_production_nobody_looks_for_what_listens_beside_the_control_plane(region: Region, key: Key, host: str, settings: Any) -> None:
    settings.PROBE_LOOPBACK = False
    with back_end(lambda _head: http("200 OK", '{"inner": "thing"}')) as (port, seen):
        service = cast.service(cast.instance(region), keys=[key], address=f"http://{host}:{port}/v1")
        trial = Trials(cast.CONTROL_PLANE)._tried(service, "api_keys[0]")
    assert (trial.result, trial.status, trial.message, seen) == ("here", 0, "", [])


@pytest.mark.usefixtures("control_plane")
def test_who_shows_no_key_sees_no_answer(region: Region) -> None:
    with back_end(lambda _head: http("200 OK", '{"inner": "thing"}')) as (port, seen):
        trial = tried(cast.mcp(cast.instance(region), address=f"http://127.0.0.1:{port}"), path="")
    assert (trial.result, trial.status, trial.message, trial.withheld, len(seen)) == ("answered", 200, "", False, 1)
    assert "inner" not in repr(trial)


def test_an_address_that_changed_after_the_entry_is_not_called(
    region: Region, key: Key, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, real = served(region, key, 9), broker.serve
    monkeypatch.setattr(broker, "serve", lambda: (Service.objects.filter(pk=service.pk).update(address="http://127.0.0.1:10/v1"), real()))
    with pytest.raises(Withheld):
        tried(service)


@pytest.mark.usefixtures("control_plane_down")
def test_without_a_control_plane_it_ends_after_two_seconds(region: Region, key: Key) -> None:
    with pytest.raises(NoAnswer):
        tried(served(region, key, 9))
    assert not Errand.objects.exists()


@pytest.mark.usefixtures("control_plane")
def test_what_each_kind_of_service_is_asked(region: Region, key: Key) -> None:
    gateway = cast.instance(region)
    with back_end(lambda _head: http("200 OK", "data: {}\n\n", "text/event-stream")) as (port, seen):
        home = f"http://127.0.0.1:{port}"
        made: list[tuple[Service, str]] = [
            (cast.service(gateway, keys=[key], supplier="claude", protocol="native", address=f"{home}/v1"), "api_keys[0]"),
            (cast.agent(gateway, keys=[key], address=f"{home}/v1"), "api_key"),
            (cast.agent(gateway, keys=[key], apps=["Alpha"], address=f"{home}/api/v1"), "apps[Alpha]"),
            (cast.mcp(gateway, key=key, address=home), "backend_auth"),
            (cast.mcp(gateway, key=key, address=home, transport="sse"), "backend_auth"),
            (cast.mcp(gateway, address=home), ""),
        ]
        for number, (service, path) in enumerate(made):
            path = path if path in {use.path for use in service.uses} or not path else service.uses[0].path
            assert tried(service, "olive" if number < 5 else "alice", path).status == 200
    assert [head.split(b" HTTP")[0].decode() for head in seen] == [
        "GET /v1/models",
        "GET /v1/parameters",
        "POST /api/v1/apps/Alpha/completion",
        "POST /mcp",
        "GET /sse",
        "POST /mcp",
    ]
    assert (header_of(seen[0], "x-api-key"), header_of(seen[0], "anthropic-version")) == (VALUE, "2023-06-01")
    assert [header_of(head, "authorization") for head in seen[1:3]] == [f"Bearer {VALUE}"] * 2
    assert [header_of(head, "x-api-key") for head in seen[3:]] == [VALUE, VALUE, ""]
    assert b'"initialize"' in seen[3]
