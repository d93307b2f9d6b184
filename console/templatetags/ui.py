"""The words of the templates: icons, references, times, fields, and controls that say why they are disabled. Loaded in every template."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import lucide
from django import template
from django.forms import BoundField, CheckboxInput, RadioSelect, Select, Textarea
from django.template.context import Context
from django.template.defaultfilters import slugify
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, gettext_lazy, ngettext

from console.stylesheet import FILES, version
from secrets_app.access import who_may
from secrets_app.actor import Actor
from secrets_app.scope import EVERYWHERE, Scope

register = template.Library()


@dataclass(frozen=True)
class Kind:
    css: str
    icon: str
    one: Promise
    many: Promise


KINDS = {
    "consumer": Kind("k-consumer", "user-round", gettext_lazy("Consumer"), gettext_lazy("Consumers")),
    "ai_service": Kind("k-ai", "sparkles", gettext_lazy("AI service"), gettext_lazy("AI services")),
    "agent_service": Kind("k-agent", "bot", gettext_lazy("Agent service"), gettext_lazy("Agent services")),
    "mcp_service": Kind("k-mcp", "plug", gettext_lazy("MCP service"), gettext_lazy("MCP services")),
    "plugin": Kind("k-plugin", "puzzle", gettext_lazy("Plugin"), gettext_lazy("Plugins")),
    "instance": Kind("k-instance", "server", gettext_lazy("Instance"), gettext_lazy("Instances")),
    "key": Kind("k-key", "key-round", gettext_lazy("Key"), gettext_lazy("Keys")),
}


@register.simple_tag
def icon(name: str, size: int = 16, css: str = "icon") -> SafeString:
    """{% icon "key-round" 16 %}: a lucide icon, always decoration; the text or the aria-label beside it carries the meaning."""
    return _icon(name, size, css)


@lru_cache(maxsize=512)
def _icon(name: str, size: int, css: str) -> SafeString:
    # lucide parses its file at each call (146 us); the set of icons in use is small.
    attributes = {"class": css, "aria-hidden": "true", "focusable": "false", "stroke-width": "1.75"}
    svg: str = lucide._render_icon(name, size, **attributes)
    return mark_safe(svg)  # noqa: S308  the package's own drawing; the name comes from our templates


@register.simple_tag
def ref(name: str, href: str = "") -> SafeString:
    """{% ref key.name %} or {% ref key.name url %}: the chip $ref{name}, the one way a reference is drawn."""
    inside = format_html("{}<span>$ref{{{}}}</span>", icon("link-2", 13), name)
    return format_html('<a class="ref" href="{}">{}</a>', href, inside) if href else format_html('<span class="ref">{}</span>', inside)


@register.simple_tag
def kind(name: str, size: str = "") -> SafeString:
    """{% kind "ai_service" %} or {% kind "consumer" "sm" %}: the glyph of a kind. Its word must stand beside it or in an aria-label."""
    known = KINDS[name]
    return format_html('<span class="kind {} {}">{}</span>', size, known.css, icon(known.icon, 12 if size else 15))


@register.filter
def kind_label(name: str) -> str:
    """{{ "ai_service"|kind_label }}: "AI services"."""
    return str(KINDS[name].many)


@register.filter
def kind_one(name: str) -> str:
    """{{ "ai_service"|kind_one }}: "AI service"."""
    return str(KINDS[name].one)


@register.filter
def kind_css(name: str) -> str:
    """{{ "ai_service"|kind_css }}: the class that sets its hue."""
    return KINDS[name].css


@register.filter
def kind_icon(name: str) -> str:
    """{% icon "ai_service"|kind_icon 14 %}"""
    return KINDS[name].icon


@register.filter
def initials(name: str) -> str:
    """At most two letters for an avatar."""
    words = [word for word in name.replace(".", " ").replace("_", " ").replace("-", " ").split() if word]
    return (words[0][:1] + words[-1][:1] if len(words) > 1 else name[:2]).upper()


@register.simple_tag
def time(at: datetime | None, now: datetime | None = None) -> SafeString:
    """{% time key.rotated_at %}: "3 days ago" or "in 2 hours", with the whole UTC time as title. Nothing gives a dash."""
    if at is None:
        return format_html('<span class="muted">{}</span>', "–")
    utc = at.astimezone(UTC)
    whole = utc.strftime("%d %b %Y, %H:%M:%S UTC").lstrip("0")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', utc.isoformat(timespec="seconds"), whole, _distance(at, now or timezone.now())
    )


def _distance(at: datetime, now: datetime) -> str:
    seconds = int((now - at).total_seconds())
    count, text = _count(abs(seconds))
    if not text:
        return gettext("just now") if seconds >= 0 else gettext("in a moment")
    return (gettext("%(distance)s ago") if seconds >= 0 else gettext("in %(distance)s")) % {"distance": text % {"n": count}}


def _count(seconds: int) -> tuple[int, str]:
    if seconds < 45:
        return 0, ""
    if (minutes := max(1, round(seconds / 60))) < 60:
        return minutes, ngettext("%(n)d minute", "%(n)d minutes", minutes)
    if (hours := round(seconds / 3600)) < 24:
        return hours, ngettext("%(n)d hour", "%(n)d hours", hours)
    if (days := round(seconds / 86400)) < 14:
        return days, ngettext("%(n)d day", "%(n)d days", days)
    if days < 60:
        return days // 7, ngettext("%(n)d week", "%(n)d weeks", days // 7)
    if days < 730:
        return round(days / 30.4), ngettext("%(n)d month", "%(n)d months", round(days / 30.4))
    return days // 365, ngettext("%(n)d year", "%(n)d years", days // 365)


@register.simple_tag
def opens(to: str, *args: Any) -> SafeString:
    """<a class="btn" {% opens "key-new" region.name %}>: a link to a panel's own address, opened over the page where htmx runs."""
    url = to if to.startswith("/") else reverse(to, args=args)
    return format_html('href="{0}" hx-get="{0}" hx-target="#panel" hx-push-url="true" aria-haspopup="dialog"', url)


