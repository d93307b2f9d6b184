"""A process that posts as somebody signed in and is killed at a named step of the deed: no chance to tidy anything up.

Each line on standard input is one such post, as JSON: "url", "body", "cookies", "step". It is made by a child, and the answer is one
line: the signal that ended the child, or the status of an answer that should never have come.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Never

import django
from django.conf import settings
from django.db import connection
from django.test import Client


def die(*_: object, **__: object) -> Never:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def at_the_first_write() -> None:
    """One row of the change is there, and nothing else."""

    def write(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        done = execute(sql, *args)
        if connection.in_atomic_block and sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
            die()
        return done

    connection.execute_wrappers.append(write)


def before_the_entry() -> None:
    from secrets_app.models.audit import Draft

    Draft.write = die  # type: ignore[method-assign, assignment]


def between_entry_and_head() -> None:
    _after("secrets_app.models.audit", "AuditEntry", "save")


def before_the_commit() -> None:
    _after("secrets_app.models.audit", "Draft", "write")


def after_the_commit() -> None:
    """Whoever did the deed is not told that it is done."""
    from secrets_app.models import deeds

    real = deeds._lost_races

    @contextmanager
    def then(draft: Any) -> Iterator[None]:
        with real(draft):
            yield
        die()

    deeds._lost_races = then


STEPS: dict[str, Callable[[], None]] = {
    step.__name__.replace("_", " "): step
    for step in (at_the_first_write, before_the_entry, between_entry_and_head, before_the_commit, after_the_commit)
}


def _after(module: str, kind: str, name: str) -> None:
    """Dies as soon as that method has done its work."""
    owner = getattr(sys.modules[module], kind)
    real = getattr(owner, name)

    def then(*args: Any, **kwargs: Any) -> Never:
        real(*args, **kwargs)
        die()

    setattr(owner, name, then)


def post(url: str, body: dict[str, str], cookies: dict[str, str], step: str) -> int:
    client = Client(SERVER_NAME="localhost", raise_request_exception=False)
    client.cookies.load(cookies)
    STEPS[step]()
    return client.post(url, body).status_code


def main() -> None:
    django.setup()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # as the tests' own settings say
    for line in sys.stdin:
        child = os.fork()
        if not child:
            print(json.dumps({"status": post(**json.loads(line))}), flush=True)
            os._exit(0)
        _pid, ended = os.waitpid(child, 0)
        if os.WIFSIGNALED(ended):
            print(json.dumps({"signal": os.WTERMSIG(ended)}), flush=True)


if __name__ == "__main__":
    main()
