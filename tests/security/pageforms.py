"""The forms of a page, as a browser without JavaScript would send them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

Pair = tuple[str, str]
_SUBMITS = {"submit", "image"}
_SILENT = {"button", "reset"}


@dataclass(slots=True)
class Form:
    """`sent` is what goes with it when nothing is touched; `choices` what else each name may say; `kinds` what its fields are."""

    action: str
    method: str
    sent: list[Pair] = field(default_factory=list)
    choices: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    buttons: list[Pair] = field(default_factory=list)


def forms_of(page: str, url: str) -> list[Form]:
    parser = _Parser(url)
    parser.feed(page)
    parser.close()
    return parser.forms


class _Parser(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._url = url
        self._form: Form | None = None
        self._aside = 0  # depth in <template>, whose content is no part of the page
        self._off = 0  # depth in fieldsets that are disabled
        self._fieldsets: list[bool] = []
        self._select = self._text = ""
        self._written: list[str] | None = None
        self._picked = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "template":
            self._aside += 1
        elif tag == "fieldset":
            self._fieldsets.append("disabled" in said)
            self._off += "disabled" in said
        if self._aside:
            return
        if tag == "form":
            action = urlsplit(urljoin(self._url, said.get("action") or self._url))
            self._form = Form(action.path + (f"?{action.query}" if action.query else ""), said.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form and not self._off and "disabled" not in said:
            self._control(self._form, tag, said)

    def _control(self, form: Form, tag: str, said: dict[str, str]) -> None:
        name, value, kind = said.get("name", ""), said.get("value", ""), said.get("type", "submit" if tag == "button" else "text")
        if tag == "option" and self._select:
            form.choices[self._select].append(value)
            if "selected" in said or not self._picked:
                form.sent = [pair for pair in form.sent if pair[0] != self._select] + [(self._select, value)]
                self._picked = True
        if not name or kind in _SILENT:
            return
        if tag in ("input", "select", "textarea"):
            form.kinds[name] = kind if tag == "input" else tag
        if tag == "select":
            self._select, self._picked = name, False
            form.choices[name] = []
        elif tag == "textarea":
            self._text, self._written = name, []
        elif tag == "button" or (tag == "input" and kind in _SUBMITS):
            form.buttons.append((name, value))
        elif tag == "input" and kind in ("checkbox", "radio"):
            form.choices.setdefault(name, []).append(value or "on")
            if "checked" in said:
                form.sent.append((name, value or "on"))
        elif tag == "input":
            form.sent.append((name, value))

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._aside -= 1
        elif tag == "fieldset" and self._fieldsets:
            self._off -= self._fieldsets.pop()
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._written is not None and self._form:
            self._form.sent.append((self._text, "".join(self._written).removeprefix("\n")))
            self._written = None
        elif tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        if self._written is not None:
            self._written.append(data)