# ── Fields ──


@register.inclusion_tag("components/_field.html")
def field(bound: BoundField, hint: str = "", mono: bool = False, placeholder: str = "", needed: bool = False) -> dict[str, Any]:
    """{% field form.name hint="..." mono=True %}: label, control, hint and errors, wired for assistive technology.

    `needed=True` in a branch: required where it shows, so not "(optional)".

    Text, number, select, textarea and a single checkbox. Radios: components/_choice.html; values that must never be rendered:
    components/_secret_input.html; a key's name: components/_combobox.html.
    """
    hint = str(hint or bound.help_text)
    widget = bound.field.widget
    if isinstance(widget, RadioSelect):
        raise template.TemplateSyntaxError(f"{bound.name}: radios are drawn by components/_choice.html")
    attributes: dict[str, Any] = dict(_wiring(bound, hint))
    if not isinstance(widget, CheckboxInput):
        kind_of = "select" if isinstance(widget, Select) else "input"
        attributes["class"] = f"{kind_of} mono" if mono else kind_of
        if kind_of == "input":
            attributes |= {
                "autocomplete": widget.attrs.get("autocomplete", "off"),
                "spellcheck": "false" if not isinstance(widget, Textarea) else "true",
            }
        if placeholder:
            attributes["placeholder"] = placeholder
    return {
        "field": bound,
        "hint": hint,
        "control": bound.as_widget(attrs=attributes),
        "checkbox": isinstance(widget, CheckboxInput),
        "needed": needed,
    }


@register.simple_tag
def editor(bound: BoundField) -> SafeString:
    """{% editor form.text %}: a text area for code, wired for assistive technology; its label stands elsewhere."""
    return bound.as_widget(attrs={"class": "input mono", **_wiring(bound, str(bound.help_text))})


@register.simple_tag
def control(bound: BoundField, hint: str = "") -> SafeString:
    """id, name, required and the aria wiring of a control that a component writes by hand. Never the value."""
    pairs = {"id": bound.id_for_label, "name": bound.html_name, **_wiring(bound, str(hint or bound.help_text))}
    text = format_html_join(" ", '{}="{}"', pairs.items())
    flags = [name for name in ("required", "disabled") if getattr(bound.field, name)]
    return format_html("{}{}", text, format_html_join("", " {}", ((flag,) for flag in flags)))


