"""A signed-in person's browser, more or less, that keeps every answer."""

import uuid
from typing import Any

import httpx

from tests.processes import Up
from tests.security.canary import Canaries


class Visitor:
    def __init__(self, running: Up, canaries: Canaries) -> None:
        self.canaries, self.answers = canaries, dict[str, bytes]()
        self.http = httpx.Client(base_url=running.console, follow_redirects=False, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return self._kept(self.http.get(path))

    def post(self, path: str, fields: dict[str, str], *, token: bool = True, **kwargs: Any) -> httpx.Response:
        headers = {"X-CSRFToken": self.http.cookies.get("latchkey-csrf", "")} if token else {}
        return self._kept(
            self.http.post(path, data={"once": str(uuid.uuid4())} | fields, headers=headers | kwargs.pop("headers", {}), **kwargs)
        )

    def send(self, path: str, **kwargs: Any) -> httpx.Response:
        """As a script does: no form, no token of one."""
        return self._kept(self.http.post(path, **kwargs))

    def sign_in(self, name: str, password: str) -> httpx.Response:
        self.get("/sign-in/")
        return self.post("/sign-in/", {"login": name, "password": password})

    def _kept(self, answer: httpx.Response) -> httpx.Response:
        number = f"{len(self.answers):03d} {answer.request.method} {answer.request.url.path} {answer.status_code}"
        headers = [pair for pair in answer.headers.multi_items() if pair[0] != "set-cookie"]  # a session has its place there
        self.answers[number] = repr(headers).encode() + answer.content
        return answer
