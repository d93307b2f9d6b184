"""The editor of rules: keys behind "$ref{", marks where something is wrong, and a text area that is enough without all of it."""

import pytest
from playwright.sync_api import Locator, Page, expect

from gateway.models import Instance, Rule
from secrets_app.models import Region
from tests import cast
from tests.flows.browser import lost_by_tab, problems, without_script
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser

TEXT = "credentials:\n- $ref{edge}\nkeys:\n- apikey\n"


@pytest.fixture
def instance(visit: Visit) -> Instance:
    """With key-auth, and keys of every sort that a list may or may not offer."""
    region = Region.objects.get()
    for name in ("edge", "openai_prod", "openai_staging"):
        cast.key(region, name, description=f"The key {name}")
    cast.key(region, "openai_short", "hunter2")
    cast.key(region, "openai_resting").disable(by=cast.SETUP)
    instance = cast.instance(region, "gateway")
    cast.rule(cast.plugin(instance), TEXT)
    return instance


def address(instance: Instance, rest: str = "edit/") -> str:
    return f"/local/instances/{instance.ref}/plugins/key-auth/rules/instance/{rest}"


def area_of(page: Page) -> Locator:
    return page.get_by_label("Configuration", exact=True)


def at_the_end_of(page: Page, line: int) -> Locator:
    area = area_of(page)
    area.focus()
    area.evaluate(
        "(area, line) => { const at = area.value.split('\\n').slice(0, line).join('\\n').length; area.setSelectionRange(at, at); }", line
    )
    return area


def drop(page: Page) -> None:
    """Nothing is to be asked about what is left unsaved."""
    page.evaluate("document.querySelector('[data-editor]').editor.sent = true")


def test_a_key_is_chosen_by_the_keyboard(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance), as_="olive")
    area = at_the_end_of(page, 2)
    page.keyboard.press("Enter")
    page.keyboard.type("- $ref{openai_")
    keys = page.get_by_role("listbox", name="Keys")
    expect(keys.get_by_role("option", disabled=False)).to_have_count(2)
    expect(keys.get_by_role("option", disabled=True)).to_have_count(2)  # the disabled one, and the one that is too short for callers
    expect(page.locator("[data-editor] [role=status]")).to_have_text("2 keys in the list")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(keys).to_be_visible()  # what cannot be bound is not inserted
    for key, chosen in (("ArrowDown", "openai_prod"), ("ArrowDown", "openai_staging")):
        page.keyboard.press(key)
        expect(keys.get_by_role("option", selected=True)).to_contain_text(chosen)
        expect(area).to_have_attribute("aria-activedescendant", f"option-{chosen}")
    page.keyboard.press("Enter")
    expect(area).to_have_value("credentials:\n- $ref{edge}\n- $ref{openai_staging}\nkeys:\n- apikey\n")
    expect(keys).to_be_hidden()
    expect(area).not_to_have_attribute("aria-activedescendant", "option-openai_staging")
    page.keyboard.press("Enter")
    page.keyboard.type("- $ref{PROD")
    expect(keys.get_by_role("option", name="openai_prod")).to_be_visible()
    page.keyboard.press("Tab")
    expect(area).to_have_value("credentials:\n- $ref{edge}\n- $ref{openai_staging}\n- $ref{openai_prod}\nkeys:\n- apikey\n")
    page.keyboard.press("Control+z")
    expect(area).not_to_have_value("credentials:\n- $ref{edge}\n- $ref{openai_staging}\n- $ref{openai_prod}\nkeys:\n- apikey\n")
    drop(page)


