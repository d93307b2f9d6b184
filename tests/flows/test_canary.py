"""Values planted through every form of a running Latchkey are found nowhere: data folder, logs, answers, audit log, Envoy's dumps.

That the scanner would see them is proved by planting one in each sink.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from gateway.embedded import Node
from tests.backends import back_end, header_of, http
from tests.dataplane.gateway import ask_admin
from tests.flows.test_main_job import authorize, create_consumer, create_key, go, open_instance
from tests.keys_of_tokens import key_set, rsa_key
from tests.processes import Up, eventually, up
from tests.security.canary import Canaries, folder

pytestmark = [pytest.mark.envoy, pytest.mark.browser]


class Scene:
    """A running console, a person before it, and everything it ever answered."""

    def __init__(self, running: Up, page: Page, supplier: int) -> None:
        self.up, self.page, self.supplier, self.canaries = running, page, supplier, Canaries()
        self.answers: dict[str, bytes] = {}
        page.on("response", self._keep)

    def _keep(self, response: Response) -> None:
        if response.status not in (204, 301, 302, 303, 304) and response.request.resource_type == "document":
            self.answers[f"{response.request.method} {response.url} {len(self.answers)}"] = response.body()

    def plant(self, what: str) -> str:
        return self.canaries.plant(what, before="sk-", after="-%+/=end")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Scene]:
    """Its supplier repeats what it is shown."""
    env = {"CONSOLE_ADMIN_PASSWORD": "correct horse battery"}
    with (
        back_end(lambda head: http("401 Unauthorized", f"No: {header_of(head, 'authorization')}", "text/plain")) as (supplier, _seen),
        up(tmp_path_factory.mktemp("canary") / "data", env=env) as running,
    ):
        # Without JavaScript every answer is a whole document, and each is kept.
        context = browser.new_context(base_url=running.console, java_script_enabled=False)
        scene = Scene(running, context.new_page(), supplier)
        _sign_in(scene)
        _keys(scene)
        _services(scene)
        _consumers(scene)
        _rules(scene)
        _calls(scene)
        yield scene
        context.close()


def _sign_in(scene: Scene) -> None:
    page = scene.page
    page.goto("/sign-in/")
    for password in (scene.plant("a wrong password"), "correct horse battery"):
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Sign in").click()


def _keys(scene: Scene) -> None:
    page = scene.page
    create_key(page, "supplier", scene.plant("Create key"))
    create_key(page, "partner", scene.plant("Create key, for a consumer"))
    go(page, "Key")
    page.get_by_role("link", name="Create key").first.click()
    page.get_by_label("Key name").fill("not a name")
    page.get_by_label("Key content", exact=True).fill(scene.plant("Create key, refused for its name"))
    page.get_by_role("button", name="Create key").click()
    page.get_by_label("Key name").fill("supplier")
    page.get_by_label("Key content", exact=True).fill(scene.plant("Create key, refused as taken"))
    page.get_by_role("button", name="Create key").click()
    page.goto("/local/keys/supplier/rotate/")
    page.get_by_label("Key content", exact=True).fill(scene.plant("Rotate"))
    page.get_by_role("button", name="Rotate").click()


def _services(scene: Scene) -> None:
    page = scene.page
    for name, what in (("Not A Name", "Create service, refused"), ("chat", "Create service, Custom")):
        open_instance(page)
        page.get_by_role("link", name="Create Service").first.click()
        page.get_by_label("Service name").fill(name)
        page.get_by_label("Large model supplier").select_option(label="OpenAI-compatible")
        page.get_by_role("textbox", name="Service address").fill(f"http://127.0.0.1:{scene.supplier}/v1")
        page.get_by_role("group", name="Generation method").get_by_text("Custom", exact=True).click()
        page.get_by_role("textbox", name="API Key").first.fill(scene.plant(what))
        page.get_by_role("button", name="Create service").click()
    page.goto(page.url.rstrip("/") + "/edit/")
    page.get_by_role("textbox", name="API Key").first.fill(scene.plant("Edit service, Custom"))
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Test connection").click()
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("No: Bearer •••")).to_be_visible()


def _consumers(scene: Scene) -> None:
    page = scene.page
    for name, what in (("Not A Name", "Create consumer, refused"), ("acme", "Create consumer, Custom")):
        go(page, "Consumers")
        page.get_by_role("link", name="Create consumer").first.click()
        page.get_by_label("Consumer name").fill(name)
        page.get_by_role("group", name="Generation method").get_by_text("Custom", exact=True).click()
        page.get_by_label("Credential", exact=True).fill(scene.plant(what))
        page.get_by_role("button", name="Create consumer").click()
    page.goto("/local/consumers/acme/credentials/0/rotate/")
    page.get_by_label("Credential", exact=True).fill(scene.plant("Rotate the credential of a consumer"))
    page.get_by_role("button", name="Rotate").click()
    _consumer_with_tokens(scene)
    create_consumer(page, "partner", "partner")
    authorize(page, "chat", "acme")
    for address in ("/local/", "/local/keys/", "/local/keys/supplier/", "/local/consumers/acme/", "/audit/", "/settings/"):
        page.goto(address)


def _rules(scene: Scene) -> None:
    page = scene.page
    create_key(page, "edge", scene.plant("Create key, for a rule"))
    open_instance(page)
    page.get_by_role("navigation", name="Instance").get_by_role("link", name="Plug-in").click()
    page.get_by_role("link", name="Install key-auth").click()
    page.get_by_role("button", name="Install").click()
    page.get_by_role("link", name="Add the instance's rule").click()
    for what, text in (
        ("in the clear", "credentials:\n- '{}'\nkeys: [apikey]\n"),
        ("in a text that cannot be read", "credentials:\n- '{}'\nkeys: ["),
    ):
        page.get_by_label("Configuration").fill(text.format(scene.plant(f"Rule, {what}")))
        page.get_by_role("button", name="Review changes").click()
    page.get_by_label("Configuration").fill("credentials:\n- $ref{edge}\nkeys: [apikey]\n")
    page.get_by_role("button", name="Review changes").click()
    page.get_by_role("button", name="Save and apply").click()


def _consumer_with_tokens(scene: Scene) -> None:
    """What was pasted by mistake, in each way to paste it; in the end public keys, because Envoy shows a shared secret."""
    page = scene.page
    go(page, "Consumers")
    page.get_by_role("link", name="Create consumer").first.click()
    page.get_by_label("Consumer name").fill("bearer")
    page.get_by_role("group", name="Authentication method").locator("label", has_text="JWT").click()
    page.get_by_role("group", name="Key type").get_by_text("Asymmetric", exact=True).click()
    private = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": scene.canaries.plant("JWKS, private", before="", after="")}
    for pasted in (json.dumps({"keys": [private]}), scene.plant("JWKS, no JSON"), key_set(rsa_key())):
        page.get_by_label("JWKS", exact=True).fill(pasted)
        page.get_by_role("button", name="Create consumer").click()


def _calls(scene: Scene) -> None:
    """What callers present, right and wrong, in each place a credential may stand: it passes the access log and Envoy's own."""
    request = scene.page.request
    call = f"http://localhost:{scene.up.gateway}/ai/chat/models"
    eventually(lambda: request.get(call).status == 401)
    for what in ("a caller's bearer", "a caller's query"):
        value = scene.plant(what)
        request.get(f"{call}?api_key={value}" if "query" in what else call, headers={"authorization": f"Bearer {value}"})


