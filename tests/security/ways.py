"""Every way in which a value comes into a running Latchkey, and every way in which that can fail: what the canary tests walk through.

visitor = Visitor(running, canaries)
everywhere(visitor, running, password, locked)
"""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from html import unescape
from urllib.parse import quote

import httpx

from tests.backends import back_end, header_of, http
from tests.processes import ROOT, Up
from tests.security import people
from tests.security.canary import Canaries
from tests.security.visitor import Visitor

LINE_END, NUL = "\r\n", "\x00"


Locked = Callable[[], AbstractContextManager[object]]


def everywhere(running: Up, canaries: Canaries, password: str, locked: Locked) -> Visitor:
    """Signed in as admin, it has been everywhere and done everything wrong that can be done. Inside `locked` nobody else can write."""
    visitor = Visitor(running, canaries)
    assert visitor.sign_in("admin", password).status_code == 302
    store_keys(visitor)
    make_consumers(visitor)
    make_services(visitor)
    reveal_a_key(visitor, running)
    post_badly(visitor)
    without_a_keyring(visitor, running)
    while_the_database_is_locked(visitor, locked)
    as_nobody(visitor, running)
    people.come_and_go(visitor, running)
    for path in (
        "/local/",
        "/local/keys/",
        "/local/keys/first/",
        "/local/consumers/",
        "/local/consumers/caller/",
        "/local/consumers/bearer/",
        "/audit/",
        "/settings/",
    ):
        assert visitor.get(path).status_code == 200
    for form in ("csv", "jsonl"):
        assert visitor.post("/audit/export/", {"format": form}).status_code == 200
    return visitor


def store_keys(visitor: Visitor) -> None:
    plant, post = visitor.canaries.plant, visitor.post
    key = {"description": "", "generation": "custom"}
    assert post("/local/keys/new/", {**key, "name": "first", "value": plant("create key")}).status_code == 303
    assert (
        post(
            "/local/keys/new/", {**key, "name": "text", "value": plant("a value with line ends") + LINE_END + "second line" + LINE_END}
        ).status_code
        == 303
    )
    assert post("/local/keys/new/", {**key, "name": "ünïcode", "value": plant("a wrong name")}).status_code == 422
    assert post("/local/keys/new/", {**key, "name": "first", "value": plant("a taken name")}).status_code == 422
    assert post("/local/keys/new/", {**key, "name": "nul", "value": plant("a value with NUL") + NUL}).status_code == 422
    assert post("/local/keys/new/", {**key, "name": "long", "value": plant("a value too long") + "x" * 70_000}).status_code == 422
    assert (
        post("/local/keys/new/", {**key, "name": "odd", "generation": "telepathy", "value": plant("an unknown method")}).status_code == 422
    )
    assert (
        post("/local/keys/new/", {**key, "name": "not_read", "generation": "system", "value": plant("a branch not chosen")}).status_code
        == 200
    )
    assert (
        post("/local/keys/new/", {**key, "name": plant("a value in the name", after="!"), "value": plant("beside it")}).status_code == 422
    )
    made = post("/local/keys/new/", {**key, "name": "made", "generation": "system"})
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    shown = re.search(r"lk_[A-Za-z0-9]{43}", made.text)
    assert shown
    visitor.canaries.watch("a generated value", shown[0])
    first = plant("rotate key")
    assert post("/local/keys/first/rotate/", {"generation": "custom", "value": first}).status_code == 303
    assert post("/local/keys/first/rotate/", {"generation": "custom", "value": first}).status_code == 422  # in use already
    assert post("/local/keys/nowhere/rotate/", {"generation": "custom", "value": plant("rotating nothing")}).status_code == 404


