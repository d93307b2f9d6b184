"""How callers of a consumer with tokens are known: whose signature counts, where the token stands, and which claim says who it is."""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from gateway.address import is_ip, parse_address
from gateway.destinations import of_consumer
from gateway.jwks import HoldsSecret, NotUsable, public_keys
from gateway.methods import ASYMMETRIC, JWT, REMOTE, SYMMETRIC
from gateway.names import JWKS_PATH
from gateway.sources import BEARER, Source, check_source
from secrets_app.actor import Actor
from secrets_app.errors import Invalid, NotFound
from secrets_app.models import Key, Reference, Region
from secrets_app.plaintext import Plaintext

if TYPE_CHECKING:
    from gateway.models.consumer import Consumer

HEADER, QUERY = "header", "query"
JWKS_LIMIT = 64 * 1024  # bytes
CACHE_SECONDS = (60, 300, 600, 3600, 86400)
USUAL_CLAIM, USUAL_CACHE = "uid", 600
LONGEST_CLAIM, LONGEST_VALUE, LONGEST_URL = 128, 256, 500

_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,32}")  # as names of headers are: it is shown for a shell too


@dataclass(frozen=True, slots=True)
class NewJwt:
    """What a consumer's tokens shall be. Of the fields for the keys those of its type count; a shared secret comes with a new consumer
    or a new type, and stays otherwise."""

    key_type: str
    claim: str
    value: str
    secret: Plaintext | None = None
    jwks: str = ""
    url: str = ""
    cache_seconds: int = USUAL_CACHE
    position: str = HEADER
    placed_at: str = "Authorization"
    prefix: str = "Bearer"
    pass_through: bool = False

    @property
    def place(self) -> Source:
        if self.position == QUERY:
            return Source("query", self.placed_at)
        name = self.placed_at.lower()
        return BEARER if name == BEARER.name else Source("header", name)


class Jwt(models.Model):
    """Beside the consumer's row, whose one source is the place of the token. A shared secret is found by the reference."""

    consumer: "models.OneToOneField[Consumer, Consumer]" = models.OneToOneField("Consumer", on_delete=models.CASCADE, related_name="jwt")
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="+")
    key_type = models.CharField(max_length=16)
    jwks = models.TextField(blank=True)  # as public_keys made it
    url = models.CharField(max_length=LONGEST_URL, blank=True)
    cache_seconds = models.PositiveIntegerField(default=0)
    prefix = models.CharField(max_length=32, blank=True)
    pass_through = models.BooleanField(default=False)
    claim = models.CharField(max_length=LONGEST_CLAIM)
    value = models.CharField(max_length=LONGEST_VALUE)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["region", "claim", "value"], name="identity_once_a_region")]

    def __str__(self) -> str:
        return f"{self.consumer_id} {self.key_type}"

    @property
    def place(self) -> Source:
        return self.consumer.sources[0]

    @property
    def reference(self) -> Reference:
        """Of a shared secret. Raises NotFound: without one it is gone, since it was read."""
        if (reference := self.consumer.references.filter(path=JWKS_PATH).first()) is None:
            raise NotFound()
        return reference

    @property
    def cache_minutes(self) -> int:
        return self.cache_seconds // 60

    @property
    def public_kinds(self) -> list[str]:
        """Of the pasted keys: "RSA", "EC", ..."""
        return [key["kty"] for key in json.loads(self.jwks)["keys"]] if self.jwks else []

    @property
    def placed_at(self) -> str:
        return "Authorization" if self.place == BEARER else self.place.name

    @property
    def position(self) -> str:
        return QUERY if self.place.kind == "query" else HEADER

    # What deeds of the consumer call inside their own deed

    @classmethod
    def _write(cls, consumer: "Consumer", new: NewJwt, by: Actor) -> bool:
        """Make the consumer's tokens these, which check_jwt has passed; whether that changed anything. A shared secret that is there
        stays."""
        before = cls.objects.filter(consumer=consumer).first()
        if new.key_type != SYMMETRIC:
            consumer._release()
        elif not (before and before.key_type == SYMMETRIC):
            assert new.secret is not None
            to = of_consumer()
            key = Key._new_inline(consumer.region, new.secret, by, to=to)
            key._bind(consumer.audit_kind, consumer.pk, JWKS_PATH, to=to, by=by, inbound=True)
        jwks, url = _keys(new, ours=False)
        row = cls(
            pk=before.pk if before else None,
            consumer=consumer,
            region=consumer.region,
            key_type=new.key_type,
            jwks=jwks,
            url=url,
            cache_seconds=new.cache_seconds if url else 0,
            prefix=new.prefix if new.position == HEADER else "",
            pass_through=new.pass_through,
            claim=new.claim,
            value=new.value,
        )
        row.save()
        return before is None or any(getattr(row, field.attname) != getattr(before, field.attname) for field in cls._meta.concrete_fields)

    def _as_edited(self) -> dict[str, Any]:
        return {
            "key_type": self.key_type,
            "url": self.url,
            "position": self.position,
            "placed_at": self.placed_at,
            "prefix": self.prefix,
            "pass_through": self.pass_through,
            "claim": self.claim,
            "value": self.value,
        }


