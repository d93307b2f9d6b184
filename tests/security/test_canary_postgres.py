"""The same values on the same ways, with PostgreSQL as the store and everything logged that it can log: only what is sealed gets there."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.cluster import Cluster
from tests.cluster import cluster as private_cluster
from tests.oidc import serving
from tests.processes import Up, eventually, up
from tests.security.canary import Canaries, folder
from tests.security.people import single_sign_on
from tests.security.visitor import Visitor
from tests.security.ways import allowed, everywhere

DATABASE = "latchkey"
# The worst that an administrator may set; parameters of statements are logged whole unless somebody says otherwise.
TALKATIVE = {
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_min_error_statement": "debug5",
    "log_parameter_max_length_on_error": "-1",
    "log_error_verbosity": "verbose",
    "log_connections": "on",
    "log_lock_waits": "on",
    "wal_level": "replica",
    "full_page_writes": "on",
}


@pytest.fixture(scope="module")
def server(postgres_here: None) -> Iterator[Cluster]:
    with private_cluster(**TALKATIVE) as running:
        running.execute(f"CREATE DATABASE {DATABASE}")
        yield running


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture(scope="module")
def password(canaries: Canaries) -> str:
    return canaries.plant("the administrator's password", after="")


@pytest.fixture(scope="module")
def latchkey(server: Cluster, tmp_path_factory: pytest.TempPathFactory, canaries: Canaries, password: str) -> Iterator[Up]:
    env = {"CONSOLE_ADMIN_PASSWORD": password, "DATABASE_URL": server.url(DATABASE)}
    with serving() as provider:
        env |= single_sign_on(canaries, provider)
        with up(tmp_path_factory.mktemp("canary") / "data", "--no-gateway", env=env) as running:
            yield running


@pytest.fixture(scope="module")
def visitor(latchkey: Up, server: Cluster, canaries: Canaries, password: str) -> Iterator[Visitor]:
    @contextmanager
    def locked() -> Iterator[None]:
        with psycopg.connect(server.url(DATABASE)) as holder:
            holder.execute("SELECT * FROM secrets_app_audithead FOR UPDATE")
            yield
        eventually(lambda: b"lock timeout" in (latchkey.data_dir / "logs" / "web.log").read_bytes(), within=10)

    visitor = everywhere(latchkey, canaries, password, locked)
    server.execute("CHECKPOINT")
    yield visitor
    visitor.http.close()


def test_no_answer_holds_a_value(visitor: Visitor) -> None:
    assert [one for one in visitor.canaries.found_in(visitor.answers) if not allowed(one.where, one.what)] == []


def test_what_the_server_logged_holds_no_value(visitor: Visitor, server: Cluster) -> None:
    said = server.log.read_bytes()
    assert b'INSERT INTO "secrets_app_keyversion"' in said
    assert rb"'\x" in said  # what is sealed
    assert visitor.canaries.found_in({"log": said}) == []


def test_a_dump_holds_no_value(visitor: Visitor, server: Cluster) -> None:
    dump = server.dump(DATABASE)
    assert b"key.rotate" in dump
    assert visitor.canaries.found_in({"dump": dump}) == []


def test_no_file_holds_a_value(visitor: Visitor, server: Cluster, latchkey: Up) -> None:
    """The server's, its write-ahead log among them, and ours."""
    assert any((server.data / "pg_wal").iterdir())
    assert visitor.canaries.found_in(folder(server.data, but=server.untouched())) == []
    assert visitor.canaries.found_in(folder(latchkey.data_dir)) == []
    assert visitor.canaries.found_in({"up": latchkey.output}) == []


@pytest.mark.usefixtures("visitor")
def test_one_planted_in_each_sink_is_seen(server: Cluster, latchkey: Up, password: str) -> None:
    seen = Canaries()
    visitor = Visitor(latchkey, seen)
    visitor.sign_in("admin", password)
    key = {"generation": "custom", "value": "a value nobody looks for"}
    visitor.post("/local/keys/new/", {**key, "name": "told", "description": seen.plant("typed where it is no value")})
    visitor.http.close()
    with psycopg.connect(server.url(DATABASE)) as raw, pytest.raises(psycopg.errors.InvalidTextRepresentation):
        raw.execute("SELECT %s::int", [seen.plant("in an error", after="")])
    server.execute("CHECKPOINT")
    assert {one.what for one in seen.found_in({"log": server.log.read_bytes()})} == {"typed where it is no value", "in an error"}
    assert {one.what for one in seen.found_in({"dump": server.dump(DATABASE)})} == {"typed where it is no value"}
    files = {one.where.partition("/")[0] for one in seen.found_in(folder(server.data, but=server.untouched()))}
    assert {"base", "pg_wal"} <= files
