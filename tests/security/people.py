"""What people and their scripts are known by, on every way: passwords, seeds and codes, links, API tokens, sessions, the provider's secret.

They are values like those of keys: the canary tests look for them in the same places.
"""

import re
from html import unescape

from tests.cast import code
from tests.oidc import Provider
from tests.processes import Up
from tests.security.canary import Canaries
from tests.security.visitor import Visitor


def single_sign_on(canaries: Canaries, provider: Provider) -> dict[str, str]:
    """The environment of a console that this provider does not know: it is shown the secret, and refuses it."""
    secret = canaries.plant("the secret at the provider", before="", after="")
    return {"CONSOLE_OIDC_ISSUER": provider.issuer, "CONSOLE_OIDC_CLIENT_ID": "latchkey", "CONSOLE_OIDC_CLIENT_SECRET": secret}


def come_and_go(admin: Visitor, running: Up) -> None:
    """Somebody is invited, takes a second factor, comes in by each of them, and has a script."""
    make_a_token(admin, running)
    guest = Visitor(running, admin.canaries)
    password = accept_an_invitation(admin, guest, running)
    codes = take_a_factor(guest)
    password = change_the_password(guest, password)
    again, stranger = Visitor(running, admin.canaries), Visitor(running, admin.canaries)
    come_back(again, password, codes)
    by_the_provider(stranger)
    for who, visitor in (("the administrator", admin), ("somebody invited", guest)):
        admin.canaries.watch(f"the session of {who}", visitor.http.cookies["latchkey"])
    for who, visitor in (("guest", guest), ("guest, again,", again), ("stranger", stranger)):
        admin.answers |= {f"the {who}'s {name}": answer for name, answer in visitor.answers.items()}
        visitor.http.close()


def make_a_token(visitor: Visitor, running: Up) -> None:
    fields = {"name": "ci", "region": "", "permissions": ["key.view", "key.create", "key.rotate"], "days": "1", "networks": ""}
    made = visitor.post("/account/tokens/new/", fields)
    shown = re.search(r"lk_[a-z2-9]{12}_[0-9a-f]{64}", made.text)
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    assert shown
    visitor.canaries.watch("an API token", shown[0])
    plant, script = visitor.canaries.plant, Visitor(running, visitor.canaries)
    script.http.headers["Authorization"] = f"Bearer {shown[0]}"
    keys = "/api/v1/local/keys/"
    assert script.send(keys, json={"name": "scripted", "value": plant("a script's")}).status_code == 201
    assert script.send(keys, json={"name": "not a name", "value": plant("a script's, with a wrong name")}).status_code == 422
    assert script.send(keys, json={"value": {"nested": plant("a script's, of another type")}}).status_code == 422
    assert script.send(keys, content='{"value": "' + plant("a script's, broken off", after="")).status_code == 422
    assert script.send(f"{keys}scripted/rotate/", json={"value": plant("a script's rotation"), "overlap_hours": 0}).status_code == 200
    assert script.send(f"{keys}scripted/disable/").status_code == 403
    script.http.headers["Authorization"] = f"Bearer lk_{'a' * 12}_{plant('no token at all', before='', after='')}"
    assert script.get(keys).status_code == 401
    visitor.answers |= {f"the script's {name}": answer for name, answer in script.answers.items()}
    script.http.close()


def accept_an_invitation(admin: Visitor, guest: Visitor, running: Up) -> str:
    """The password that the guest has now."""
    plant = admin.canaries.plant
    made = admin.post("/team/invitations/new/", {"username": "nina", "note": "", "role": "viewer", "where": "everywhere"})
    link = re.search(r"/invited/([A-Za-z0-9_-]{43})/", unescape(made.text))
    assert link
    admin.canaries.watch("an invitation's link", link[1], whole=True)
    assert guest.get(link[0]).status_code == 200
    short, other = plant("a password and another", after=""), plant("another password", after="")
    assert guest.post(link[0], {"password": short, "again": other}).status_code == 422
    password = plant("a guest's password", after="")
    assert guest.post(link[0], {"password": password, "again": password}).status_code == 302
    gone = Visitor(running, admin.canaries)
    assert gone.get(link[0]).status_code == 404
    assert gone.post(link[0], {"password": password, "again": password}).status_code == 404
    guest.answers |= {f"later, {name}": answer for name, answer in gone.answers.items()}
    gone.http.close()
    return password


def take_a_factor(guest: Visitor) -> list[str]:
    """The recovery codes."""
    page, add = guest.get("/account/authenticator-app/"), "/account/authenticator-app/"
    seed, offer = re.search(r'data-copy="([A-Z2-7]{32})"', page.text), re.search(r'name="offer" value="([^"]+)"', page.text)
    assert seed
    assert offer
    guest.canaries.watch("a seed", seed[1])
    assert guest.post(add, {"offer": offer[1], "code": "000000"}).status_code == 422
    added = guest.post(add, {"offer": offer[1], "code": code(seed[1])})
    shown = re.search(r"<textarea[^>]*>([\d\s-]+)</textarea>", added.text)
    assert (added.status_code, added.headers["cache-control"]) == (200, "no-store")
    assert shown
    codes = shown[1].split()
    for used, one in (("used", codes[0]), ("not used", codes[-1])):
        guest.canaries.watch(f"a recovery code, {used}", one, whole=True)
        guest.canaries.watch(f"a recovery code in one, {used}", one.replace("-", ""), whole=True)
    return codes


def change_the_password(guest: Visitor, password: str) -> str:
    new, address = guest.canaries.plant("a changed password", after=""), "/account/password/"
    wrong = guest.canaries.plant("a wrong password, to change it", after="")
    assert guest.post(address, {"old": wrong, "password": new, "again": new}).status_code == 422
    assert guest.post(address, {"old": password, "password": new, "again": new}).status_code in (302, 303)
    return new


def come_back(guest: Visitor, password: str, codes: list[str]) -> None:
    second = "/sign-in/second-factor/"
    assert guest.sign_in("nina", password).status_code == 302
    assert guest.post(second, {"code": "000000000000"}).status_code == 422
    assert guest.post(second, {"code": codes[0]}).status_code == 302
    assert guest.get("/local/keys/").status_code == 200


def by_the_provider(guest: Visitor) -> None:
    """It does not know this console's secret."""
    away = guest.get("/sign-in/sso/")
    back = guest.http.get(away.headers["location"])
    assert guest.get(back.headers["location"]).status_code >= 400
