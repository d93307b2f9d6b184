"""Colours are computed from the style sheet itself, for both themes, and held to the contrast that WCAG 2.2 asks for."""

import math
import re
from itertools import product
from pathlib import Path

import pytest
from django.conf import settings

from console import stylesheet

CSS: Path = settings.BASE_DIR / "static" / "css"
TOKENS = (CSS / "tokens.css").read_text()
SHEETS = [CSS / name for name in stylesheet.FILES]

Colour = tuple[float, float, float, float]  # linear red, green, blue, and alpha

SURFACES = ("canvas", "sunken", "surface", "raised", "band")
TONES = ("ok", "warn", "bad", "info", "consumer", "ai", "agent", "mcp", "plugin", "instance")


def declared(name: str) -> str:
    found = re.search(rf"(?<![\w-])--{name}:\s*([^;]+);", TOKENS)
    assert found, name
    return found[1]


def colour(value: str, theme: str, hue: float | None = None) -> Colour:
    """A colour as the browser would compute it: light-dark(), oklch() and var()."""
    value = value.strip()
    if found := re.fullmatch(r"var\(--([\w-]+)\)", value):
        return colour(declared(found[1]), theme, hue)
    if found := re.fullmatch(r"light-dark\((.+)\)", value, re.DOTALL):
        light, dark = top_level(found[1])
        return colour(light if theme == "light" else dark, theme, hue)
    found = re.fullmatch(r"oklch\(([\d.]+)% ([\d.]+) (var\(--[\w-]+\)|[\d.]+)(?: / ([\d.]+)%)?\)", value)
    assert found, value
    angle = number(found[3], hue)
    return (*linear(float(found[1]) / 100, float(found[2]), angle), float(found[4] or 100) / 100)


def number(text: str, hue: float | None) -> float:
    if text == "var(--h)":
        assert hue is not None
        return hue
    return float(declared(text[6:-1])) if text.startswith("var(--") else float(text)


def top_level(arguments: str) -> list[str]:
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def linear(lightness: float, chroma: float, degrees: float) -> tuple[float, float, float]:
    """OKLCH to linear sRGB (Ottosson 2020), clipped as a display clips it."""
    a, b = chroma * math.cos(math.radians(degrees)), chroma * math.sin(math.radians(degrees))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return (clip(red), clip(green), clip(blue))


def clip(part: float) -> float:
    return min(max(part, 0.0), 1.0)


def over(front: Colour, back: Colour) -> Colour:
    """Blended as browsers do, in gamma-encoded sRGB."""
    mixed = [encoded(f) * front[3] + encoded(b) * (1 - front[3]) for f, b in zip(front[:3], back[:3], strict=True)]
    red, green, blue = (decoded(part) for part in mixed)
    return (red, green, blue, 1.0)


def encoded(part: float) -> float:
    return 12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055


def decoded(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def contrast(one: Colour, other: Colour) -> float:
    """WCAG 2.2, relative luminance."""
    light, dark = sorted((0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def token(name: str, theme: str, hue: float | None = None) -> Colour:
    return colour(declared(name), theme, hue)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("text", "least"), [("text", 13), ("text-2", 7), ("text-3", 4.5), ("accent-text", 4.5), ("bad-text", 4.5)])
def test_text_is_readable_on_every_surface_also_under_the_pointer(theme: str, text: str, least: float) -> None:
    for surface, state in product(SURFACES, (None, "hover", "press")):
        ground = token(surface, theme)
        if state:
            ground = over(token(state, theme), ground)
        wanted = least if state is None else min(least, 4.5)
        assert contrast(token(text, theme), ground) >= wanted, (text, surface, state)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_controls_and_focus_stand_out_from_every_surface(theme: str) -> None:
    for line, surface in product(("line-control", "focus", "bad-line"), SURFACES):
        assert contrast(token(line, theme), token(surface, theme)) >= 3, (line, surface)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["accent", "accent-hover", "bad", "bad-hover"])
def test_words_on_a_filled_button_are_readable(theme: str, ground: str) -> None:
    assert contrast(token("on-accent", theme), token(ground, theme)) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tone", TONES)
def test_a_tone_is_readable_on_its_own_ground_and_on_every_surface(theme: str, tone: str) -> None:
    hue = float(declared(f"h-{tone}"))
    words, ground = token("t-fg", theme, hue), token("t-bg", theme, hue)
    assert contrast(words, ground) >= 4.5
    assert contrast(token("text-2", theme), ground) >= 4.5  # a note's own text
    assert all(contrast(words, token(surface, theme)) >= 4.5 for surface in SURFACES)
    assert all(contrast(token("t-solid", theme, hue), token(surface, theme)) >= 3 for surface in SURFACES)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_chosen_and_fresh_grounds_keep_their_words_readable(theme: str) -> None:
    for text in ("text", "text-2", "accent-text"):
        assert contrast(token(text, theme), token("accent-soft", theme)) >= 4.5, text
    assert contrast(token("text-3", theme), token("accent-soft", theme)) >= 4.5


@pytest.mark.parametrize("sheet", [sheet for sheet in SHEETS if sheet.name != "tokens.css"], ids=lambda sheet: sheet.name)
def test_no_colour_and_no_raw_size_outside_the_tokens(sheet: Path) -> None:
    rules = re.sub(r"/\*.*?\*/|@(media|container)[^{]*\{|url\([^)]*\)", " ", sheet.read_text(), flags=re.DOTALL)
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{}]*\{)|(?:oklch|rgb|hsl|oklab)\(", rules)
    assert not re.findall(r"(?<![\w.-])\d*\.?\d+(?:px|rem|em|ch)\b", rules)


def test_every_token_in_use_is_declared() -> None:
    used = {name for sheet in SHEETS for name in re.findall(r"var\(--([\w-]+)", sheet.read_text())}
    assert used <= set(re.findall(r"--([\w-]+):", TOKENS))


def test_every_token_declared_is_in_use() -> None:
    used = {name for sheet in SHEETS for name in re.findall(r"var\(--([\w-]+)", sheet.read_text())}
    assert set(re.findall(r"--([\w-]+):", TOKENS)) <= used


def test_the_face_stays_light() -> None:
    """Bytes over the wire, on every page: 15 kB of style, 25 kB of script with htmx."""
    import gzip

    from django.contrib.staticfiles import finders

    scripts = [Path(str(finders.find(name))).read_bytes() for name in ("django_htmx/htmx-2.min.js", "js/console.js")]
    assert len(stylesheet.compressed()) <= 15_000
    assert sum(len(gzip.compress(script, 9)) for script in scripts) <= 25_000
