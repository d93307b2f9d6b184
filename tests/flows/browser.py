"""What the browser tests say more than once."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

LOOKS = [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)]
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}


def problems(page: Page) -> list[str]:
    """What axe finds, in one line each."""
    settled(page)
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}" for one in found for node in one["nodes"]]


def settled(page: Page) -> None:
    """Colours and places are measured when nothing moves any more, but for what turns for ever."""
    page.evaluate("""() => Promise.all(document.getAnimations()
        .filter((one) => one.effect.getTiming().iterations !== Infinity).map((one) => one.finished.catch(() => 0)))""")


def open_panel(page: Page, name: str) -> None:
    page.get_by_role("main").get_by_role("link", name=name, exact=True).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()


def generation(page: Page, method: str) -> None:
    page.get_by_role("group", name="Generation method").last.get_by_text(method, exact=True).click()


def path_of(page: Page) -> str:
    return str(page.evaluate("location.pathname"))


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim() || document.activeElement.ariaLabel"))