def check_jwt(region: Region, new: NewJwt, *, ours: bool, consumer: "Consumer | None" = None) -> dict[str, list[str]]:
    """Errors by field: key_type, jwks, url, cache_seconds, position, placed_at, prefix, claim, claim_value. `ours` as leads_here said of
    the URL; `consumer` is the one that has tokens already."""
    errors = _check_place(new) | _check_claim(region, new, consumer)
    fresh = consumer is None or not Jwt.objects.filter(consumer=consumer, key_type=SYMMETRIC).exists()
    if new.key_type == SYMMETRIC and fresh and new.secret is None:
        errors["key_type"] = [str(_("A new shared secret is needed. Choose the key type again."))]
    try:
        _keys(new, ours)
    except Invalid as refused:
        errors |= refused.errors
    return errors


def told_jwt(new: NewJwt) -> dict[str, Any]:
    """For the audit log."""
    facts: dict[str, Any] = {
        "method": JWT,
        "key_type": new.key_type,
        "source": str(new.place),
        "claim": new.claim,
        "pass_through": new.pass_through,
    }
    return facts | ({"url": new.url} if new.key_type == REMOTE else {})


def _keys(new: NewJwt, ours: bool) -> tuple[str, str]:
    """The public keys, or the address that they are fetched from."""
    if new.key_type == SYMMETRIC:
        return "", ""
    if new.key_type == ASYMMETRIC:
        return _check_jwks(new.jwks), ""
    if new.key_type == REMOTE:
        return "", _check_url(new, ours)
    raise Invalid({"key_type": [str(_("Choose one of the key types listed."))]})


def _check_jwks(text: str) -> str:
    if len(text.encode("utf-8", "replace")) > JWKS_LIMIT:
        raise Invalid(
            {"jwks": [str(_("A key set here has at most %(most)d KiB. Paste the keys in use alone.") % {"most": JWKS_LIMIT // 1024})]}
        )
    try:
        return public_keys(text)
    except HoldsSecret:
        why = _("This set holds a private or a shared key. Paste the public keys alone: whoever signs tokens keeps the rest to itself.")
        raise Invalid({"jwks": [str(why)]}) from None
    except NotUsable as wrong:
        raise Invalid({"jwks": [str(wrong.message)]}) from None


def _check_url(new: NewJwt, ours: bool) -> str:
    if new.cache_seconds not in CACHE_SECONDS:
        raise Invalid({"cache_seconds": [str(_("Choose one of the durations listed."))]})
    if "?" in new.url or "#" in new.url:
        raise Invalid({"url": [str(_("Leave out everything from ? or # on."))]})
    try:
        address = parse_address(new.url)
    except Invalid as refused:
        raise Invalid({"url": refused.errors["address"]}) from None
    url = str(address) + ("/" if new.url.endswith("/") else "")
    if len(url) > LONGEST_URL:
        raise Invalid({"url": [str(_("Use at most %(limit)d characters.") % {"limit": LONGEST_URL})]})
    if is_ip(address.host):
        raise Invalid({"url": [str(_("Enter the host by its name, not as an IP address."))]})
    if ours:
        raise Invalid({"url": [str(_("This is the console's, the control plane's or a gateway's own address."))]})
    return url


def _check_place(new: NewJwt) -> dict[str, list[str]]:
    if new.position not in (HEADER, QUERY):
        return {"position": [str(_("Choose one of the two."))]}
    wrong = check_source(new.place)
    errors = {"placed_at": next(iter(wrong.values()))} if wrong else {}
    if new.position == HEADER and not _PREFIX.fullmatch(new.prefix):
        errors["prefix"] = [str(_("Use at most 32 letters, digits and hyphens, such as Bearer, and no space; or leave it empty."))]
    return errors


def _check_claim(region: Region, new: NewJwt, consumer: "Consumer | None") -> dict[str, list[str]]:
    errors = _check_text("claim", new.claim, LONGEST_CLAIM) | _check_text("claim_value", new.value, LONGEST_VALUE)
    others = Jwt.objects.filter(region=region, claim=new.claim, value=new.value).exclude(consumer=consumer)
    if not errors and others.exists():
        text = _("Another consumer of this region is known by this value of the claim already. Choose another.")
        errors["claim_value"] = [str(text)]
    return errors


def _check_text(field: str, text: str, longest: int) -> dict[str, list[str]]:
    if not text or len(text) > longest or not text.isprintable() or text != text.strip():
        return {field: [str(_("Use 1 to %(limit)d printable characters, with no space at either end.") % {"limit": longest})]}
    return {}