def make_consumers(visitor: Visitor) -> None:
    plant, post = visitor.canaries.plant, visitor.post
    consumer = {"authentication": "api_key", "generation": "custom", "source_kind": "bearer", "state": "enabled", "description": ""}
    taken = plant("create consumer")
    assert post("/local/consumers/new/", {**consumer, "name": "caller", "value": taken}).status_code == 303
    assert post("/local/consumers/new/", {**consumer, "name": "twin", "value": taken}).status_code == 422
    assert post("/local/consumers/new/", {**consumer, "name": "Bad Name", "value": plant("a consumer's wrong name")}).status_code == 422
    assert (
        post(
            "/local/consumers/new/", {**consumer, "name": "s", "value": plant("a wrong header"), "source_kind": "header", "header": "host"}
        ).status_code
        == 422
    )
    assert post("/local/consumers/new/", {**consumer, "name": "n", "value": plant("a consumer's line end") + "\nsecond"}).status_code == 422
    credentials = "/local/consumers/caller/credentials"
    assert post(f"{credentials}/0/rotate/", {"value": plant("rotate a credential"), "overlap": "24"}).status_code == 303
    assert post(f"{credentials}/0/rotate/", {"value": plant("a wrong overlap"), "overlap": "25"}).status_code == 422
    added = plant("add a credential")
    assert post(f"{credentials}/new/", {"generation": "custom", "value": added}).status_code == 303
    assert post(f"{credentials}/new/", {"generation": "custom", "value": added}).status_code == 422
    stale = {"generation": "custom", "value": plant("edit a credential, stale"), "lock_version": "999"}
    assert post(f"{credentials}/1/edit/", stale).status_code == 409
    assert post(f"{credentials}/9/edit/", {**stale, "value": plant("edit no credential")}).status_code == 404
    not_read = {**consumer, "value": plant("where no value is asked for"), "lock_version": "999"}
    assert post("/local/consumers/caller/edit/", not_read).status_code == 409
    make_consumers_with_tokens(visitor)


def make_consumers_with_tokens(visitor: Visitor) -> None:
    plant, post = visitor.canaries.plant, visitor.post
    token = {"position": "header", "placed_at": "Authorization", "claim": "uid", "claim_value": "bearer", "cache_seconds": "600"}
    bearer = {"authentication": "jwt", "state": "enabled", "description": "", "name": "bearer", "key_type": "asymmetric", **token}
    private = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": plant("a private key among the public", before="", after="")}
    for jwks in (json.dumps({"keys": [private]}), json.dumps(private) + plant("broken JSON"), plant("no key set at all")):
        assert post("/local/consumers/new/", {**bearer, "jwks": jwks}).status_code == 422
    address = f"https://user:{plant('a password in an address', before='', after='')}@issuer.example.com/jwks"
    assert post("/local/consumers/new/", {**bearer, "key_type": "remote", "url": address}).status_code == 422
    unread = {"jwks": plant("keys of a type not chosen"), "value": plant("a credential of the method not chosen"), "generation": "custom"}
    made = post("/local/consumers/new/", {**bearer, **unread, "key_type": "symmetric"})
    shown = watch_secret(visitor, made, "a generated key set")
    for number in range(20):  # until there is one with a stretch to look for
        if shown:
            break
        made = post("/local/consumers/bearer/jwt/rotate/", {"overlap": "24"})
        shown = watch_secret(visitor, made, f"a generated key set {number}")
    assert shown
    switch = {**token, "key_type": "asymmetric", "jwks": plant("switching"), "lock_version": "999", "claim_value": "other"}
    assert post("/local/consumers/caller/switch-method/", switch).status_code == 409
    edit = {**token, "key_type": "asymmetric", "jwks": plant("editing tokens"), "lock_version": "1"}
    assert post("/local/consumers/bearer/edit/", edit).status_code in (409, 422)  # by how often it was rotated


def watch_secret(visitor: Visitor, made: httpx.Response, what: str) -> bool:
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    secret = re.search(r'"k":"([A-Za-z0-9_-]{43})"', unescape(made.text))
    assert secret
    if found := re.search(r"[A-Za-z0-9]{24,}", secret[1]):
        visitor.canaries.watch(what, found[0])
    return found is not None


