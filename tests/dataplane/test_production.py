"""Production on PostgreSQL: what README tells an administrator to do leads to a served call, and the database may go away and come back."""

import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import psycopg
import pytest
from django.utils import timezone

from tests.cluster import Cluster
from tests.cluster import cluster as private_cluster
from tests.dataplane.backend import Backend, running_backend
from tests.dataplane.load import calling
from tests.dataplane.production import DATABASE, OWNER, PASSWORD, ROLE, Production
from tests.processes import eventually
from tests.security.canary import Canaries
from tests.security.visitor import Visitor

pytestmark = pytest.mark.envoy

LISTENS = b"LISTEN latchkey_audit_log"


@pytest.fixture(scope="module")
def server(postgres_here: None) -> Iterator[Cluster]:
    with private_cluster(log_statement="all", synchronous_commit="on") as running:
        yield running


@pytest.fixture(scope="module")
def supplier() -> Iterator[Backend]:
    with running_backend() as backend:
        yield backend


@pytest.fixture(scope="module")
def production(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    production = Production(server, tmp_path_factory.mktemp("production"))
    try:
        production.set_up()
        production.start(production.web_data, "run_web", "--port", str(production.web))
        yield production
    finally:
        production.end()


class Scene:
    """An owner has made a gateway with one service that one consumer may call, and a key manager has come in."""

    def __init__(self, production: Production, supplier: Backend) -> None:
        self.production, self.supplier = production, supplier
        self.caller = "sk-of-the-caller-0123456789"
        self.alice, self.kim = (Visitor(production, Canaries()) for _ in range(2))
        eventually(lambda: self._is_ready(), within=60)
        for name, visitor in (("alice", self.alice), ("kim", self.kim)):
            assert visitor.sign_in(name, PASSWORD).status_code == 302
        self._done("/local/instances/new/", {"name": "East", "version": "2.1.25"})
        found = re.search(r"/local/instances/(gw-[a-z0-9]+)/", self.alice.get("/local/instances/").text)
        assert found
        self.instance = f"/local/instances/{found[1]}"
        production.start_all(found[1])
        key = {"description": "", "generation": "custom", "reach": "open", "open_confirmed": "on"}
        self._done("/local/keys/new/", key | {"name": "supplier", "value": "sk-first-of-the-supplier"})
        service = {"source": "ai", "supplier": "custom", "protocol": "OpenAI/v1", "address": f"http://127.0.0.1:{supplier.port}/v1"}
        self._done(f"{self.instance}/services/new/", service | {"name": "chat", "generation": "reference", "key_0": "supplier"})
        consumer = {"authentication": "api_key", "generation": "custom", "source_kind": "bearer", "state": "enabled", "description": ""}
        self._done("/local/consumers/new/", consumer | {"name": "caller", "value": self.caller})
        self._done(f"{self.instance}/services/chat/authorize/", {"consumers": "caller"})

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.production.gateway}"

    def rotate(self, value: str, within: float) -> None:
        self._done("/local/keys/supplier/rotate/", {"generation": "custom", "value": value})
        eventually(lambda: self.supplier.last_authorization == f"Bearer {value}", within=within)

    def _is_ready(self) -> bool:
        try:
            return self.alice.http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def _done(self, path: str, fields: dict[str, str]) -> None:
        answer = self.alice.post(path, fields)
        assert answer.status_code == 303, re.findall(r"There is a problem.*?</ul>", answer.text)


@pytest.fixture(scope="module")
def scene(production: Production, supplier: Backend) -> Scene:
    return Scene(production, supplier)


def test_a_call_is_served_and_the_web_process_cannot_open_a_value(scene: Scene) -> None:
    with calling(scene.gateway, "/ai/chat/models", scene.caller, each_second=20, callers=1) as load:
        eventually(lambda: load.outcomes["200"], within=60)
    assert scene.supplier.last_authorization == "Bearer sk-first-of-the-supplier"
    eventually(lambda: scene.alice.get("/readyz?gateway=1").status_code == 200)  # the acknowledgement is written down behind the first call
    assert scene.alice.get("/audit/").status_code == 200
    assert not (scene.production.web_data / "kms" / "private.json").exists()


