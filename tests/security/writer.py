"""One of several people who work at once on the same few things: makes, binds, rotates, edits and deletes them until the time is up.

    python -m tests.security.writer <seed> <seconds> <instance>

reads its cookies as JSON from standard input, prints an empty line when it is ready, begins at the next line, and prints what it was
answered: {"by status": {...}, "broken": [...], "slowest": seconds}.
"""

import json
import random
import re
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable

import django
from django.test import Client

Body = dict[str, str]

KEYS = [f"contested_{number}" for number in range(4)]
FEW = 8
NAMES = [f"contested-{number}" for number in range(4)]


class Writer:
    def __init__(self, seed: int, gateway: str, cookies: dict[str, str]) -> None:
        self.chance, self.number = random.Random(seed), 0
        self.seed, self.services = seed, f"/local/instances/{gateway}/services"
        self.client = Client(SERVER_NAME="localhost", raise_request_exception=False)
        self.client.cookies.load(cookies)
        self.statuses, self.broken, self.slowest = Counter[int](), list[str](), 0.0

    def work(self, seconds: float) -> None:
        """A few deeds at least, however slow the machine."""
        end = time.monotonic() + seconds
        while time.monotonic() < end or self.statuses.total() < FEW:
            self.chance.choice(DEEDS)(self)

    def post(self, url: str, **fields: str) -> None:
        began = time.monotonic()
        answer = self.client.post(url, {"once": str(uuid.uuid4()), **fields})
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500 or b"locked" in answer.content:
            self.broken.append(f"{answer.status_code} {url} {answer.content[-300:]!r}")

    def key(self) -> str:
        return self.chance.choice(KEYS)

    def name(self) -> str:
        return self.chance.choice(NAMES)

    def value(self) -> str:
        self.number += 1
        return f"value {self.number} of writer {self.seed}"

    def lock_version(self, url: str) -> str:
        """As the form that was opened at some time before says."""
        found = re.search(r'name="lock_version" value="(\d+)"', self.client.get(url).content.decode())
        return found[1] if found else "1"


def create_key(at: Writer) -> None:
    at.post("/local/keys/new/", name=at.key(), description="", generation="custom", value=at.value())


def rotate_key(at: Writer) -> None:
    at.post(f"/local/keys/{at.key()}/rotate/", generation="custom", value=at.value(), overlap="24")


def edit_key(at: Writer) -> None:
    url = f"/local/keys/{at.key()}/edit/"
    at.post(url, description=at.value(), lock_version=at.lock_version(url))


def disable_key(at: Writer) -> None:
    at.post(f"/local/keys/{at.key()}/{at.chance.choice(['disable', 'enable'])}/")


def delete_key(at: Writer) -> None:
    key = at.key()
    at.post(f"/local/keys/{key}/delete/", confirm=key)


def create_consumer(at: Writer) -> None:
    at.post(
        "/local/consumers/new/",
        name=at.name(), key=at.key(), generation="reference",
        description="", authentication="api_key", source_kind="bearer", state="enabled",
    )  # fmt: skip


def add_credential(at: Writer) -> None:
    at.post(f"/local/consumers/{at.name()}/credentials/new/", generation="reference", key=at.key())


def remove_credential(at: Writer) -> None:
    at.post(f"/local/consumers/{at.name()}/credentials/0/remove/")


def delete_consumer(at: Writer) -> None:
    name = at.name()
    at.post(f"/local/consumers/{name}/delete/", confirm=name)


SERVICE = {"source": "ai", "supplier": "custom", "protocol": "OpenAI/v1", "generation": "reference"}
ADDRESS = {"address": "https://llm.example.com/v1"}


def create_service(at: Writer) -> None:
    at.post(f"{at.services}/new/", **SERVICE, **ADDRESS, name=at.name(), key_0=at.key())


def edit_service(at: Writer) -> None:
    url = f"{at.services}/{at.name()}/edit/"
    at.post(url, **SERVICE, **ADDRESS, key_0=at.key(), key_1=at.key(), lock_version=at.lock_version(url))


def delete_service(at: Writer) -> None:
    name = at.name()
    at.post(f"{at.services}/{name}/delete/", confirm=name)


def authorize(at: Writer) -> None:
    at.post(f"{at.services}/{at.name()}/authorize/", consumers=at.name())


def revoke(at: Writer) -> None:
    at.post(f"{at.services}/{at.name()}/revoke/{at.name()}/")


DEEDS: list[Callable[[Writer], None]] = [
    *[create_key] * 2, *[rotate_key] * 3, edit_key, disable_key, delete_key, *[create_consumer] * 2, add_credential, remove_credential,
    delete_consumer, *[create_service] * 2, edit_service, delete_service, authorize, revoke,
]  # fmt: skip


def main(seed: str, seconds: str, gateway: str) -> None:
    django.setup()
    writer = Writer(int(seed), gateway, json.loads(sys.stdin.readline()))
    writer.client.get("/local/keys/new/")  # the first request of a process loads half of it
    print(flush=True)
    sys.stdin.readline()
    writer.work(float(seconds))
    print(json.dumps({"by status": writer.statuses, "broken": writer.broken, "slowest": writer.slowest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