def _dumps(scene: Scene) -> dict[str, str]:
    (place,) = (scene.up.data_dir / "nodes").iterdir()
    node = Node("local", place, "127.0.0.1", scene.up.xds)
    return {path: ask_admin(node, path) for path in ("/config_dump?include_eds", "/stats", "/clusters", "/certs", "/listeners")}


def _database(scene: Scene) -> dict[str, str]:
    connection = sqlite3.connect(f"file:{scene.up.data_dir / 'latchkey.sqlite3'}?mode=ro", uri=True)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {f"table {table}": repr(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in tables}  # noqa: S608
    connection.close()
    return rows


def test_the_forms_were_taken(scene: Scene) -> None:
    """Else the other tests would look for values that never arrived."""
    connection = sqlite3.connect(f"file:{scene.up.data_dir / 'latchkey.sqlite3'}?mode=ro", uri=True)
    done = [action for (action,) in connection.execute("SELECT action FROM secrets_app_auditentry WHERE outcome = 'ok'")]
    connection.close()
    for action in (
        "key.create",
        "key.rotate",
        "service.create",
        "service.edit",
        "service.call",
        "consumer.create",
        "consumer.rotate",
        "service.authorize",
        "rule.write",
    ):
        assert action in done
    assert "1 public key" in "".join(answer.decode() for answer in scene.answers.values())
    assert len(scene.answers) > 30


@pytest.mark.parametrize("sink", ["data folder", "tables", "answers", "envoy", "output"])
def test_no_value_is_found(scene: Scene, sink: str) -> None:
    sinks = {
        "data folder": lambda: folder(scene.up.data_dir),
        "tables": lambda: _database(scene),
        "answers": lambda: scene.answers,
        "envoy": lambda: _dumps(scene),
        "output": lambda: {"up": scene.up.output},
    }
    assert scene.canaries.found_in(sinks[sink]()) == []


def test_the_scanner_sees_a_value_in_each_sink(scene: Scene, tmp_path: Path) -> None:
    value = scene.canaries.plant("planted into a sink")
    copy = tmp_path / "copy.sqlite3"
    connection = sqlite3.connect(copy)
    connection.execute("CREATE TABLE sink (body BLOB)")
    connection.execute("INSERT INTO sink VALUES (?)", (value.encode(),))
    connection.commit()
    rows = repr(connection.execute("SELECT * FROM sink").fetchall())
    connection.close()
    log = tmp_path / "web.log"
    log.write_text(f"a line with {value}")
    dump = json.dumps({"configs": [{"generic_secret": {"secret": {"inline_string": value}}}]})
    for name, sink in {
        "files": list(folder(tmp_path)),
        "table": {"sink": rows},
        "answer": {"page": f"<p>{value}</p>"},
        "dump": {"/config_dump": dump},
    }.items():
        assert {finding.what for finding in scene.canaries.found_in(sink)} == {"planted into a sink"}, name