def test_escape_closes_the_list_and_tab_then_leaves_the_text(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance))
    at_the_end_of(page, 1)
    page.keyboard.type(" $ref{")
    keys = page.get_by_role("listbox", name="Keys")
    expect(keys.get_by_role("option")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("Control+Space")
    expect(keys).to_be_visible()
    page.keyboard.type("nosuchkey")
    expect(page.locator("[data-editor] .listbox-none")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(area_of(page)).not_to_be_focused()
    drop(page)


def test_a_key_is_chosen_by_the_pointer_in_the_middle_of_a_name(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance))
    area = area_of(page)
    area.focus()
    area.evaluate("area => { const at = area.value.indexOf('dge}'); area.setSelectionRange(at, at); }")
    page.keyboard.press("Control+Space")
    page.get_by_role("option", name="edge").click()
    expect(area).to_have_value(TEXT)
    expect(area).to_be_focused()
    page.keyboard.press("Backspace")
    page.keyboard.type("$$ref{")
    expect(page.get_by_role("listbox", name="Keys")).to_be_hidden()
    drop(page)


def test_what_is_wrong_is_marked_while_one_types_and_nothing_is_saved(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance))
    area = area_of(page)
    area.fill("credentials:\n- $ref{edgy}\nkey:\n- apikey\n")
    wrong = page.locator("#problems li")
    expect(wrong).to_have_count(2)
    expect(wrong.first).to_contain_text("Line 2, column 3 credentials[0] No key is named “edgy” in this region. Did you mean “edge”?")
    expect(page.locator(".ink > .bad")).to_have_text(["- $ref{edgy}", "key:"])
    expect(page.locator("[data-editor] [role=status]")).to_contain_text("2 problems, the first on line 2")
    expect(area).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#uses")).to_contain_text("Unknown")
    wrong.first.get_by_role("button", name="Replace by edge").click()
    expect(wrong).to_have_count(1)
    wrong.first.get_by_role("button", name="Replace by keys").click()
    expect(page.locator("#problems")).to_contain_text("Nothing is wrong with this text.")
    expect(area).to_have_value(TEXT)
    expect(area).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator(".ink > .bad")).to_have_count(0)
    assert Rule.objects.get().number == 1


def test_a_click_on_a_line_goes_there(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance))
    area = area_of(page)
    area.fill("credentials:\n" + "# so it goes\n" * 100 + "- $ref{edge}\nkeys: [apikey]\nrealn: x\n")
    page.locator("#problems").get_by_role("link", name="Line 104, column 1").click()
    assert selected(area) == "realn"
    page.locator("#uses").get_by_role("link", name="line 102").click()
    assert selected(area) == "$ref{edge}"
    expect(page.locator(".ink > div").nth(101)).to_be_in_viewport()
    drop(page)


def selected(area: Locator) -> str:
    expect(area).to_be_focused()
    return str(area.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)"))


def test_an_address_lands_on_the_very_field(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance, "edit/?at=keys%5B0%5D"))
    assert selected(area_of(page)) == "apikey"
    page.goto(address(instance, "edit/?at=2"))
    assert selected(area_of(page)) == "-"
    page.goto(address(instance, "?at=credentials%5B0%5D#at"))
    expect(page.locator(".lines .at")).to_have_text("2- $ref{edge}")


def test_the_cursors_field_is_explained(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance))
    area_of(page).fill("consumers:\n- name: acme\n  credentials:\n  - $ref{edge}\n  in_query: false\n\nrealm: x\n")
    for line, said in (
        (1, "consumers list"),
        (2, "consumers[*].name text required"),
        (3, "consumers[*].credentials list takes $ref{}"),
        (4, "consumers[*].credentials list takes $ref{}"),
        (5, "consumers[*].in_query true or false"),
        (7, "realm text"),
    ):
        at_the_end_of(page, line)
        expect(page.locator("[data-pen]")).to_contain_text(said)
    at_the_end_of(page, 6)
    expect(page.locator("[data-pen]")).to_be_hidden()
    drop(page)


def test_what_is_typed_stays_in_sight_and_under_its_ink(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance))
    area = area_of(page)
    area.fill("\n".join(f"k{number}: {'v' * 200}" for number in range(300)))
    area.press("Control+Home")
    page.keyboard.press("Control+End")
    page.keyboard.type("here")
    assert page.evaluate(_SEEN, 299)
    page.keyboard.press("Home")
    page.keyboard.type("x")
    assert page.evaluate(_SEEN, 299)
    assert page.locator(".ink > div").count() == 300
    drop(page)


