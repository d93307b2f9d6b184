"""The documentation's page "Reference keys", "Reference a key in a plugin" and "View key references": walked from a fresh console
to a call through a real Envoy, with JavaScript and without."""

from collections.abc import Iterator
from http import HTTPStatus

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dataplane.backend import Backend, running_backend
from tests.flows.test_main_job import create_key, create_service, delete_key, go, open_instance, open_key
from tests.processes import Up, eventually, up

pytestmark = [pytest.mark.envoy, pytest.mark.browser]

AS_WRITTEN = "credentials: \n# Reference the key named secretName\n- $ref{secretName}\nkeys:\n- apikey\n- x-api-key\n"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def latchkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("plugin") / "data", env={"CONSOLE_ADMIN_PASSWORD": PASSWORD}) as running:
        yield running


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with running_backend() as backend:
        yield backend


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without"])
def page(request: pytest.FixtureRequest, browser: Browser, latchkey: Up) -> Iterator[Page]:
    context = browser.new_context(base_url=latchkey.console, java_script_enabled=request.param)
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto("/sign-in/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    yield page
    context.close()


def test_reference_a_key_in_a_plugin(page: Page, latchkey: Up, backend: Backend) -> None:
    value, others = "the-value-of-secretName-0123456789", "another-value-altogether-0123456789"
    # Prerequisites: you have an existing key. (And, to have something to call, a service that asks for nothing else.)
    create_key(page, "secretName", value)
    create_key(page, "upstream", "sk-upstream-0123456789")
    create_service(page, "chat", f"http://127.0.0.1:{backend.port}/v1", "upstream")
    page.get_by_role("link", name="Turn off").click()
    page.get_by_role("button", name="Turn off").click()
    call = Call(f"http://localhost:{latchkey.gateway}/ai/chat/models")
    eventually(lambda: call() == HTTPStatus.OK)

    # Use the $ref{secretName} syntax in plugin configurations to reference a key, where secretName is the key name.
    install(page, "key-auth")
    page.get_by_role("link", name="Add the instance's rule").click()
    configuration = page.get_by_label("Configuration", exact=True)
    expect(configuration).to_have_value(AS_WRITTEN.replace(": \n", ":\n"))  # the example, as it is offered
    configuration.fill(AS_WRITTEN)
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("list", name="Changed lines")).to_contain_text("- $ref{secretName}")
    expect(page.get_by_label("Enable this rule")).to_have_count(0)
    page.get_by_role("button", name="Save and apply").click()
    expect(page.get_by_role("status").first).to_contain_text("Rule key-auth was saved and is enabled.")

    # With this configuration, the secretName key authenticates access to AI Gateway.
    eventually(lambda: call() == HTTPStatus.UNAUTHORIZED)
    backend.seen.clear()
    for name in ("apikey", "x-api-key", "X-API-Key"):
        assert call(headers={name: value}) == HTTPStatus.OK, name
        assert call(headers={name: others}) == HTTPStatus.UNAUTHORIZED, name
        assert call(headers={name: f"{value}x"}) == HTTPStatus.UNAUTHORIZED, name
        assert call(headers={name: "$ref{secretName}"}) == HTTPStatus.UNAUTHORIZED, name
        assert call(headers={name: ""}) == HTTPStatus.UNAUTHORIZED, name
    for name in ("apikey", "x-api-key"):
        assert call(params={name: value}) == HTTPStatus.OK, name
        assert call(params={name: others}) == HTTPStatus.UNAUTHORIZED, name
    for name in ("authorization", "key", "api-key"):
        assert call(headers={name: value}) == HTTPStatus.UNAUTHORIZED, name
    assert backend.seen
    assert not any(seen.holds(value) for seen in backend.seen)  # it ends at the gateway

    view_key_references(page)
    take_it_all_down(page)
    eventually(lambda: call() == HTTPStatus.OK)
    delete_everything_else(page)


class Call:
    """A request through the gateway, and its status."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(self, **given: dict[str, str]) -> int:
        return httpx.get(self.address, **given).status_code  # type: ignore[arg-type]


def install(page: Page, plugin: str) -> None:
    """Instance, its ID, Plug-in."""
    open_instance(page)
    page.get_by_role("navigation", name="Instance").get_by_role("link", name="Plug-in").click()
    page.get_by_role("link", name=f"Install {plugin}").click()
    page.get_by_role("button", name="Install", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(plugin)


def view_key_references(page: Page) -> None:
    # In the navigation pane on the left, select Key.
    go(page, "Key")
    expect(page.get_by_role("columnheader", name="Referenced")).to_be_visible()
    # In the Referenced column, click a key's reference count to view which resources use it.
    page.get_by_role("link", name="1 holder refers to secretName").click()
    use = page.get_by_role("link", name="key-auth").last
    expect(use).to_be_visible()
    expect(page.get_by_text("credentials[0]")).to_be_visible()
    use.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Edit rule")
    expect(page.get_by_role("region", name="References in this file")).to_contain_text("credentials[0], line 3")


def take_it_all_down(page: Page) -> None:
    """The key cannot be deleted before the rule lets go of it."""
    open_key(page, "secretName")
    page.goto(page.url.rstrip("/") + "/delete/")
    expect(page.get_by_role("link", name="key-auth").first).to_be_visible()
    expect(page.get_by_role("button", name="Delete key")).to_have_count(0)
    open_instance(page)
    page.get_by_role("navigation", name="Instance").get_by_role("link", name="Plug-in").click()
    page.get_by_role("link", name="key-auth", exact=True).click()
    page.get_by_role("link", name="Uninstall").click()
    page.get_by_role("textbox").fill("key-auth")
    page.get_by_role("button", name="Uninstall").click()
    expect(page.get_by_role("status").first).to_contain_text("Plug-in key-auth was uninstalled.")
    delete_key(page, "secretName")


def delete_everything_else(page: Page) -> None:
    """For the next walk."""
    open_instance(page)
    page.get_by_role("main").get_by_role("link", name="chat", exact=True).click()
    page.goto(page.url.rstrip("/") + "/delete/")
    page.get_by_role("main").get_by_role("textbox").fill("chat")
    page.get_by_role("button", name="Delete").click()
    delete_key(page, "upstream")