def reveal_a_key(visitor: Visitor, latchkey: Up) -> None:
    """By somebody who may, and in every way in which it can be refused."""
    value = visitor.canaries.plant("a revealed value")
    assert visitor.post("/local/keys/new/", {"name": "shown", "generation": "custom", "value": value}).status_code == 303
    reveal, asked = "/local/keys/shown/reveal/", {"reason": "Ticket 4711: an emergency", "lock_version": "1"}
    assert visitor.post(reveal, asked).status_code == 403  # an owner
    # fmt: off
    command = [sys.executable, "manage.py", "create_user", "keeper", "--role", "key_manager", "--data-dir", str(latchkey.data_dir)]
    # fmt: on
    password = visitor.canaries.plant("a key manager's password", after="")
    subprocess.run(command, cwd=ROOT, env=latchkey.env | {"CONSOLE_USER_PASSWORD": password}, check=True, capture_output=True)
    keeper = Visitor(latchkey, visitor.canaries)
    assert keeper.sign_in("keeper", password).status_code == 302
    assert keeper.post(reveal, asked).status_code == 409  # off
    assert visitor.post("/settings/reveal/", {"policy": "on"}).status_code == 303
    assert keeper.post(reveal, {**asked, "reason": "short"}).status_code == 422
    assert keeper.post(reveal, {**asked, "lock_version": "9"}).status_code == 409
    once = {"once": str(uuid.uuid4())}
    shown = keeper.post(reveal, asked | once)
    assert (shown.status_code, shown.headers["cache-control"], value in unescape(shown.text)) == (200, "no-store", True)
    assert keeper.post(reveal, asked | once).status_code == 409
    for path in ("/local/keys/shown/", reveal, "/local/keys/", "/local/"):
        assert keeper.get(path).status_code == 200
    visitor.answers |= {f"keeper's {name}": answer for name, answer in keeper.answers.items()}
    keeper.http.close()


def make_services(visitor: Visitor) -> None:
    plant, post = visitor.canaries.plant, visitor.post
    instance = re.search(r"/local/instances/(gw-[a-z0-9]+)/", visitor.get("/local/instances/").text)
    assert instance
    services = f"/local/instances/{instance[1]}/services"
    service = {
        "source": "ai",
        "supplier": "custom",
        "protocol": "OpenAI/v1",
        "address": "https://llm.example.com/v1",
        "generation": "custom",
    }
    values = {"value_0": plant("create service"), "value_1": plant("its second key")}
    assert post(f"{services}/new/", {**service, "name": "chat", **values}).status_code == 303
    assert post(f"{services}/new/", {**service, "name": "chat", "value_0": plant("a service's taken name")}).status_code == 422
    assert post(
        f"{services}/new/", {**service, "name": "b", "address": "http://localhost:8000", "value_0": plant("a wrong address")}
    ).status_code in (303, 422)
    assert post(f"{services}/new/", {**service, "name": "c", "value_0": plant("a row more"), "add_row": "value"}).status_code == 200
    assert (
        post(
            f"{services}/new/", {**service, "name": "d", "value_0": plant("a row less"), "value_1": "x", "remove_row": "value_1"}
        ).status_code
        == 200
    )
    edit = {**service, "value_0": plant("edit service"), "lock_version": "999"}
    assert post(f"{services}/chat/edit/", edit).status_code == 409
    make_agents(visitor, services)
    try_a_connection(visitor, services, service)
    write_rules(visitor, f"/local/instances/{instance[1]}")


def try_a_connection(visitor: Visitor, services: str, service: dict[str, str]) -> None:
    """Of a back end that repeats what it is shown, in several ways at once."""

    def repeating(head: bytes) -> bytes:
        shown = header_of(head, "authorization").removeprefix("Bearer ")
        return http("401 Unauthorized", f"{shown} {quote(shown)} {json.dumps(shown)} {shown[:30]}", "text/plain")

    value = visitor.canaries.plant("the key of a connection that is tested")
    with back_end(repeating) as (port, seen):
        own = {"name": "echo", "address": f"http://127.0.0.1:{port}/v1", "value_0": value}
        assert visitor.post(f"{services}/new/", service | own).status_code == 303
        tested = visitor.post(f"{services}/echo/test/", {})
    assert (tested.status_code, '<span class="tag">401</span>' in tested.text) == (200, True)
    assert value.encode() in seen[0]


