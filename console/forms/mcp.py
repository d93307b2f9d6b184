"""MCP services: the server behind one, and the key it is shown."""

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from console.forms.base import Entered, SecretField, SecretInput
from console.forms.branches import BranchedForm, Branches
from gateway.mcp import SSE, STREAMABLE_HTTP, TRANSPORTS, USUAL_MESSAGE_PATH, USUAL_PATHS
from gateway.models import McpService, NewCredential
from gateway.models.credential import CUSTOM, REFERENCE
from gateway.versions import FIRST_WITH_REFERENCES


class McpForm(BranchedForm):
    """Where the server is. Over SSE clients post to a second path, which only then is asked for."""

    address = forms.CharField(
        label=_("Backend service"),
        strip=False,
        max_length=500,
        help_text=_("The server's address without a path. It has to speak MCP itself: the gateway proxies it directly."),
        error_messages={"required": _("Enter the server's address, such as https://tools.example.com.")},
    )
    transport = forms.ChoiceField(
        label=_("MCP transport"),
        choices=list(TRANSPORTS.items()),
        initial=STREAMABLE_HTTP,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the transports listed.")},
    )
    path = forms.CharField(
        label=_("Path"),
        strip=False,
        max_length=300,
        help_text=_("The server's real path: /mcp or /sse, as a rule. Nothing else of the server can be reached, but where SSE posts to."),
        error_messages={"required": _("Enter the path, such as %(path)s.") % {"path": USUAL_PATHS[STREAMABLE_HTTP]}},
    )
    message_path = forms.CharField(
        label=_("Message path"),
        strip=False,
        required=False,
        max_length=300,
        help_text=_("Below which the server takes messages. Left empty, it is %(path)s.") % {"path": USUAL_MESSAGE_PATH},
    )

    def branches(self) -> Branches:
        return {"transport": {SSE: ("message_path",)}}

    def endpoint(self) -> dict[str, str]:
        """As the verbs take it."""
        given = self.cleaned_data
        return {name: given[name] or "" for name in ("address", "transport", "path", "message_path")}


class CreateMcp(McpForm):
    name = forms.CharField(
        label=_("Name"),
        strip=False,
        help_text=_("Lower-case letters, digits, hyphens and dots, up to 64. Clients use it in the address."),
        error_messages={"required": _("Enter a name for the MCP service.")},
    )
    consumer_authentication = forms.BooleanField(
        label=_("Consumer authentication"),
        required=False,
        initial=True,
        help_text=_("Only consumers that you authorize may call it, with their API key."),
    )

    field_order = ("name", "address", "transport", "path", "message_path", "consumer_authentication")


class EditMcp(McpForm):
    field_order = ("address", "transport", "path", "message_path")

    def __init__(self, *args: Any, service: McpService, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        columns = ("address", "transport", "path", "message_path", "lock_version")
        self.initial = {**self.initial, **{name: getattr(service, name) for name in columns}}


class ConfigureBackendAuth(BranchedForm):
    """The documented panel. Off, nothing of it is read, and the reference is released."""

    method_hints: ClassVar = {"api_key": _("A fixed value in a header")}

    enabled = forms.BooleanField(
        label=_("Enable backend authentication"), required=False, help_text=_("Off, the server is shown no key of yours.")
    )
    method = forms.ChoiceField(
        label=_("Authentication method"),
        choices=[("api_key", _("API key"))],
        initial="api_key",
        widget=forms.RadioSelect,
        required=False,
    )
    source = forms.ChoiceField(
        label=_("Credential source"),
        choices=[("header", _("Custom HTTP Header"))],
        initial="header",
        widget=forms.RadioSelect,
        required=False,
    )
    header = forms.CharField(
        label=_("Header"),
        strip=False,
        initial="Authorization",
        max_length=100,
        required=False,
        help_text=_("The header that carries the credential. A caller's own of that name is overwritten."),
    )
    word = forms.CharField(
        label=_("Value prefix"),
        strip=False,
        required=False,
        max_length=40,
        help_text=_("One word before the value, such as Bearer. Left empty, the value stands alone."),
    )
    generation = forms.ChoiceField(
        label=_("Generation method"),
        choices=[(CUSTOM, _("Custom")), (REFERENCE, _("Reference Key"))],
        initial=REFERENCE,
        widget=forms.RadioSelect,
        required=False,
    )
    value = SecretField(label=_("Credential"), widget=SecretInput, required=False, help_text=_("Stored sealed and never shown again."))
    key = forms.CharField(label=_("Credential"), strip=False, required=False, help_text=_("The key whose current version is sent."))

    def __init__(self, *args: Any, service: McpService, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.service, stored = service, service.backend_auth
        self.was, self.was_key = service.generation, (stored.key.name or "") if stored else ""
        self.initial = {**self.initial, "enabled": True, "lock_version": service.lock_version}
        if not service.instance.supports_references:
            self.initial["generation"] = CUSTOM
        if stored:
            self.initial["header"] = _as_written(service.header)
            self.initial["word"] = service.prefix.strip()
            self.initial["generation"] = service.generation
            self.initial["key"] = self.was_key

    def branches(self) -> Branches:
        return {"generation": {CUSTOM: ("value",), REFERENCE: ("key",)}}

    @property
    def off(self) -> dict[str, str]:
        """Why a generation method cannot be chosen: the documented version gate."""
        if self.service.instance.supports_references:
            return {}
        text = now("Key references need version %(needed)s or later; this instance has %(version)s.")
        return {REFERENCE: text % {"needed": FIRST_WITH_REFERENCES, "version": self.service.instance.version}}

    @property
    def kept(self) -> bool:
        """A value of its own is stored, and stays unless another is entered."""
        return self.was == CUSTOM

    @property
    def preview(self) -> "Preview":
        return Preview(*(str(self[name].value() or "") for name in ("header", "word", "generation", "key")))

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not given.get("enabled"):
            self.errors.clear()
            return given
        if not given.get("header"):
            self.add_error("header", now("Enter the header's name, such as Authorization or x-api-key."))
        if given.get("generation") == REFERENCE and not given.get("key"):
            self.add_error("key", now("Choose a key."))
        if given.get("generation") == CUSTOM and not given.get("value") and not self.kept and "value" not in self.errors:
            self.add_error("value", now("Enter the credential that the server expects."))
        return given

    def place(self, field: str) -> str | None:
        """A form's `prefix` is Django's own, so the field has another name."""
        return "word" if field == "prefix" else super().place(field)

    def prefix_given(self) -> str:
        word = self.cleaned_data["word"].strip()
        return f"{word} " if word else ""

    def credential(self) -> NewCredential | None:
        """None where it stays as it is."""
        given = self.cleaned_data
        if given["generation"] == REFERENCE:
            same = self.was == REFERENCE and given["key"] == self.was_key
            return None if same else NewCredential(REFERENCE, key_name=given["key"])
        entered = given["value"]
        if not isinstance(entered, Entered):
            return None
        return NewCredential(CUSTOM, entered.value, trimmed=entered.trimmed)


class Preview:
    """What the server will be shown, with the reference in place of the value: `Authorization: Bearer $ref{name}`."""

    def __init__(self, header: str = "", prefix: str = "", generation: str = "", key: str = "") -> None:
        self.header, self.word = header.strip()[:64], prefix.strip()[:17]
        self.key = key.strip()[:64] if generation == REFERENCE else ""
        self.hidden = generation == CUSTOM


def _as_written(header: str) -> str:
    """Stored in lower case as HTTP/2 has it; people write Authorization."""
    return "Authorization" if header == "authorization" else header
