"""Every component and state on one page, with sample data: what page authors look at, and what the browser tests hold."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.middleware import allows, takes
from console.pages import page, see_other
from console.templatetags.ui import May
from gateway.delivery import Effect

_NAMES = ("openai_prod", "openai_embeddings", "openai_staging", "anthropic_prod", "qwen_max_cn", "partner_acme_inbound")

_CURL = """\
curl http://localhost:8080/ai/chat/chat/completions \\
  -H "Authorization: Bearer $LATCHKEY_API_KEY" \\
  -d '{"model": "gpt-4o", "messages": []}'"""


class SampleForm(forms.Form):
    """A consumer, more or less: one of each kind of field."""

    name = forms.CharField(label=_("Consumer name"), max_length=63, help_text=_("Lower-case letters, digits, hyphens and underscores."))
    description = forms.CharField(label=_("Description"), required=False, widget=forms.Textarea(attrs={"rows": 2}))
    method = forms.ChoiceField(
        label=_("Authentication method"), choices=[("api_key", "API Key"), ("jwt", "JWT")], widget=forms.RadioSelect, initial="api_key"
    )
    generation = forms.ChoiceField(
        label=_("Generation method"),
        choices=[("system", _("System-generated")), ("custom", _("Custom")), ("reference", _("Reference Key"))],
        widget=forms.RadioSelect,
        initial="reference",
    )
    value = forms.CharField(
        label=_("Credential"), required=False, help_text=_("At least 16 characters. Stored sealed and never shown again.")
    )
    bind_key = forms.CharField(label=_("Bind Key"), required=False, help_text=_("The gateway always reads the key's current version."))
    source = forms.ChoiceField(
        label=_("Credential source"), choices=[("bearer", "Authorization: Bearer"), ("header", _("Custom HTTP Header"))]
    )
    enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True, help_text=_("A disabled consumer is answered 401."))

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("generation") == "reference" and given.get("bind_key") not in _NAMES:
            self.add_error("bind_key", _("No key is named that. Choose one from the list."))
        return given


class SampleName(forms.Form):
    confirm = forms.CharField(label=_("Key name"))


@allows("overview.view")
def styleguide(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    wrong = SampleForm(
        {"name": "Acme Partner", "method": "api_key", "generation": "reference", "bind_key": "opnai_prod", "source": "bearer"}
    )
    wrong.add_error("name", _("Use lower-case letters, digits, hyphens and underscores."))
    context = {
        "keys": [_row(name, number, now) for number, name in enumerate(_NAMES)],
        "form": SampleForm(auto_id="good_%s"),
        "wrong": _renamed(wrong, "wrong_%s"),
        "nobody": May(None, "key.rotate"),
        "confirm": SampleName(auto_id="sure_%s"),
        "groups": _groups(),
        "effects": [Effect(3, 3), Effect(2, 3), Effect(0, 3), Effect(1, 3, ("node-2",)), Effect(0, 0)],
        "times": [now, now - timedelta(minutes=5), now - timedelta(days=2), now - timedelta(days=70), now + timedelta(hours=23), None],
        "kinds": ["consumer", "ai_service", "agent_service", "mcp_service", "plugin", "instance", "key"],
        "hints": {"api_key": _("Supports references"), "jwt": _("Signed tokens")},
        "off": {"jwt": _("Not on this instance")},
        "crumbs": [(_("Key"), reverse("styleguide")), ("openai_prod", "")],
        "pulses": [
            {"tone": "ok", "title": "3 nodes in sync", "text": "Every change is in effect."},
            {"tone": "info", "title": "2 of 3 nodes in sync", "text": "A change is on its way."},
            {"tone": "warn", "title": "Control plane is down", "text": "Gateways keep serving; changes wait."},
            {"tone": "", "title": "No gateway yet", "text": "Join a node to an instance."},
        ],
        "curl": _CURL,
    }
    return page(request, "styleguide/styleguide.html", context)


@takes("GET", "HEAD", "POST")
@allows("overview.view")
def scene(request: HttpRequest, name: str) -> HttpResponse:
    """The panels, each at an address of its own, as the real ones are."""
    back = reverse("styleguide")
    if name == "consumer":
        form = SampleForm(request.POST or None)
        if form.is_valid() and form.cleaned_data["generation"] == "system":
            return page(request, "styleguide/once.html", {"back": back, "value": "lk_" + "sampleValue" * 4})
        if form.is_valid():
            return see_other(request, "styleguide", notice=_("Consumer created."))
        hints = {"api_key": _("Supports references"), "jwt": _("Signed tokens")}
        context: dict[str, Any] = {
            "form": form,
            "back": back,
            "submit": _("Create consumer"),
            "hints": hints,
            "options": reverse("styleguide-options"),
        }
        return page(request, "styleguide/consumer.html", context, status=422 if form.errors else 200)
    if name == "holders":
        return page(request, "styleguide/holders.html", {"groups": _groups(), "back": back, "size": "narrow"})
    if name == "once":
        return page(request, "styleguide/once.html", {"back": back, "value": "lk_" + "sampleValue" * 4})
    if name == "decision":
        form_of_name = SampleName(request.POST or None)
        context = {"form": form_of_name, "back": back, "submit": _("Delete key"), "danger": True, "size": "decision"}
        return page(request, "styleguide/decision.html", context, status=422 if form_of_name.errors else 200)
    raise Http404(name)


@allows("overview.view")
def options(request: HttpRequest) -> HttpResponse:
    typed = request.GET.get("q", "").lower()
    found = [
        {"name": name, "id": f"option-{name}", "references": number, "version": number + 1}
        for number, name in enumerate(_NAMES)
        if typed in name
    ]
    return render(request, "styleguide/_options.html", {"found": found, "q": typed})


def _renamed(form: forms.Form, auto_id: str) -> forms.Form:
    form.auto_id = auto_id
    return form


def _row(name: str, number: int, now: Any) -> SimpleNamespace:
    kinds = ["ai_service", "agent_service", "consumer", "mcp_service"][: min(number, 4)]
    texts = (
        "Production traffic to OpenAI",
        "Embedding jobs",
        "",
        "Claude for the assistant fleet",
        "DashScope, Hangzhou",
        "What Acme presents to call us",
    )
    return SimpleNamespace(
        name=name, description=texts[number], version=number + 1, count=number * 3, kinds=kinds, enabled=number != 2,
        rotated_at=now - timedelta(days=number * 9), rotated_by=("mei.chen", "kim")[number % 2], effect=Effect(3 if number % 4 else 2, 3),
    )  # fmt: skip


def _groups() -> list[dict[str, Any]]:
    place = "Large Model Configuration › API Key"
    return [
        {
            "kind": "ai_service",
            "holders": [
                {"name": "gpt-chat", "place": place, "url": "#", "instance": "prod-east", "version": 7, "state": "ok"},
                {
                    "name": "gpt-embeddings-with-a-rather-long-name",
                    "place": place,
                    "url": "#",
                    "instance": "prod-eu",
                    "version": 6,
                    "state": "moving",
                },
                {"name": "batch", "place": place, "url": "#", "instance": "batch", "version": 7, "state": "failed"},
            ],
        },
        {
            "kind": "consumer",
            "holders": [
                {"name": "acme-partner", "place": "Bind Key", "url": "#", "off": True},
                {"name": "Not open to you", "place": "Bind Key"},
            ],
        },
    ]
