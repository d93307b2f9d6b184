"""How callers of a consumer with tokens are known: whose signature counts, where the token stands, and which claim says who it is."""

import json
import uuid
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm, DescriptionField, OverlapField
from console.forms.branches import BranchedForm, Branches
from gateway.jwks import NotUsable, public_keys, shared_keys
from gateway.methods import ASYMMETRIC, KEY_TYPES, REMOTE, SYMMETRIC
from gateway.models import Consumer, NewJwt
from gateway.models.jwt import CACHE_SECONDS, HEADER, JWKS_LIMIT, QUERY, USUAL_CACHE, USUAL_CLAIM

_DURATIONS = {60: _("1 minute"), 300: _("5 minutes"), 600: _("10 minutes"), 3600: _("1 hour"), 86400: _("24 hours")}


class PublicKeysText(forms.Textarea):
    """Shows public keys and nothing else: what was pasted by mistake may be private, and does not come back."""

    def __init__(self) -> None:
        super().__init__({"rows": 8, "autocomplete": "off", "spellcheck": "false", "autocapitalize": "off", "data-1p-ignore": ""})

    def format_value(self, value: Any) -> str:
        text = str(value or "")
        if len(text) > JWKS_LIMIT:
            return ""
        try:
            return json.dumps(json.loads(public_keys(text)), indent=2)
        except NotUsable:
            return ""


class UrlInput(forms.TextInput):
    """An address with a user name and a password in it does not come back."""

    def format_value(self, value: Any) -> str:
        text = str(value or "")
        return "" if "@" in text else text


class JwtForm(BranchedForm):
    key_type = forms.ChoiceField(
        label=_("Key type"),
        choices=list(KEY_TYPES.items()),
        initial=SYMMETRIC,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the key types listed.")},
    )
    jwks = forms.CharField(
        label=_("JWKS"),
        strip=False,
        widget=PublicKeysText,
        help_text=_("The public keys as a JSON Web Key Set (RFC 7517): RSA, EC or Ed25519. Private and shared keys are refused."),
        error_messages={"required": _("Paste the public keys as a JSON Web Key Set.")},
    )
    url = forms.CharField(
        label=_("Remote JWKS URL"),
        strip=False,
        widget=UrlInput,
        help_text=_("Each gateway fetches the keys from there. The host is a name; the address holds no password and no query."),
        error_messages={"required": _("Enter the address of the key set, such as https://issuer.example.com/.well-known/jwks.json.")},
    )
    cache_seconds = forms.TypedChoiceField(
        label=_("Cache duration"),
        choices=[(seconds, _DURATIONS[seconds]) for seconds in CACHE_SECONDS],
        coerce=int,
        initial=USUAL_CACHE,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the durations listed.")},
    )
    position = forms.ChoiceField(
        label=_("Token position"),
        choices=[(HEADER, _("Header")), (QUERY, _("Query"))],
        initial=HEADER,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the two.")},
    )
    placed_at = forms.CharField(
        label=_("Token key"),
        strip=False,
        initial="Authorization",
        help_text=_("The name of the header, or of the query parameter."),
        error_messages={"required": _("Enter the name of the header or the query parameter, such as Authorization.")},
    )
    token_prefix = forms.CharField(
        label=_("Token prefix"),
        strip=False,
        required=False,
        initial="Bearer",
        help_text=_("Stands in front of the token, with one space between."),
    )
    pass_through = forms.BooleanField(
        label=_("Pass the token through"),
        required=False,
        help_text=_("The back end receives it too, on services whose consumers all have their token at this place and ask for this."),
    )
    claim = forms.CharField(
        label=_("Identity claim"),
        strip=False,
        initial=USUAL_CLAIM,
        error_messages={"required": _("Enter the name of the claim, such as uid.")},
    )
    claim_value = forms.CharField(
        label=_("Identity value"),
        strip=False,
        error_messages={"required": _("Enter the value that the claim has in this consumer's tokens.")},
    )

    jwt_order: ClassVar = (
        "key_type", "jwks", "url", "cache_seconds", "position", "placed_at", "token_prefix", "pass_through", "claim", "claim_value",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("claim_value", uuid.uuid4().hex)

    def branches(self) -> Branches:
        own: Branches = {"key_type": {ASYMMETRIC: ("jwks",), REMOTE: ("url", "cache_seconds")}, "position": {HEADER: ("token_prefix",)}}
        return super().branches() | own

    def place(self, field: str) -> str | None:
        """A form has a prefix of its own."""
        return "token_prefix" if field == "prefix" else super().place(field)

    def new_jwt(self, *, secret_kept: bool = False) -> NewJwt:
        """A shared secret is made here, for the one page that shows it."""
        given = self.cleaned_data
        symmetric = given["key_type"] == SYMMETRIC
        return NewJwt(
            key_type=given["key_type"],
            claim=given["claim"],
            value=given["claim_value"],
            secret=shared_keys() if symmetric and not secret_kept else None,
            jwks=given["jwks"] or "",
            url=given["url"] or "",
            cache_seconds=given["cache_seconds"] or USUAL_CACHE,
            position=given["position"],
            placed_at=given["placed_at"],
            prefix=given["token_prefix"] or "",
            pass_through=given["pass_through"],
        )


class EditJwt(JwtForm):
    """Starts from what is stored. A shared secret is kept unless the key type becomes symmetric."""

    description = DescriptionField(widget=forms.Textarea(attrs={"rows": 2}))

    field_order = ("description", *JwtForm.jwt_order)

    def __init__(self, *args: Any, consumer: Consumer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        jwt = consumer.jwt
        self.was = jwt.key_type
        self.initial = {
            **self.initial,
            "lock_version": consumer.lock_version,
            "description": consumer.description,
            "key_type": jwt.key_type,
            "jwks": jwt.jwks,
            "url": jwt.url,
            "cache_seconds": jwt.cache_seconds or USUAL_CACHE,
            "position": jwt.position,
            "placed_at": jwt.placed_at,
            "token_prefix": jwt.prefix,
            "pass_through": jwt.pass_through,
            "claim": jwt.claim,
            "claim_value": jwt.value,
        }

    def changed_jwt(self) -> NewJwt:
        return self.new_jwt(secret_kept=self.was == SYMMETRIC)


class SwitchToJwt(JwtForm):
    field_order = JwtForm.jwt_order

    def __init__(self, *args: Any, consumer: Consumer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["lock_version"] = consumer.lock_version


class RotateJwt(DeedForm):
    overlap = OverlapField()