# Whether the place of the cursor is inside the frame, in front of the line numbers' edge, and where the text area has it.
_SEEN = """(line) => {
    const paper = document.querySelector('.paper').getBoundingClientRect(), { editor } = document.querySelector('[data-editor]');
    const before = editor.area.value.slice(0, editor.area.selectionStart), column = before.length - before.lastIndexOf('\\n') - 1;
    const caret = editor.range(line, column, column).getBoundingClientRect();
    const wide = document.querySelector('.ink').scrollWidth <= editor.area.getBoundingClientRect().width + 1;
    return wide && caret.top >= paper.top && caret.bottom <= paper.bottom && caret.left >= paper.left + 48 && caret.right <= paper.right;
}"""


def test_a_check_that_fails_takes_nothing_away(visit: Visit, instance: Instance, watch: Watch) -> None:
    watch.allow("Failed to load resource", "Failed to fetch", "net::ERR")
    page = visit(address(instance))
    page.context.clear_cookies()
    area = area_of(page)
    area.fill(TEXT + "realm: typed for an hour\n")
    expect(page.locator("#problems")).to_contain_text("could not be checked just now")
    expect(area).to_have_value(TEXT + "realm: typed for an hour\n")
    drop(page)


def test_leaving_what_was_typed_is_asked_about(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance))
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    area_of(page).press("End")
    page.keyboard.type(" # typed")
    page.get_by_role("link", name="Audit log").click()
    page.wait_for_url("**/audit/")
    assert asked == ["beforeunload"]
    page.goto(address(instance))
    area_of(page).press("End")
    page.keyboard.type(" # typed")
    page.get_by_role("link", name="Discard").click()
    page.wait_for_url("**/instance/")
    assert asked == ["beforeunload"]


def test_a_text_is_written_reviewed_and_saved(visit: Visit, instance: Instance) -> None:
    page = visit(address(instance), as_="olive")
    at_the_end_of(page, 2)
    page.keyboard.type("\n- $ref{openai_p")
    page.get_by_role("option", name="openai_prod").click()
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("list", name="Changed lines")).to_contain_text("- $ref{openai_prod}")
    page.get_by_role("button", name="Save and apply").click()
    expect(page.get_by_role("status")).to_contain_text("Rule key-auth was saved and is enabled.")
    assert Rule.objects.get().text == "credentials:\n- $ref{edge}\n- $ref{openai_prod}\nkeys:\n- apikey\n"


def test_without_javascript_the_text_area_is_enough(visit: Visit, instance: Instance, watch: Watch) -> None:
    watch.allow("422")
    page = visit(address(instance, "edit/?at=keys"), as_="olive", javascript=False)
    expect(page.locator("#uses")).to_contain_text("$ref{edge}")
    area = page.get_by_role("textbox", name="Configuration")
    area.fill("credentials:\n- $ref{edgy}\nkeys:\n- apikey\n")
    page.get_by_role("button", name="Review changes").click()
    expect(page.locator("#problems")).to_contain_text("Did you mean “edge”?")
    expect(page.get_by_role("button", name="Replace by edge")).to_be_hidden()
    area.fill("credentials:\n- hunter2\nkeys:\n- apikey\n")
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("main")).to_contain_text("What looks like a credential was taken out of the text.")
    expect(area).to_have_value('credentials:\n- "$ref{}"\nkeys:\n- apikey\n')
    area.fill(TEXT + "realm: ours\n")
    page.get_by_role("button", name="Review changes").click()
    page.get_by_role("button", name="Save and apply").click()
    expect(page.get_by_role("status")).to_contain_text("was saved")
    assert Rule.objects.get().text == TEXT + "realm: ours\n"


def test_it_is_fit_for_everybody(visit: Visit, instance: Instance, watch: Watch) -> None:
    watch.allow("422")
    page = visit(address(instance))
    area_of(page).fill("credentials:\n- $ref{edgy}\nkey:\n- hunter2\n")
    expect(page.locator("#problems li")).to_have_count(2)
    at_the_end_of(page, 1)
    page.keyboard.type(" $ref{op")
    expect(page.get_by_role("option")).to_have_count(4)
    assert problems(page) == []
    page.keyboard.press("Escape")
    assert lost_by_tab(page) == []
    page.get_by_role("button", name="Review changes").click()
    expect(page.locator(".errors")).to_be_visible()
    assert problems(page) == []
    drop(page)
    without_script(page, address(instance))
    assert problems(page) == []
