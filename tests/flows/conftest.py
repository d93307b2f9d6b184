"""A real browser before a real server. Console errors, policy violations and strangers asked by a page fail its test."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests import cast

Visit = Callable[..., Page]
PATIENCE = 20_000  # ms until something that was to happen counts as failed; a machine that is busy elsewhere needs more than 5 seconds
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's own Chromium: nothing is downloaded."""
    if CHROMIUM is None and not os.environ.get("REQUIRE_BROWSER"):
        pytest.skip("no Chromium here: apt-get install chromium")
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": ["--no-sandbox"]}


class Watch:
    """Everything a page may be blamed for. `allow(text)` before doing what must go wrong."""

    def __init__(self, home: str) -> None:
        self.home = urlsplit(home).netloc
        self.blame: list[str] = []
        self._allowed: list[str] = []

    def allow(self, *texts: str) -> None:
        self._allowed += texts

    def on(self, page: Page) -> None:
        page.on("console", lambda message: self._note(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("request", lambda request: self._visit(request.url))
        page.on("response", lambda response: self._note(f"{response.status} {response.url}") if response.status >= 500 else None)

    def _note(self, text: str) -> None:
        # A newer search ends the one before it, as it should; htmx logs that as an error. One that fails is an htmx:sendError.
        ended = text.startswith(("htmx:sendAbort", "htmx:afterRequest"))
        if not ended and not any(allowed in text for allowed in self._allowed):
            self.blame.append(text)

    def _visit(self, url: str) -> None:
        if urlsplit(url).netloc not in {self.home, ""}:
            self._note(f"asked a stranger: {url}")


@pytest.fixture
def watch(live_server: LiveServer) -> Iterator[Watch]:
    watch = Watch(live_server.url)
    yield watch
    assert watch.blame == []


@pytest.fixture
def visit(browser: Browser, live_server: LiveServer, watch: Watch) -> Iterator[Visit]:
    """visit("/styleguide/", as_="alice", theme="dark", width=390, javascript=False): a page, signed in, under watch."""
    cast.deployment()
    contexts: list[BrowserContext] = []

    def visit(path: str, *, as_: str = "alice", theme: str = "light", width: int = 1440, javascript: bool = True, **options: Any) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 900 if width > 800 else 844},
            color_scheme=theme,
            java_script_enabled=javascript,
            **options,
        )
        contexts.append(context)
        if as_:
            client = cast.client(as_)
            context.add_cookies([{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()])
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        watch.on(page)
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        context.close()
