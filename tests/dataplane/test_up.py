"""The embedded default as a person meets it: one command, real processes, a real Envoy."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.dataplane.mcp_server import client
from tests.loop import in_own_loop
from tests.processes import ROOT, Up, alive, eventually, free_port, up

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("demo") / "data", "--demo") as running:
        yield running


def test_up_prints_progress_three_addresses_and_a_password(demo: Up) -> None:
    assert f"http://localhost:{demo.web}" in demo.output
    assert f"http://localhost:{demo.gateway}" in demo.output
    assert f"http://localhost:{demo.xds}" in demo.output
    assert re.search(r"Sign in as admin / \S{16}", demo.output)


def test_the_demos_curl_lines_work(demo: Up) -> None:
    lines = [line for line in demo.output.splitlines() if line.strip().startswith("curl ")]
    model, agent, tool = (
        json.loads(subprocess.run([*shlex.split(line), "-sS"], capture_output=True, check=True, timeout=20).stdout) for line in lines
    )
    assert model["choices"][0]["message"]["content"] == "You said: Hello"
    assert agent["answer"] == "You said: Hello"
    assert tool["result"]["content"] == [{"type": "text", "text": "You said: Hello"}]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_demos_tools_are_called_by_the_mcp_sdk(demo: Up, mode: str) -> None:
    key = re.search(r"Bearer (lk_\w+)", demo.output)
    assert key
    bearer = {"Authorization": f"Bearer {key[1]}"}

    async def session() -> None:
        async with client(f"http://localhost:{demo.gateway}/mcp-servers/tools/mcp", bearer, mode=mode) as tools:
            assert [tool.name for tool in (await tools.list_tools()).tools] == ["echo"]
            answer = await tools.call_tool("echo", {"text": "from the SDK"})
            assert answer.content[0].text == "You said: from the SDK"

    in_own_loop(session())


def test_the_demo_streams_to_the_openai_sdk(demo: Up) -> None:
    key = re.search(r"Bearer (lk_\w+)", demo.output)
    assert key
    client = openai.OpenAI(base_url=f"http://localhost:{demo.gateway}/ai/chat", api_key=key[1], max_retries=0)
    chunks = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "one two three"}], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: one two three"


def test_a_child_that_dies_is_started_again_and_said_so(demo: Up) -> None:
    envoy = next(pid for pid in demo.descendants() if Path(f"/proc/{pid}/exe").resolve().name == "envoy")
    os.kill(envoy, signal.SIGKILL)
    eventually(lambda: "gateway ended (signal 9); starting it again" in demo.output or "gateway ended" in demo.output)

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://localhost:{demo.web}/readyz?gateway=1", timeout=5) as answer:
                return bool(json.load(answer)["ready"])
        except OSError:
            return False

    eventually(answers, within=40)


def test_files_of_the_data_folder_are_private(demo: Up) -> None:
    for file in [*demo.data_dir.rglob("*")]:
        if file.is_file() and not file.is_symlink():
            assert file.stat().st_mode & 0o077 == 0, file
    assert demo.data_dir.stat().st_mode & 0o077 == 0


def test_kill_9_leaves_no_child_behind(tmp_path: Path) -> None:
    running = Up(tmp_path / "data").wait_until_announced()
    children = running.descendants()
    assert len(children) >= 4
    running.process.kill()
    running.process.wait()
    eventually(lambda: not [pid for pid in children if alive(pid)], within=30)


def test_ctrl_c_ends_everything_and_the_second_start_keeps_what_was_stored(tmp_path: Path) -> None:
    first = Up(tmp_path / "data").wait_until_announced()
    children = first.descendants()
    first.stop()
    assert first.process.returncode == 0
    assert not [pid for pid in children if alive(pid)]
    second = Up(tmp_path / "data").wait_until_announced()
    assert "Sign in as" not in second.output
    second.stop()


@pytest.mark.parametrize("option", ["--web-port", "--gateway-port", "--xds-port"])
def test_a_port_in_use_is_said_plainly(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"--web-port": free_port(), "--gateway-port": free_port(), "--xds-port": free_port()} | {option: taken.getsockname()[1]}
        command = [sys.executable, "manage.py", "up", "--data-dir", str(tmp_path / "data")]
        command += [part for name, port in ports.items() for part in (name, str(port))]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert f"Port {ports[option]} is in use" in ended.stderr
    assert option in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_lost_private_half_leaves_the_console_running_and_says_how_to_restore(tmp_path: Path) -> None:
    Up(tmp_path / "data", "--no-gateway").wait_until_announced().stop()
    (tmp_path / "data/kms/private.json").unlink()
    running = Up(tmp_path / "data").wait_until_announced()
    try:
        assert "No gateway can be served" in running.output
        assert "backup" in running.output
        with urllib.request.urlopen(f"{running.console}/sign-in/", timeout=10) as page:
            assert page.status == 200
    finally:
        running.stop()