def write_rules(visitor: Visitor, instance: str) -> None:
    """Credentials typed into the editor where a reference belongs, in every way in which a text can be refused."""
    canaries, post = visitor.canaries, visitor.post
    assert post(f"{instance}/plugins/key-auth/install/", {}).status_code == 303
    rule = f"{instance}/plugins/key-auth/rules/instance"
    spelled = {
        "in the clear": "credentials:\n- {}\nkeys: [apikey]\n",
        "in quotes": "credentials: ['{}']\nkeys: [apikey]\n",
        "of a consumer": "consumers:\n- name: a\n  credential: {}\nkeys: [apikey]\n",
        "over lines": "credentials:\n- |\n  {}\n  second\nkeys: [apikey]\n",
        "without a space": "credentials:\n-{}\nkeys: [apikey]\n",
        "one level too high": "credentials: {}\n",
        "in a field with a slip": "credental: {}\n",
        "as a field's name": "{}: x\n",
        "in a comment of a text that is refused": "# was {}\ncredentials: []\n",
        "behind what cannot be read": "keys: ][\ncredentials:\n- {}\n",
        "in front of what cannot be read": "credentials:\n- {}\nkeys: [\n",
        "in a quote that stays open": "credentials:\n- '{}\nkeys: [apikey]\n",
        "with an anchor": "credentials:\n- &a {}\nkeys: [apikey]\n",
        "with a tag": "credentials:\n- !x {}\nkeys: [apikey]\n",
        "in a second document": "keys: [apikey]\n---\ncredentials:\n- {}\n",
        "beside an invisible character": "credentials:\n- {}\nrealm: a\x00b\n",
        "in a text that is too long": "credentials:\n- {}\n" + "#" * 70_000,
        "for a field without references": "realm: {}\ncredentials: []\n",
    }
    for what, text in spelled.items():
        typed = text.format(canaries.plant(f"rule, {what}", after=""))
        for step, status in (("review", 422), ("save", 422), ("edit", 200)):
            assert post(f"{rule}/edit/", {"text": typed, "step": step, "enabled": "on"}).status_code == status, what
        assert post(f"{rule}/check/", {"text": typed}).status_code == 200
    assert post(f"{instance}/plugins/jwt-auth/install/", {}).status_code == 303
    for what, member in (("a shared key", "k"), ("a private key", "d")):
        jwks = f'{{"keys":[{{"kty":"oct","kid":"a","{member}":"{canaries.plant(f"rule, {what}", after="")}"}}]}}'
        typed = f"consumers:\n- name: a\n  issuer: b\n  jwks: '{jwks}'\n"
        for path, status in (("edit", 422), ("check", 200)):
            answer = post(f"{instance}/plugins/jwt-auth/rules/instance/{path}/", {"text": typed, "step": "save"})
            assert answer.status_code == status, what
    good = "credentials:\n- $ref{first}\nkeys: [apikey]\n"
    for step, status in (("review", 200), ("save", 303)):
        assert post(f"{rule}/edit/", {"text": good, "step": step, "enabled": "on"}).status_code == status
    changed = good + "realm: ours\n"
    assert post(f"{rule}/edit/", {"text": changed, "step": "save", "lock_version": "999"}).status_code == 409
    assert post(f"{rule}/edit/", {"text": changed, "step": "save", "lock_version": "2", "enabled": "on"}).status_code == 303
    for page in ("", "?at=credentials%5B0%5D", "edit/", "restore/1/", "delete/", "disable/"):
        assert visitor.get(f"{rule}/{page}").status_code == 200
    assert post(f"{rule}/restore/1/", {"lock_version": "3"}).status_code == 303


def make_agents(visitor: Visitor, services: str) -> None:
    plant, post = visitor.canaries.plant, visitor.post
    agent = {"source": "agent", "agent_supplier": "model-studio", "agent_address": "", "agent_generation": "custom", "agent_app_0": "Alpha"}
    values = {"agent_value_0": plant("create agent"), "agent_app_1": "beta", "agent_value_1": plant("its second app")}
    assert post(f"{services}/new/", {**agent, "name": "studio", **values}).status_code == 303
    assert post(f"{services}/new/", {**agent, "name": "studio", "agent_value_0": plant("an agent's taken name")}).status_code == 422
    assert post(f"{services}/new/", {**agent, "name": "b", "agent_value_0": plant("an app more"), "add_row": "agent"}).status_code == 200
    beside = {"source": "ai", "value_0": plant("a branch not chosen, AI"), "agent_value_0": plant("a branch not chosen, agent")}
    assert post(f"{services}/new/", {**agent, **beside, "name": "c"}).status_code == 422
    edit = {**agent, "agent_value_0": plant("edit agent")}
    assert post(f"{services}/studio/edit/", {**edit, "lock_version": "999"}).status_code == 409
    assert post(f"{services}/studio/edit/", {**edit, "agent_value_0": plant("edit an app"), "lock_version": "1"}).status_code == 303


