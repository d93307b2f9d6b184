"""Test connection in a real browser, against back ends on this machine that answer in every way."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gateway.models import Instance, Service
from gateway.probe import calling
from gateway.xds import trials
from gateway.xds.trials import Trials
from secrets_app.broker import Broker
from secrets_app.models import Key, Region
from tests import cast
from tests.backends import back_end, certificate, header_of, http, slow_back_end
from tests.flows.browser import problems
from tests.flows.conftest import Visit
from tests.security.canary import Canaries

pytestmark = pytest.mark.browser


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def key(visit: Visit, canaries: Canaries, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Key:
    """And a control plane that does make calls."""
    broker._others = Trials(cast.CONTROL_PLANE)
    monkeypatch.setattr(trials, "ends_of", lambda _address, _ports: [ip_address("127.0.0.1")])
    return cast.key(Region.objects.get(name="local"), "upstream", canaries.plant("key", before="sk-", after=""))


def served(key: Key, address: str) -> Service:
    gateway = Instance.objects.first() or cast.instance(key.region, "prod-east")
    return cast.service(gateway, keys=[key], address=address)


def test(page: Page) -> None:
    page.get_by_role("link", name="Test connection").click()
    page.get_by_role("button", name="Test connection").click()


test.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("javascript", [True, False])
def test_one_that_works_and_one_that_repeats_the_key(visit: Visit, key: Key, canaries: Canaries, javascript: bool) -> None:
    with (
        back_end(lambda _head: http("200 OK", '{"data": []}')) as (good, _seen),
        back_end(lambda head: http("401 Unauthorized", f"Incorrect API key: {header_of(head, 'authorization')}", "text/plain")) as (
            bad,
            seen,
        ),
    ):
        page = visit(page_of(served(key, f"http://127.0.0.1:{good}/v1")), as_="olive", javascript=javascript)
        test(page)
        expect(page.get_by_role("status").filter(has_text="The connection works")).to_contain_text("It accepts the key.")
        expect(page.get_by_text('{"data": []}')).to_be_visible()
        if javascript:
            assert problems(page) == []
        page.goto(page_of(served(key, f"http://127.0.0.1:{bad}/v1")))
        test(page)
        expect(page.get_by_role("status").filter(has_text="refuses the key")).to_be_visible()
        expect(page.get_by_text("Incorrect API key: Bearer •••")).to_be_visible()
        assert canaries.found_in({"asked": seen[0]})
        assert canaries.found_in({"page": page.content()}) == []
        if javascript:
            assert problems(page) == []


def test_one_that_is_slow_one_that_is_down_and_one_that_nobody_vouches_for(
    visit: Visit, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "TIME", 1.0)
    with back_end(lambda _head: b"") as (down, _seen):
        pass
    context, _file = certificate(tmp_path)
    with slow_back_end() as slow, back_end(lambda _head: http("200 OK"), context) as (tls, seen):
        for address, words in (
            (f"http://127.0.0.1:{down}/v1", "No connection"),
            (f"https://localhost:{tls}/v1", "The certificate is not trusted"),
            (f"http://127.0.0.1:{slow}/v1", "No answer in time"),
        ):
            page = visit(page_of(served(key, address)), as_="olive")
            test(page)
            expect(page.get_by_role("status").filter(has_text=words)).to_be_visible()
            page.get_by_role("link", name="Test again").click()
            expect(page.get_by_role("button", name="Test connection")).to_be_visible()
    assert seen == []


def page_of(service: Service) -> str:
    return f"/local/instances/{service.instance.ref}/services/{service.name}/"
