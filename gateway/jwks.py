"""JSON Web Key Sets (RFC 7517): what of one a gateway can check signatures with.

Envoy refuses a configuration whose key set it cannot use, and with it all routes of a node, so every key is looked at before.
"""

import base64
import json
import os
import re
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from secrets_app.plaintext import Plaintext

SECRET_FIELDS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}  # of private and of shared keys (RFC 7518)
KEYS = 32

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_CURVES: dict[str, tuple[ec.EllipticCurve, int, str]] = {
    "P-256": (ec.SECP256R1(), 32, "ES256"),
    "P-384": (ec.SECP384R1(), 48, "ES384"),
    "P-521": (ec.SECP521R1(), 66, "ES512"),
}
_RSA_ALGORITHMS = {f"{kind}{size}" for kind in ("RS", "PS") for size in (256, 384, 512)}
_RSA_BITS = range(2048, 8192 + 1)
_RSA_EXPONENTS = (3, 65537)  # Envoy reads no other
_TOLD = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


class NotUsable(ValueError):
    """A key set or a key of it; the message says why, and quotes nothing."""

    def __init__(self, message: Promise | str) -> None:
        super().__init__(message)
        self.message = message


class HoldsSecret(NotUsable):
    """It holds a private or a shared key."""


def shared_keys() -> Plaintext:
    """A new set of one shared key: 32 random bytes for HS256 (RFC 7518, 3.2)."""
    kid, secret = _text(os.urandom(9)), _text(os.urandom(32))
    key = {"kty": "oct", "kid": kid, "alg": "HS256", "k": secret}
    return Plaintext(json.dumps({"keys": [key]}, separators=(",", ":")))


def public_keys(text: str) -> str:
    """The set with nothing but what checking signatures takes. Raises NotUsable, HoldsSecret."""
    return json.dumps({"keys": [_public(key) for key in _keys(text)]}, separators=(",", ":"))


def _keys(text: str) -> list[dict[str, Any]]:
    try:
        keys = json.loads(text)["keys"]
    except json.JSONDecodeError as broken:
        where = {"line": broken.lineno, "column": broken.colno}
        raise NotUsable(_("This is not a JSON Web Key Set: its JSON breaks at line %(line)d, column %(column)d.") % where) from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NotUsable(_NO_SET) from None
    if not isinstance(keys, list) or not all(isinstance(key, dict) and isinstance(key.get("kty"), str) for key in keys):
        raise NotUsable(_NO_SET)
    if not keys or len(keys) > KEYS:
        raise NotUsable(_("A key set here has 1 to %(most)d keys.") % {"most": KEYS})
    if any(SECRET_FIELDS & key.keys() or key["kty"] == "oct" for key in keys):
        raise HoldsSecret(_("This set holds a private or a shared key."))
    return keys


def _public(key: dict[str, Any]) -> dict[str, str]:
    kind = key["kty"]
    if kind not in _KINDS:
        raise NotUsable(_("A key here is of a kind that the gateway does not know. Use RSA, EC or OKP (Ed25519)."))
    names = (*_TOLD[kind], *(name for name in ("alg", "kid") if name in key))
    if not all(isinstance(key.get(name), str) for name in names):
        text = _("A key of kind %(kind)s has the fields %(names)s, all of them text.")
        raise NotUsable(text % {"kind": kind, "names": ", ".join(_TOLD[kind])})
    if not key.get("kid", "").isprintable():
        raise NotUsable(_("A “kid” here holds characters that cannot be shown. Copy the set again from its source."))
    try:
        algorithms = _KINDS[kind](key)
    except NotUsable:
        raise
    except (ValueError, UnsupportedAlgorithm):
        raise NotUsable(_("A key of kind %(kind)s here cannot be read. Copy it again from its source.") % {"kind": kind}) from None
    if key.get("alg", min(algorithms)) not in algorithms:
        text = _("The “alg” of a key of kind %(kind)s must be one of: %(names)s.")
        raise NotUsable(text % {"kind": kind, "names": ", ".join(sorted(algorithms))})
    return {"kty": kind, **{name: key[name] for name in names}}


def _rsa(key: dict[str, Any]) -> set[str]:
    """The algorithms that it can be for."""
    modulus = _number(key["n"])
    if modulus.bit_length() not in _RSA_BITS:
        raise NotUsable(_("An RSA key here has %(least)d to %(most)d bits.") % {"least": _RSA_BITS[0], "most": _RSA_BITS[-1]})
    exponent = _number(key["e"])
    if exponent not in _RSA_EXPONENTS:
        raise NotUsable(_("The exponent of an RSA key here must be 65537 or 3. Let whoever signs tokens make a usual key."))
    if modulus % 2 == 0:
        raise ValueError
    rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return _RSA_ALGORITHMS


def _ec(key: dict[str, Any]) -> set[str]:
    if key["crv"] not in _CURVES:
        raise NotUsable(_("The curve of an EC key must be one of: %(names)s.") % {"names": ", ".join(_CURVES)})
    curve, size, algorithm = _CURVES[key["crv"]]
    x, y = _bytes(key["x"]), _bytes(key["y"])
    if len(x) != size or len(y) != size:
        raise ValueError
    ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve).public_key()
    return {algorithm}


def _okp(key: dict[str, Any]) -> set[str]:
    if key["crv"] != "Ed25519":
        raise NotUsable(_("The curve of an OKP key must be Ed25519."))
    ed25519.Ed25519PublicKey.from_public_bytes(_bytes(key["x"]))
    return {"EdDSA"}


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Without padding (RFC 7515, 2)."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_KINDS: dict[str, Callable[[dict[str, Any]], set[str]]] = {"RSA": _rsa, "EC": _ec, "OKP": _okp}
_NO_SET = _("This is not a JSON Web Key Set: {\"keys\": [{\"kty\": ...}]}.")  # fmt: skip
