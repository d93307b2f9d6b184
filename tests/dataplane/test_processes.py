"""run_xds and run_gateway as processes of their own on a real database: deeds are done here, their effect is seen at the back end."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from gateway.delivery import newest_change
from gateway.models import Consumer, Instance, Node, Service
from secrets_app.models import AuditEntry, Key
from tests import cast
from tests.dataplane.backend import Backend
from tests.dataplane.load import calling
from tests.processes import ROOT, eventually, free_port

pytestmark = [pytest.mark.envoy, pytest.mark.django_db(transaction=True)]

ALICE, FIRST = "alice-key-0123456789", "sk-first-0123456789"


class Processes:
    """The control plane and one gateway, started and ended by the test. Their output lies in `folder`."""

    def __init__(self, folder: Path, instance: Instance) -> None:
        self.instance, self.folder = instance, folder
        self.xds_port, self.port = free_port(), free_port()
        self._running: list[subprocess.Popen[bytes]] = []

    def start_xds(self) -> "subprocess.Popen[bytes]":
        return self._start("run_xds", "--port", str(self.xds_port))

    def start_gateway(self) -> "subprocess.Popen[bytes]":
        xds = f"127.0.0.1:{self.xds_port}"
        return self._start("run_gateway", "--instance", self.instance.ref, "--name", "one", "--port", str(self.port), "--xds", xds)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def status(self, path: str, key: str) -> int:
        return httpx.get(self.url + path, headers={"authorization": f"Bearer {key}"}, timeout=20, trust_env=False).status_code

    @property
    def output(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("run_*.log")))

    def settle(self) -> None:
        """Everything done up to now that gateways have to follow is in effect; entries about the log itself are none of that."""
        seq = newest_change(self.instance.region)
        eventually(lambda: Node.objects.filter(in_effect_seq__gte=seq).exists())

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def _start(self, command: str, *options: str) -> "subprocess.Popen[bytes]":
        env = {
            "PATH": os.defpath,
            "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
            "CONSOLE_DATA_DIR": str(settings.DATA_DIR),
            "CONSOLE_SECRET_KEY": settings.SECRET_KEY,
        }
        with (self.folder / f"{command}.log").open("ab") as out:
            arguments = [sys.executable, "manage.py", command, *options]
            process = subprocess.Popen(arguments, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._running.append(process)
        return process


@pytest.fixture
def service(transactional_db: None, backend: Backend) -> Service:
    """Alice may call chat."""
    instance = cast.instance(cast.deployment(), "east")
    provider = cast.key(instance.region, "provider", FIRST)
    service = cast.service(instance, "chat", keys=[provider], address=f"http://127.0.0.1:{backend.port}/v1")
    cast.consumer(instance.region, "alice", bound_to=cast.key(instance.region, "alice", ALICE))
    service.authorize(["alice"], by=cast.SETUP)
    return service


@pytest.fixture
def processes(service: Service, tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path, service.instance)
    yield processes
    processes.end()


def test_from_deeds_to_the_back_end_through_a_killed_control_plane(processes: Processes, backend: Backend, service: Service) -> None:
    xds, envoy = processes.start_xds(), processes.start_gateway()
    eventually(lambda: Node.objects.filter(connected=True, in_effect_seq__gt=0, envoy_version="1.40.0").exists(), within=60)
    processes.settle()
    key = Key.objects.get(name="provider")
    with calling(processes.url, "/ai/chat/models", ALICE, each_second=100) as load:
        for number in range(3):
            key.refresh_from_db()
            key.rotate(cast.value(f"sk-rotated-{number}-0123456789"), by=cast.SETUP)
            eventually(lambda: backend.last_authorization == f"Bearer sk-rotated-{number}-0123456789")  # noqa: B023

        xds.send_signal(signal.SIGKILL)
        xds.wait()
        calls = load.calls
        key.refresh_from_db()
        key.rotate(cast.value("sk-while-away-0123456789"), by=cast.SETUP)
        eventually(lambda: load.calls > calls + 20)
        processes.start_xds()
        eventually(lambda: backend.last_authorization == "Bearer sk-while-away-0123456789", within=60)
        processes.settle()
    assert set(load.outcomes) == {"200"}, processes.output
    assert envoy.poll() is None


def test_disabling_a_key_shuts_the_service_and_enabling_opens_it(processes: Processes, backend: Backend, service: Service) -> None:
    processes.start_xds()
    processes.start_gateway()
    eventually(lambda: Node.objects.filter(connected=True, in_effect_seq__gt=0).exists(), within=60)
    processes.settle()
    assert processes.status("/ai/chat/models", ALICE) == 200
    for name, status in (("provider", 401), ("alice", 401)):
        key = Key.objects.get(name=name)
        key.disable(by=cast.SETUP)
        processes.settle()
        assert processes.status("/ai/chat/models", ALICE) == status
        key.refresh_from_db()
        key.enable(by=cast.SETUP)
        processes.settle()
        assert processes.status("/ai/chat/models", ALICE) == 200
    service.revoke(Consumer.objects.get(name="alice"), by=cast.SETUP)
    processes.settle()
    assert processes.status("/ai/chat/models", ALICE) == 403


def test_a_gateway_that_starts_again_keeps_its_token_and_makes_no_entry(processes: Processes, service: Service) -> None:
    processes.start_xds()
    first = processes.start_gateway()
    eventually(lambda: Node.objects.filter(connected=True, in_effect_seq__gt=0).exists(), within=60)
    first.terminate()
    assert first.wait(20) == 0
    eventually(lambda: Node.objects.filter(connected=False).exists())
    entries = AuditEntry.objects.filter(action="node.join").count()
    processes.start_gateway()
    eventually(lambda: Node.objects.filter(connected=True).exists(), within=60)
    assert AuditEntry.objects.filter(action="node.join").count() == entries == 1


def test_the_control_plane_ends_in_order_and_keeps_its_memory_to_itself(processes: Processes, service: Service) -> None:
    xds = processes.start_xds()
    processes.start_gateway()
    eventually(lambda: Node.objects.filter(connected=True).exists(), within=60)
    assert re.search(r"Max core file size +0 +0 ", Path(f"/proc/{xds.pid}/limits").read_text())
    xds.terminate()
    assert xds.wait(20) == 0
    assert not Node.objects.filter(connected=True).exists()
    assert "Traceback" not in processes.output


def test_a_port_that_is_taken_and_a_keyring_that_is_missing_are_said_plainly(
    processes: Processes, backend: Backend, service: Service
) -> None:
    processes.xds_port = backend.port
    assert processes.start_xds().wait(60) == 1
    assert f"127.0.0.1:{backend.port} is in use" in processes.output
    private = Path(settings.DATA_DIR) / "kms" / "private.json"
    away = private.rename(private.with_suffix(".away"))
    try:
        processes.xds_port = free_port()
        assert processes.start_xds().wait(60) == 1
    finally:
        away.rename(private)
    assert "private.json" in processes.output
    assert "Traceback" not in processes.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--xds", "10.0.0.1:18000"], "10.0.0.1:18000 is no loopback address"),
        (["--xds", "127.0.0.1"], "127.0.0.1 is no loopback address with a port"),
        (["--xds", "localhost:x"], "localhost:x is no loopback address"),
        (["--name", "../elsewhere"], "A node's name"),
    ],
)
def test_options_that_cannot_work_are_said_plainly(processes: Processes, options: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=re.escape(words)):
        call_command("run_gateway", "--instance", processes.instance.ref, *options)
    assert not Node.objects.exists()


def test_an_instance_that_does_not_exist_is_said_plainly(processes: Processes) -> None:
    processes.instance = Instance(ref="gw-nowhere")
    assert processes.start_gateway().wait(60) == 1
    assert "There is no instance gw-nowhere." in processes.output
