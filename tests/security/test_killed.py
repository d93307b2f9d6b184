"""Kill -9 at each named step of each deed, with real processes on the database of these tests: no change without its entry, no entry
without its change."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from secrets_app.models import AuditEntry, AuditHead
from tests import cast
from tests.processes import ROOT, on_this_database
from tests.security.doomed import STEPS
from tests.security.policy import WRITING
from tests.security.world import World, fingerprint, things

pytestmark = pytest.mark.django_db(transaction=True)

# What changes is the log alone, or who is signed in.
ELSEWHERE = {"settings.edit_reveal", "user.end_session", "audit.export", "key.deny_reveal"}
DEEDS = [name for name, row in WRITING.items() if row.who != "anybody"]


class Doomed:
    """Processes that post and die; tests/security/doomed.py."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.security.doomed"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=on_this_database(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def post(self, client: Client, url: str, body: dict[str, str], step: str) -> dict[str, int]:
        """How it ended: {"signal": 9}."""
        assert self.process.stdin
        assert self.process.stdout
        cookies = {name: cookie.value for name, cookie in client.cookies.items()}
        print(json.dumps({"url": url, "body": body, "cookies": cookies, "step": step}), file=self.process.stdin, flush=True)
        ended: dict[str, int] = json.loads(self.process.stdout.readline())
        return ended

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def doomed(django_db_setup: None) -> Iterator[Doomed]:
    doomed = Doomed()
    yield doomed
    doomed.close()


@pytest.mark.parametrize("name", DEEDS)
def test_no_change_without_its_entry_and_no_entry_without_its_change(doomed: Doomed, name: str) -> None:
    world, row, client = World.make(), WRITING[name], cast.client(WRITING[name].somebody)
    assert row.body
    url, body = row.url(name, world), row.body(world)
    before, stored, seq = fingerprint(), things(), AuditHead.objects.get().seq
    *unfinished, last = STEPS
    for step in unfinished:
        assert doomed.post(client, url, body, step) == {"signal": signal.SIGKILL}, step
        assert fingerprint() == before, step
    assert doomed.post(client, url, body, last) == {"signal": signal.SIGKILL}
    (entry,) = AuditEntry.objects.filter(seq__gt=seq)
    assert (entry.action, entry.outcome, AuditHead.objects.get().seq) == (row.action, "ok", entry.seq)
    assert (things() != stored) is (row.action not in ELSEWHERE)
    assert AuditEntry.verify().bad is None
    call_command("verify_references", stdout=StringIO())
