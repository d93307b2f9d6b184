"""Several credentials of a consumer, and several places for them, in a browser: by visible labels, with JavaScript and without."""

import re

import pytest
from playwright.sync_api import Page, expect

from gateway.models import Consumer, NewCredential
from gateway.sources import BEARER, Source
from tests import cast
from tests.flows.browser import generation, panel_by_keyboard, problems
from tests.flows.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HERE = "/local/consumers/acme/"


def act(page: Page, credential: int, action: str) -> None:
    page.get_by_label(f"Actions for credential {credential}").click()
    page.get_by_role("link", name=action).click()


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_one_is_added_changed_rotated_and_removed(visit: Visit, javascript: bool) -> None:
    region = cast.deployment()
    cast.consumer(region, "acme")
    cast.key(region, "partner")
    page = visit(HERE, as_="olive", javascript=javascript)

    page.get_by_role("link", name="Add credential").click()
    generation(page, "Reference Key")
    page.get_by_role("combobox", name="Bind Key").or_(page.get_by_role("textbox", name="Bind Key")).fill("partner")
    page.get_by_role("button", name="Add credential").click()
    expect(page.get_by_role("status").filter(has_text="Credential 2 was added to acme.")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Credential 2")).to_contain_text("$ref{partner}")

    act(page, 2, "Edit credential")
    generation(page, "System-generated")
    page.get_by_role("button", name="Save credential").click()
    expect(page.get_by_label("Credential", exact=True)).to_have_value(re.compile(r"lk_[0-9A-Za-z]{43}"))
    if javascript:
        page.get_by_label("I have stored it").check()
    page.get_by_role("link", name="Open consumer").click()

    act(page, 1, "Rotate credential")
    page.get_by_label("Credential", exact=True).fill("another value for callers")
    page.get_by_role("button", name="Rotate credential").click()
    expect(page.get_by_role("listitem").filter(has_text="Credential 1")).to_contain_text("v1 is still accepted")

    act(page, 1, "Remove credential")
    page.get_by_role("button", name="Remove credential").click()
    expect(page.get_by_text("Credential 1 of acme was removed.")).to_be_visible()
    assert [one.number for one in Consumer.objects.get().credentials.all()] == [1]
    page.get_by_label("Actions for credential 2").click()
    expect(page.get_by_role("button", name="Remove credential")).to_have_attribute("aria-disabled", "true")


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_consumer_gets_three_places(visit: Visit, javascript: bool) -> None:
    cast.consumer(cast.deployment(), "acme")
    page = visit(f"{HERE}edit/", as_="olive", javascript=javascript)
    page.get_by_role("group", name="Credential source").get_by_text("Custom HTTP header", exact=True).click()
    page.get_by_label("Header", exact=True).fill("X-Api-Key")
    page.get_by_label("Second header").fill("x-team-key")
    page.get_by_label("Authorization: Bearer as well").check()
    page.get_by_role("button", name="Save consumer").click()
    expect(page.get_by_text("Header x-api-key, header x-team-key or Authorization: Bearer")).to_be_visible()
    assert Consumer.objects.get().sources == (Source("header", "x-api-key"), Source("header", "x-team-key"), BEARER)


def test_nothing_stands_in_the_way_of_assistive_technology(visit: Visit) -> None:
    region = cast.deployment()
    consumer = cast.consumer(region, "acme", bound_to=cast.key(region, "partner"), sources=[Source("header", "x-api-key"), BEARER])
    consumer.add_credential(NewCredential("custom", cast.value()), by=cast.SETUP)
    consumer.rotate(1, cast.value(), 24, by=cast.SETUP)
    page = visit(HERE)
    assert problems(page) == []
    page.get_by_label("Actions for credential 2").click()
    assert problems(page) == []
    page.get_by_label("Actions for credential 2").click()
    with panel_by_keyboard(page, "Add credential"):
        assert problems(page) == []
    for question in ("edit/", "credentials/0/edit/", "credentials/1/rotate/", "credentials/1/remove/"):
        page.goto(HERE + question)
        assert problems(page) == []
