"""Consumers with tokens in a browser: by visible labels, with JavaScript and without, up to a call through a running gateway."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.jwks import shared_keys
from gateway.methods import JWT
from gateway.models import Consumer, Service
from tests import cast
from tests.dataplane.backend import running_backend
from tests.flows.browser import panel_by_keyboard, problems
from tests.flows.conftest import Visit, Watch
from tests.flows.test_main_job import go, open_instance
from tests.keys_of_tokens import ec_key, key_set, rsa_key, signed
from tests.processes import Up, eventually, up

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HERE = "/local/consumers/acme/"


def choose(page: Page, group: str, option: str) -> None:
    page.get_by_role("group", name=group).last.locator("label", has_text=option).first.click()


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_consumer_is_made_changed_rotated_and_switched(visit: Visit, watch: Watch, javascript: bool) -> None:
    region = cast.deployment()
    cast.key(region, "partner")
    page = visit("/local/consumers/", as_="olive", javascript=javascript)

    page.get_by_role("link", name="Create consumer").first.click()
    page.get_by_label("Consumer name").fill("acme")
    choose(page, "Authentication method", "JWT")
    expect(page.get_by_label("Bind Key", exact=True)).to_be_hidden()
    choose(page, "Key type", "Asymmetric")
    watch.allow("422")
    page.get_by_label("JWKS", exact=True).fill("{")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_text("its JSON breaks at line 1").first).to_be_visible()
    page.get_by_label("JWKS", exact=True).fill(key_set(rsa_key(), ec_key()))
    choose(page, "Token position", "Query")
    page.get_by_label("Token key").fill("jwt")
    page.get_by_label("Identity value").fill("acme-1")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_text("Consumer acme was created.")).to_be_visible()
    expect(page.get_by_text("uid = acme-1")).to_be_visible()

    page.get_by_role("link", name="Edit", exact=True).first.click()
    choose(page, "Key type", "Symmetric")
    page.get_by_role("button", name="Save consumer").click()
    expect(page.get_by_label("Shared secret (JWKS)")).to_have_value(re.compile(r'"alg":"HS256"'))
    if javascript:
        page.get_by_label("I have stored it").check()
    page.get_by_role("link", name="Open consumer").click()

    page.get_by_role("link", name="Rotate shared secret").click()
    page.get_by_role("button", name="Rotate shared secret").click()
    expect(page.get_by_text("The shared secret of acme was rotated to v2.")).to_be_visible()
    if javascript:
        page.get_by_label("I have stored it").check()
    page.get_by_role("link", name="Open consumer").click()
    expect(page.get_by_text("v1 is still accepted")).to_be_visible()

    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Switch to API Key").click()
    page.get_by_role("group", name="Generation method").get_by_text("Reference Key", exact=True).click()
    page.get_by_role("combobox", name="Bind Key").or_(page.get_by_role("textbox", name="Bind Key")).fill("partner")
    page.get_by_role("button", name="Switch method").click()
    expect(page.get_by_text("acme authenticates by API Key now.")).to_be_visible()
    assert (Consumer.objects.get().method, Consumer.objects.get().references.count()) == ("api_key", 1)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_service_asks_for_tokens(visit: Visit, javascript: bool) -> None:
    region = cast.deployment()
    instance = cast.instance(region, "gateway")
    cast.consumer(region, "keyed")
    cast.bearer(region, "acme")
    cast.service(instance, "chat").authorize(["keyed", "acme"], by=cast.SETUP)
    page = visit(f"/local/instances/{instance.ref}/services/chat/", as_="olive", javascript=javascript)
    page.get_by_role("link", name="Change", exact=True).click()
    choose(page, "Authentication method", "JWT")
    page.get_by_role("button", name="Change method").click()
    expect(page.get_by_text("chat asks its callers for: JWT.")).to_be_visible()
    expect(page.get_by_role("row", name="keyed")).to_contain_text("Has no effect: this service asks for JWT.")
    expect(page.get_by_role("row", name="acme")).not_to_contain_text("Has no effect")
    assert Service.objects.get().authentication_method == JWT


def test_nothing_stands_in_the_way_of_assistive_technology(visit: Visit) -> None:
    region = cast.deployment()
    instance = cast.instance(region, "gateway")
    cast.bearer(region, "acme").rotate_jwt(shared_keys(), 24, by=cast.SETUP)
    cast.bearer(region, "pasted", cast.jwt(key_type="asymmetric", jwks=key_set(rsa_key())))
    cast.bearer(region, "remote", cast.jwt(key_type="remote", url="https://issuer.example.com/a/very/long/path/to/the/keys/jwks.json"))
    cast.consumer(region, "keyed")
    service = cast.service(instance, "chat")
    service.authorize(["acme", "keyed"], by=cast.SETUP)
    service.require_authentication(JWT, by=cast.SETUP)
    page = visit(HERE)
    assert problems(page) == []
    with panel_by_keyboard(page, "Edit"):
        assert problems(page) == []
    here = f"/local/instances/{instance.ref}/services/chat/"
    for path in (
        "/local/consumers/", f"{HERE}switch-method/", f"{HERE}jwt/rotate/", "/local/consumers/pasted/", "/local/consumers/pasted/edit/",
        "/local/consumers/remote/", "/local/consumers/remote/edit/", "/local/consumers/keyed/", "/local/consumers/keyed/switch-method/",
        here, f"{here}require-authentication/",
    ):  # fmt: skip
        page.goto(path)
        assert problems(page) == [], path
    page.goto("/local/consumers/new/")
    choose(page, "Authentication method", "JWT")
    for kind in ("Symmetric", "Asymmetric", "Remote JWKS URL"):
        choose(page, "Key type", kind)
        assert problems(page) == [], kind
    page.goto(f"{HERE}jwt/rotate/")
    page.get_by_role("button", name="Rotate shared secret").click()
    assert problems(page) == []


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("jwt") / "data", env={"CONSOLE_ADMIN_PASSWORD": "correct horse battery"}) as running:
        yield running


@pytest.mark.envoy
def test_from_the_form_to_a_call(running: Up, browser: Browser) -> None:
    """Create a consumer with tokens, let a service ask for them, authorize, and call with what the page showed once."""
    context = browser.new_context(base_url=running.console)
    page = context.new_page()
    page.goto("/sign-in/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    with running_backend() as backend:
        open_instance(page)
        page.get_by_role("link", name="Create Service").first.click()
        page.get_by_label("Service name").fill("chat")
        page.get_by_label("Large model supplier").select_option(label="OpenAI-compatible")
        page.get_by_role("textbox", name="Service address").fill(f"http://127.0.0.1:{backend.port}/v1")
        page.get_by_role("group", name="Generation method").get_by_text("Custom", exact=True).click()
        page.get_by_role("textbox", name="API Key").first.fill("sk-0123456789")
        page.get_by_role("button", name="Create service").click()
        expect(page.get_by_role("heading", name="chat")).to_be_visible()
        service = page.url
        page.get_by_role("link", name="Change", exact=True).click()
        choose(page, "Authentication method", "JWT")
        page.get_by_role("button", name="Change method").click()
        expect(page.get_by_text("chat asks its callers for: JWT.")).to_be_visible()

        go(page, "Consumers")
        page.get_by_role("link", name="Create consumer").first.click()
        page.get_by_label("Consumer name").fill("acme")
        choose(page, "Authentication method", "JWT")
        page.get_by_label("Identity value").fill("acme-1")
        page.get_by_role("button", name="Create consumer").click()
        first = json.loads(page.get_by_label("Shared secret (JWKS)").input_value())["keys"][0]

        page.goto(service)
        page.get_by_role("link", name="Authorize", exact=True).first.click()
        page.get_by_role("checkbox", name="acme").check()
        page.get_by_role("button", name="Authorize", exact=True).click()
        expect(page.get_by_role("row", name="acme")).to_be_visible()
        address = f"http://localhost:{running.gateway}/ai/chat/models"
        eventually(lambda: status(address, signed(first, uid="acme-1")) == 200, within=15)
        assert backend.last.header("authorization") == "Bearer sk-0123456789"
        assert status(address, signed(first, uid="acme-2")) == 403
        assert status(address, "") == 401

        page.goto("/local/consumers/acme/jwt/rotate/")
        page.get_by_role("button", name="Rotate shared secret").click()
        second = json.loads(page.get_by_label("Shared secret (JWKS)").input_value())["keys"][0]
        eventually(lambda: status(address, signed(second, uid="acme-1")) == 200, within=15)
        assert status(address, signed(first, uid="acme-1")) == 200
        page.goto("/local/consumers/acme/disable/")
        page.get_by_role("button", name="Disable consumer").click()
        eventually(lambda: status(address, signed(second, uid="acme-1")) in (401, 403), within=15)
    context.close()


def status(address: str, token: str) -> int:
    return httpx.get(address, headers={"authorization": f"Bearer {token}"} if token else {}, trust_env=False).status_code