def _wiring(bound: BoundField, hint: str) -> dict[str, str]:
    """The aria attributes that tie a control to its hint and its error."""
    told = ([f"{bound.auto_id}-error"] if bound.errors else []) + ([f"{bound.auto_id}-hint"] if hint else [])
    return ({"aria-describedby": " ".join(told)} if told else {}) | ({"aria-invalid": "true"} if bound.errors else {})


@register.filter
def focus_id(bound: BoundField) -> str:
    """Where a link to this field leads: the control itself, or the first of its radios."""
    return bound.id_for_label or f"{bound.auto_id}_0"


@register.filter
def lookup(table: Any, name: Any) -> Any:
    """{{ hints|lookup:value }}: nothing when the table or the entry is missing."""
    return table.get(name) if isinstance(table, dict) else None


@register.filter
def marked(name: str, typed: str) -> SafeString:
    """The name with the part that was typed in <mark>, whatever its case."""
    at = name.lower().find((typed or "").strip().lower()) if typed and typed.strip() else -1
    if at < 0:
        return format_html("{}", name)
    end = at + len(typed.strip())
    return format_html("{}<mark>{}</mark>{}", name[:at], name[at:end], name[end:])


# ── Rights ──


class May:
    """True when the actor may; else `reason` says which role could: "Needs Key manager"."""

    def __init__(self, actor: Actor | None, permission: str, where: Scope = EVERYWHERE) -> None:
        self.permission = permission
        self.allowed = actor is not None and actor.may_within(permission, where)

    def __bool__(self) -> bool:
        return self.allowed

    @classmethod
    def here(cls, context: Context, permission: str) -> "May":
        """Where the page's address lies."""
        return cls(context.get("actor"), permission, getattr(context.get("request"), "scope", EVERYWHERE))

    @property
    def reason(self) -> str:
        roles = gettext(" or ").join(str(role) for role in who_may(self.permission))
        return gettext("Needs %(roles)s") % {"roles": roles}


@register.simple_tag(takes_context=True)
def may(context: Context, permission: str) -> May:
    """Where the page's address lies. {% may "key.rotate" as rotate %} then {% if rotate %} or {{ rotate.reason }}."""
    return May.here(context, permission)


@register.inclusion_tag("components/_action.html", takes_context=True)
def action(
    context: Context, permission: str, to: str, label: str, css: str = "", icon: str = "", method: str = "get", panel: bool = True
) -> dict[str, Any]:
    """{% action "key.rotate" url _("Rotate") css="primary" icon="rotate-cw" %}: a button that stays, disabled and with the reason, for
    who may not. `method="post"` makes it a form of its own; `panel=False` a plain link."""
    return {
        "may": May.here(context, permission), "to": to, "label": label, "css": css, "icon": icon, "method": method, "panel": panel,
        "csrf_token": context.get("csrf_token"), "why": f"why-{slugify(permission.replace('.', '-'))}-{slugify(to.replace('/', '-'))}",
    }  # fmt: skip


@register.simple_tag
def menu_action(may: May, to: str, label: str, icon: str, css: str = "") -> SafeString:
    """{% menu_action rotate url|add:"rotate/" _("Rotate") "rotate-cw" %}: a deed in a menu; who may not do it sees it with the reason.

    Markup from here, not from a template: a list has four in each of its 50 rows.
    """
    if may:
        return format_html('<a class="menu-item {}" {}>{}{}</a>', css, opens(to), _icon(icon, 15, "icon"), label)
    text = '<button type="button" class="menu-item" aria-disabled="true">{}<span>{}<small>{}</small></span></button>'
    return format_html(text, _icon(icon, 15, "icon"), label, may.reason)


# ── Page furniture ──


@register.simple_tag
def stylesheets() -> SafeString:
    """One sheet made of every file (see console/stylesheet.py)."""
    try:
        return format_html('<link rel="stylesheet" href="{}?v={}">', reverse("stylesheet"), version())
    except NoReverseMatch:  # an error page while the addresses themselves cannot be read
        return format_html_join("", '<link rel="stylesheet" href="{}">', ((static(f"css/{name}"),) for name in FILES))
