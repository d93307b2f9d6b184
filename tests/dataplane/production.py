"""README's "In production", as it stands there: two roles in PostgreSQL, two keyrings, the processes one by one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster import Cluster
from tests.processes import ROOT, clean_environment, free_port

DATABASE, OWNER, ROLE = "latchkey", "latchkey_owner", "latchkey"
PASSWORD = "three words of the owner"
# Which part of the keyring README gives to the web's user.
WEB_ONLY = ("public.json", "fingerprint.key", "sign_in.key")
CONTROL_ONLY = ("private.json", "checkpoints.key")
PUBLIC = "checkpoints.pub"


def statements() -> list[str]:
    """What README has an administrator say to PostgreSQL."""
    (block,) = re.findall(r"```sql\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    bare = re.sub(r"--.*", "", block).replace("'...'", "'a password of theirs'")
    return [" ".join(one.split()) for one in bare.split(";") if one.strip()]


class Production:
    """`folders` are the data folders of the two users. Output of each process lies in `folder`."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.web, self.xds, self.gateway = free_port(), free_port(), free_port()
        self.web_data, self.control_data = folder / "web", folder / "control"
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def console(self) -> str:
        return f"http://localhost:{self.web}"

    def url(self, role: str) -> str:
        return self.cluster.url(DATABASE, role)

    def set_up(self) -> None:
        said = statements()
        grants = [one for one in said if one.startswith(("GRANT", "REVOKE"))]
        for one in said:
            if one not in grants:
                self.cluster.execute(one)
        for command in ("migrate", "createcachetable"):
            self.manage(OWNER, self.control_data, command)
        for one in grants:
            self.cluster.execute(one, DATABASE, OWNER)
        self.manage(ROLE, self.control_data, "prepare")
        self.manage(ROLE, self.control_data, "create_user", "alice", "--role", "owner", CONSOLE_USER_PASSWORD=PASSWORD)
        self.manage(ROLE, self.control_data, "create_user", "kim", "--role", "key_manager", CONSOLE_USER_PASSWORD=PASSWORD)
        self.part_the_keyring()

    def part_the_keyring(self) -> None:
        theirs = self.web_data / "kms"
        theirs.mkdir(parents=True, mode=0o700)
        self.web_data.chmod(0o700)
        for name in WEB_ONLY:
            shutil.copy2(self.control_data / "kms" / name, theirs)
        assert {file.name for file in (self.control_data / "kms").iterdir()} == {*WEB_ONLY, *CONTROL_ONLY, PUBLIC}

    def manage(self, role: str, data: Path, command: str, *options: str, code: int = 0, **env: str) -> str:
        """What it printed."""
        arguments = [sys.executable, "manage.py", command, *options]
        done = subprocess.run(arguments, cwd=ROOT, env=self._env(role, data) | env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def start_all(self, instance: str) -> None:
        self.start(self.control_data, "run_xds", "--port", str(self.xds))
        # fmt: off
        self.start(self.control_data, "run_gateway", "--instance", instance, "--port", str(self.gateway), "--xds", f"127.0.0.1:{self.xds}")
        # fmt: on

    def start(self, data: Path, command: str, *options: str) -> None:
        with (self.folder / f"{command}.log").open("ab") as out:
            arguments = [sys.executable, "manage.py", command, *options]
            env = self._env(ROLE, data)
            self._running.append(subprocess.Popen(arguments, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out))

    def all_run(self) -> bool:
        return all(process.poll() is None for process in self._running)

    @property
    def output(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("run_*.log")))

    def end(self) -> None:
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            process.wait(30)

    def _env(self, role: str, data: Path) -> dict[str, str]:
        ports = {"CONSOLE_WEB_PORT": str(self.web), "CONSOLE_XDS_PORT": str(self.xds), "CONSOLE_GATEWAY_PORT": str(self.gateway)}
        own = {"DATABASE_URL": self.url(role), "CONSOLE_DATA_DIR": str(data), "CONSOLE_PROBE_LOOPBACK": "true"}  # our back end is here
        return clean_environment() | ports | own
