"""What the browser tests say more than once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, ViewportSize, expect

Theme = Literal["light", "dark"]
WIDE, NARROW = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
LOOKS: list[tuple[Theme, ViewportSize]] = [("light", WIDE), ("dark", WIDE), ("dark", NARROW), ("light", NARROW)]
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
}


def problems(page: Page, looks: Sequence[tuple[Theme, ViewportSize]] = LOOKS) -> list[str]:
    """What axe finds on the page as it stands, and what runs out of it, in one line each: in every look, without loading it again."""
    before = page.viewport_size
    found: list[str] = []
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE_SCRIPT)
    for theme, size in looks:
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size(size)
        settled(page)
        found += [f"{theme}, {size['width']}: {one}" for one in page.evaluate(_LOOK, RULES)]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(before or WIDE)
    return found


# Only what is wrong comes back: all that is right would take longer than finding it.
_LOOK = """async (rules) => {
    const found = (await axe.run(rules)).violations.flatMap((one) => one.nodes.map((node) =>
        `${one.id}: ${node.html.slice(0, 160)} ${node.failureSummary.slice(0, 200)}`));
    if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways');
    for (const menu of document.querySelectorAll('.menu-list, .listbox')) {
        const box = menu.getBoundingClientRect();
        const out = menu.checkVisibility() && (box.left < 0 || box.right > innerWidth);
        if (out) found.push(`out of the page: ${menu.outerHTML.slice(0, 160)}`);
    }
    for (const card of document.querySelectorAll('.panel-body > *')) {
        const clipped = getComputedStyle(card).overflowY === 'hidden' && card.scrollHeight > card.clientHeight + 1;
        if (clipped) found.push(`cut off: ${card.outerHTML.slice(0, 160)}`);
    }
    return found;
}"""


def settled(page: Page) -> None:
    """Colours and places are measured when nothing moves any more, but for what turns for ever."""
    page.evaluate("""() => document.getAnimations()
        .filter((one) => one.effect.getTiming().iterations !== Infinity).forEach((one) => one.finish())""")


def lost_by_tab(page: Page) -> list[str]:
    """Where a walk by Tab, all round from where the focus is, loses it: no ring, something over it, or a stop never reached."""
    lost, stops = [], page.evaluate(_STOPS)
    for _step in range(stops + 1):
        page.keyboard.press("Tab")
        lost += page.evaluate(_SEEN)
    return lost + page.evaluate("[...document.querySelectorAll('[data-missed]')].map((one) => `missed: ${one.outerHTML.slice(0, 120)}`)")


# Every stop gets a mark, which the walk takes away. Of radios one is a stop, and what a dialog covers is none.
_STOPS = """() => {
    const within = document.querySelector('dialog:modal') || document;
    const stops = [...within.querySelectorAll('a[href], button, summary, input, select, textarea, [tabindex="0"]')].filter((one) => {
        if (one.disabled || one.tabIndex < 0 || !one.checkVisibility({ visibilityProperty: true })) return false;
        const group = one.form || within, named = `[name="${one.name}"]`;
        return one.type !== 'radio' || one === (group.querySelector(`${named}:checked`) || group.querySelector(`${named}:enabled`));
    });
    stops.forEach((one) => one.dataset.missed = '');
    return stops.length;
}"""
_SEEN = """() => {
    const at = document.activeElement, box = at.getBoundingClientRect(), shown = at.closest('label') || at;
    delete at.dataset.missed;
    if (at === document.body) return [];
    const ring = [at, shown].map((one) => getComputedStyle(one))
        .some((style) => parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== 'none');
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + Math.min(box.height / 2, 12));
    const clear = !!top && (at.contains(top) || shown.contains(top) || top.contains(at));
    return ring && clear ? [] : [`${ring ? 'covered' : 'no ring'}: ${at.outerHTML.slice(0, 120)}`];
}"""


def without_script(page: Page, path: str) -> None:
    """The page as it is without JavaScript, and yet measurable: axe is a script itself."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.goto(path)
    session.send("Emulation.setScriptExecutionDisabled", {"value": False})
    session.detach()
    page.evaluate("""() => {
        const all = (rules) => [...rules].flatMap((rule) => [rule, ...all(rule.cssRules || [])]);
        for (const sheet of document.styleSheets) for (const rule of all(sheet.cssRules))
            if (rule.media?.mediaText === '(scripting: none)') rule.media.mediaText = 'all';
    }""")


@contextmanager
def panel_by_keyboard(page: Page, name: str, menu: str = "") -> Iterator[None]:
    """Opened by Enter on the link of that name, or in a menu; Escape closes it and gives the focus back."""
    main = page.get_by_role("main")
    home = main.get_by_label(menu, exact=True) if menu else main.get_by_role("link", name=name, exact=True).first
    home.press("Enter")
    if menu:
        main.get_by_role("link", name=name, exact=True).and_(page.locator(".menu[open] *")).press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    yield
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(home).to_be_focused()


def open_panel(page: Page, name: str) -> None:
    page.get_by_role("main").get_by_role("link", name=name, exact=True).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()


def generation(page: Page, method: str) -> None:
    page.get_by_role("group", name="Generation method").last.get_by_text(method, exact=True).click()


def path_of(page: Page) -> str:
    return str(page.evaluate("location.pathname"))


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim() || document.activeElement.ariaLabel"))
