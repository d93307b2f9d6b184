"""The main job, end to end, as a person does it: real processes, a real browser by visible labels, the real `openai` SDK.

Walked twice: with JavaScript, where panels and pickers come alive, and without, where every address is a page of its own.
"""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.processes import Up, eventually, up

pytestmark = [pytest.mark.envoy, pytest.mark.browser]


class Supplier(BaseHTTPRequestHandler):
    """Answers a chat completion with the Authorization it was sent, which only the right key may be."""

    accepted: set[str] = set()  # noqa: RUF012 (one supplier a test module)
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        sent = self.headers.get("authorization", "")
        status = 200 if sent.removeprefix("Bearer ") in self.accepted else 401
        message = {"index": 0, "message": {"role": "assistant", "content": sent}, "finish_reason": "stop"}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]}
        data = json.dumps(answer if status == 200 else {"error": {"message": "Incorrect API key"}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def supplier() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Supplier)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


@pytest.fixture(scope="module")
def latchkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("job") / "data", env={"CONSOLE_ADMIN_PASSWORD": "correct horse battery"}) as running:
        yield running


@pytest.fixture(params=[True, False], ids=["javascript", "no-javascript"])
def page(request: pytest.FixtureRequest, browser: Browser, latchkey: Up) -> Iterator[Page]:
    context = browser.new_context(base_url=latchkey.console, java_script_enabled=request.param)
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto("/sign-in/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    yield page
    context.close()


def test_the_main_job(page: Page, latchkey: Up, supplier: str, request: pytest.FixtureRequest) -> None:
    kind = "js" if "no-javascript" not in request.node.name else "plain"
    first, second = f"sk-first-{kind}-0123456789", f"sk-second-{kind}-0123456789"
    caller_value = f"the-callers-value-{kind}-0123"
    Supplier.accepted = {first, second}

    create_key(page, f"supplier_{kind}", first)
    create_key(page, f"partner_{kind}", caller_value)
    create_service(page, f"chat-{kind}", supplier, f"supplier_{kind}")
    create_consumer(page, f"acme-{kind}", f"partner_{kind}")
    authorize(page, f"chat-{kind}", f"acme-{kind}")

    client = openai.OpenAI(base_url=f"http://localhost:{latchkey.gateway}/ai/chat-{kind}", api_key=caller_value, max_retries=0)
    eventually(lambda: completed(client) == f"Bearer {first}")

    rotate(page, f"supplier_{kind}", second)
    eventually(lambda: completed(client) == f"Bearer {second}")

    see_who_refers(page, f"supplier_{kind}", f"chat-{kind}")
    delete_is_blocked(page, f"supplier_{kind}", f"chat-{kind}")
    delete_service(page, f"chat-{kind}")
    delete_key(page, f"supplier_{kind}")


def completed(client: openai.OpenAI) -> str | None:
    try:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
    except openai.APIStatusError:
        return None
    return answer.choices[0].message.content


def go(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).first.click()


def create_key(page: Page, name: str, value: str) -> None:
    go(page, "Key")
    page.get_by_role("link", name="Create key").first.click()
    page.get_by_label("Key name").fill(name)
    page.get_by_label("Key content", exact=True).fill(value)
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    assert value not in page.content()


def open_instance(page: Page) -> None:
    go(page, "Instance")
    page.get_by_role("main").get_by_role("link", name=re.compile("^gw-")).first.click()
    page.get_by_role("main").get_by_role("link", name="Service", exact=True).first.click()


def create_service(page: Page, name: str, address: str, key: str) -> None:
    open_instance(page)
    page.get_by_role("link", name="Create Service").first.click()
    page.get_by_label("Service name").fill(name)
    page.get_by_label("Large model supplier").select_option(label="OpenAI-compatible")
    page.get_by_role("textbox", name="Service address").fill(address)
    page.get_by_role("group", name="Generation method").get_by_text("Reference Key", exact=True).click()
    page.get_by_role("combobox", name="API Key").or_(page.get_by_role("textbox", name="API Key")).first.fill(key)
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def create_consumer(page: Page, name: str, key: str) -> None:
    go(page, "Consumers")
    page.get_by_role("link", name="Create consumer").first.click()
    page.get_by_label("Consumer name").fill(name)
    page.get_by_role("group", name="Generation method").get_by_text("Reference Key", exact=True).click()
    page.get_by_label("Bind Key", exact=True).fill(key)
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def open_service(page: Page, name: str) -> None:
    open_instance(page)
    page.get_by_role("main").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def authorize(page: Page, service: str, consumer: str) -> None:
    open_service(page, service)
    page.get_by_role("link", name="Authorize").first.click()
    page.get_by_label("Consumers", exact=True).fill(consumer)
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("main").get_by_role("link", name=consumer, exact=True)).to_be_visible()


def open_key(page: Page, name: str) -> None:
    go(page, "Key")
    page.get_by_role("main").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def rotate(page: Page, name: str, value: str) -> None:
    open_key(page, name)
    page.get_by_role("link", name="Rotate").first.click()
    page.get_by_label("Key content", exact=True).fill(value)
    page.get_by_role("button", name="Rotate").click()
    expect(page.get_by_role("main")).to_contain_text("v2")
    assert value not in page.content()


def see_who_refers(page: Page, name: str, holder: str) -> None:
    go(page, "Key")
    page.get_by_role("link", name=re.compile(rf"1 \w+ refers? to {name}|{name}.*1")).first.click()
    expect(page.get_by_role("link", name=re.compile(holder)).first).to_be_visible()


def delete_is_blocked(page: Page, name: str, holder: str) -> None:
    page.goto(page.url.split("/keys/")[0] + f"/keys/{name}/delete/")
    expect(page.get_by_role("link", name=re.compile(holder)).first).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)


def delete_service(page: Page, name: str) -> None:
    open_service(page, name)
    page.goto(page.url.rstrip("/") + "/delete/")
    page.get_by_role("main").get_by_role("textbox").fill(name)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("main").get_by_role("link", name=name, exact=True)).to_have_count(0)


def delete_key(page: Page, name: str) -> None:
    go(page, "Key")
    page.get_by_role("main").get_by_role("link", name=name, exact=True).click()
    page.goto(page.url.rstrip("/") + "/delete/")
    page.get_by_role("main").get_by_role("textbox").fill(name)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("main").get_by_role("link", name=name, exact=True)).to_have_count(0)