def test_the_role_that_runs_changes_nothing_of_the_audit_log(scene: Scene, production: Production) -> None:
    entries, epochs, head = "secrets_app_auditentry", "secrets_app_sealedepoch", "secrets_app_audithead"
    forbidden = [
        *(f"{verb} {table}" for table in (entries, epochs, head) for verb in ("TRUNCATE", "DROP TABLE", "DELETE FROM")),
        f"UPDATE {entries} SET actor = 'nobody'",  # noqa: S608 (tables of ours)
        f"UPDATE {epochs} SET last_seq = 0",  # noqa: S608
        f"INSERT INTO {epochs} DEFAULT VALUES",
        f"ALTER TABLE {entries} DISABLE TRIGGER ALL",
        f"ALTER TABLE {entries} OWNER TO {ROLE}",
        "CREATE OR REPLACE FUNCTION audit_entry_update() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TABLE mine (id int)",
        "SET session_replication_role = replica",
        f"SET ROLE {OWNER}",
    ]
    with psycopg.connect(production.url(ROLE), autocommit=True) as raw:
        for statement in forbidden:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                raw.execute(statement)  # type: ignore[arg-type]
        with pytest.raises(psycopg.errors.RestrictViolation):
            raw.execute(f"UPDATE {head} SET seq = 0")  # type: ignore[arg-type]  # noqa: S608
    with psycopg.connect(production.url(OWNER), autocommit=True) as raw, pytest.raises(psycopg.errors.RestrictViolation):
        raw.execute(f"DELETE FROM {entries}")  # type: ignore[arg-type]  # noqa: S608


# As the control plane does a minute after something was written.
SIGN_NOW = """
from django.conf import settings
from secrets_app import notary
from secrets_app.actor import Actor
from secrets_app.checkpoints import Sink
notary.OR_AFTER *= 0
notary.Notary(Sink(settings.AUDIT_SINK), Actor.system("control-plane")).step()
"""


def test_the_owner_archives_and_nobody_else(scene: Scene, production: Production) -> None:
    control = production.control_data
    production.manage(ROLE, control, "shell", "--no-imports", "--command", SIGN_NOW)
    file, tomorrow = production.folder / "audit.jsonl.gz", f"{timezone.now() + timedelta(days=1):%Y-%m-%d}"
    archive = ("archive_audit_log", "--before", tomorrow, "--to", str(file), "--although-younger-than-400-days")
    assert "the role in DATABASE_URL may not" in production.manage(ROLE, control, *archive, code=1)
    file.unlink()
    assert "entries were deleted" in production.manage(OWNER, control, *archive)
    assert production.manage(ROLE, control, "verify_audit_log")


def test_errands_are_served_and_their_connections_closed(scene: Scene, server: Cluster) -> None:
    tested = scene.alice.post(f"{scene.instance}/services/chat/test/", {})
    assert (tested.status_code, '<span class="tag">200</span>' in tested.text) == (200, True)
    assert scene.alice.post("/settings/reveal/", {"policy": "on"}).status_code == 303
    shown = scene.kim.post("/local/keys/supplier/reveal/", {"reason": "Ticket 4711: an emergency", "lock_version": "1"})
    assert (shown.status_code, "sk-first-of-the-supplier" in shown.text) == (200, True)
    before = _sessions(server)
    for _ in range(4):
        assert scene.alice.post(f"{scene.instance}/services/chat/test/", {}).status_code == 200
    assert _sessions(server) <= before


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_the_database_restarts_and_gateways_notice_nothing(scene: Scene, server: Cluster, how: str) -> None:
    """And the control plane, which was not ended, is woken by notices again."""
    listening = server.log.read_bytes().count(LISTENS)
    with calling(scene.gateway, "/ai/chat/models", scene.caller, each_second=50) as load:
        server.stop(how)
        answer = scene.alice.get("/local/")
        assert (answer.status_code, "The database does not answer" in answer.text) == (503, True)
        calls = load.calls
        eventually(lambda: load.calls > calls + 20)
        server.start()
        eventually(lambda: server.log.read_bytes().count(LISTENS) == listening + 2)
        eventually(lambda: scene.alice.get("/local/").status_code == 200)
        scene.rotate(f"sk-after-{how}-0123456789", within=20)
        scene.rotate(f"sk-woken-after-{how}-0123456789", within=4)  # without a notice it looks every five seconds
    assert set(load.outcomes) == {"200"}, scene.production.output
    assert scene.production.all_run()


def _sessions(server: Cluster) -> int:
    ((count,),) = server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}'")  # noqa: S608
    return int(str(count))
