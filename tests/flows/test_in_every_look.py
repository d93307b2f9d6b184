"""The pages of instances, services, consumers and plug-ins, with their panels and lists open, in light and dark, wide and narrow."""

import pytest
from playwright.sync_api import expect

from gateway.models import Instance, Node
from secrets_app.models import Region
from tests import cast
from tests.flows.browser import problems
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.fixture
def instance(visit: Visit) -> Instance:
    """With one of each thing that it can have."""
    region = Region.objects.get()
    instance = cast.instance(region, "gateway")
    chat = cast.service(instance, "chat", keys=[cast.key(region, "provider"), cast.key(region, "second")])
    cast.service(instance, "own")
    acme = cast.consumer(region, "acme", bound_to=cast.key(region, "partner"), description="A partner")
    cast.consumer(region, "asleep", enabled=False)
    chat.authorize([acme.name], by=cast.SETUP)
    cast.key(region, "caller")
    Node.join(instance, "local", "127.0.0.1", 8080, by=cast.SETUP)
    cast.custom_plugin(region, "stamp", description="Adds a token")
    cast.rule(cast.plugin(instance, "stamp"), "token: $ref{second}\n")
    cast.rule(cast.plugin(instance), "credentials:\n- $ref{caller}\nkeys:\n- apikey\n- x-api-key\n")
    return instance


def test_the_lists_and_the_pages(visit: Visit, instance: Instance) -> None:
    base = f"/local/instances/{instance.ref}/"
    page = visit("/local/instances/")
    for path in (
        "/local/instances/", base, f"{base}nodes/", f"{base}keys/",
        f"{base}services/", f"{base}services/?q=nothing", f"{base}services/chat/",
        f"{base}services/own/", f"{base}services/new/", f"{base}plugins/", f"{base}plugins/key-auth/",
        f"{base}plugins/key-auth/rules/instance/",
        f"{base}plugins/key-auth/rules/instance/edit/", "/local/plugins/", "/local/plugins/new/", "/local/plugins/stamp/",
        "/local/plugins/stamp/edit/",
        "/local/consumers/", "/local/consumers/?q=nothing", "/local/consumers/acme/", "/local/consumers/asleep/", "/local/consumers/new/",
    ):  # fmt: skip
        page.goto(path)
        assert problems(page) == [], path


def test_the_panels(visit: Visit, instance: Instance) -> None:
    base = f"/local/instances/{instance.ref}/"
    panels = {
        "/local/instances/": ["/local/instances/new/", f"{base}delete/"],
        f"{base}services/": [f"{base}services/new/"],
        f"{base}nodes/": [f"{base}nodes/local/remove/"],
        f"{base}services/chat/": [f"{base}services/chat/{deed}/" for deed in ("edit", "open", "authorize", "revoke/acme", "delete")],
        "/local/plugins/stamp/": ["/local/plugins/stamp/delete/"],
        "/local/consumers/": ["/local/consumers/new/"],
        "/local/consumers/acme/": [f"/local/consumers/acme/{deed}/" for deed in ("edit", "disable", "delete")],
        "/local/consumers/asleep/": [f"/local/consumers/asleep/{deed}/" for deed in ("enable", "credentials/0/rotate", "credentials/new")],
    }
    page = visit("/local/instances/")
    for under, paths in panels.items():
        for path in paths:
            page.goto(under)
            page.evaluate("url => htmx.ajax('GET', url, {target: '#panel'})", path)
            expect(page.get_by_role("dialog")).to_be_visible()
            assert problems(page) == [], path


@pytest.mark.parametrize(("path", "picker"), [("consumers/new/", "Bind Key"), ("instances/{ref}/services/new/", "API Key")])
def test_the_list_of_keys_open(visit: Visit, instance: Instance, path: str, picker: str) -> None:
    page = visit(f"/local/{path.format(ref=instance.ref)}")
    page.get_by_role("combobox", name=picker).fill("p")
    expect(page.get_by_role("option", name="partner")).to_be_visible()
    assert problems(page) == []