def post_badly(visitor: Visitor) -> None:
    plant, post, http = visitor.canaries.plant, visitor.post, visitor.http
    new = "/local/keys/new/"
    fields = {"name": "bad", "generation": "custom", "description": ""}
    token = {"X-CSRFToken": http.cookies["latchkey-csrf"]}
    assert post(new, {**fields, "value": plant("without a token")}, token=False).status_code == 403
    assert post(new, {**fields, "value": plant("from elsewhere")}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert post(new, {**fields, "value": plant("a body too large") + "x" * 1_100_000}).status_code == 413
    assert post("/local/audit/", {**fields, "value": plant("to no address")}).status_code == 404
    assert post("/local/keys/", {**fields, "value": plant("to a list")}).status_code == 405
    for content_type, body in {
        "application/json": f'{{"value": "{plant("as JSON", after="")}"}}',
        "multipart/form-data; boundary=x": f'--x\r\nContent-Disposition: form-data; name="value"\r\n\r\n{plant("a broken upload")}',
        "text/plain": plant("as text"),
    }.items():
        visitor._kept(http.post(new, content=body, headers={**token, "Content-Type": content_type}))
    file = {"value": ("secret.txt", plant("as a file").encode())}
    visitor._kept(http.post(new, data=fields, files=file, headers=token))
    visitor._kept(http.put(new, content=plant("by PUT"), headers=token))
    headers = {**token, "Authorization": f"Bearer {plant('in a header', after='')}", "Cookie": f"latchkey={plant('in a cookie', after='')}"}
    visitor._kept(httpx.post(f"{http.base_url}{new}", data=fields, headers=headers))
    visitor.get("/sign-in/")
    assert visitor.post("/theme/", {"theme": plant("in another field", after="")}).status_code == 422


def without_a_keyring(visitor: Visitor, latchkey: Up) -> None:
    public = latchkey.data_dir / "kms" / "public.json"
    aside = public.rename(public.with_suffix(".aside"))
    try:
        fields = {"name": "unsealed", "generation": "custom", "description": "", "value": visitor.canaries.plant("without a keyring")}
        assert visitor.post("/local/keys/new/", fields).status_code == 503
    finally:
        aside.rename(public)


def while_the_database_is_locked(visitor: Visitor, locked: Locked) -> None:
    """The one failure that is logged with its traceback."""
    fields = {"name": "locked_out", "generation": "custom", "description": ""}
    with locked():
        answer = visitor.post("/local/keys/new/", {**fields, "value": visitor.canaries.plant("while the database is locked")})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "The database is busy" in answer.text


def as_nobody(visitor: Visitor, latchkey: Up) -> None:
    stranger = Visitor(latchkey, visitor.canaries)
    plant = visitor.canaries.plant
    assert stranger.sign_in("admin", plant("a wrong password", after="")).status_code == 422
    assert stranger.sign_in("nobody", plant("an unknown person's password", after="")).status_code == 422
    assert stranger.post("/local/keys/new/", {"name": "x", "value": plant("signed out")}).status_code == 302
    headers = {"HX-Request": "true", "HX-Target": "panel", "HX-Current-URL": f"{latchkey.console}/local/keys/new/"}
    assert stranger.post("/local/keys/new/", {"name": "x", "value": plant("signed out, in a panel")}, headers=headers).status_code == 401
    visitor.answers |= {f"nobody's {name}": answer for name, answer in stranger.answers.items()}
    stranger.http.close()


# What is shown to whom it belongs to, and in which answer.
SHOWN = {
    "an API token": ["POST /account/tokens/new/ 200"],
    "an invitation's link": ["POST /team/invitations/new/ 200", "/invited/"],
    "a seed": ["/account/authenticator-app/"],
    "a recovery code": ["POST /account/authenticator-app/ 200"],
}


def allowed(where: str, what: str) -> bool:
    """A generated value stands in the answer that made it, and a name that was typed stands in its own field again."""
    if what.startswith("a generated key set"):
        return "POST /local/consumers/" in where
    if places := SHOWN.get(what.partition(",")[0]):
        return any(place in where for place in places)
    if what == "a revealed value":
        return where.startswith("keeper's") and "POST /local/keys/shown/reveal/ 200" in where
    return what in ("a generated value", "a value in the name") and "POST /local/keys/new/" in where
