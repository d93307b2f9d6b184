"""Keys that sign tokens, as JSON Web Keys (RFC 7517), and tokens signed with them."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

RSA, EC, ED = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()

_SIZES = {"secp256r1": ("P-256", 32), "secp384r1": ("P-384", 48), "secp521r1": ("P-521", 66), "secp256k1": ("secp256k1", 32)}


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    return text(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def rsa_key(key: rsa.RSAPrivateKey = RSA, **more: Any) -> dict[str, Any]:
    public = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": "1", "n": number(public.n), "e": number(public.e), **more}


def ec_key(key: ec.EllipticCurvePrivateKey = EC, **more: Any) -> dict[str, Any]:
    public = key.public_key().public_numbers()
    curve, size = _SIZES[key.curve.name]
    return {"kty": "EC", "crv": curve, "kid": "2", "x": number(public.x, size), "y": number(public.y, size), **more}


def ed_key(**more: Any) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "kid": "3", "x": text(ED.public_key().public_bytes_raw()), **more}


def shared_set(word: str) -> str:
    """As the console makes them; the same word, the same secret."""
    key = {"kty": "oct", "kid": f"kid-{word}", "alg": "HS256", "k": text(hashlib.sha256(word.encode()).digest())}
    return json.dumps({"keys": [key]}, separators=(",", ":"))


def shared_token(word: str, *, kid: bool = True, **claims: Any) -> str:
    """Signed with the secret of that word."""
    (key,) = json.loads(shared_set(word))["keys"]
    return signed(key if kid else {"k": key["k"]}, **claims)


def signed(key: dict[str, str], **claims: Any) -> str:
    """With a shared key of a set."""
    head = {"alg": "HS256", **({"kid": key["kid"]} if "kid" in key else {})}
    body = ".".join(text(json.dumps(part).encode()) for part in (head, {"exp": int(time.time()) + 600, **claims}))
    return f"{body}.{text(hmac.digest(base64.urlsafe_b64decode(key['k'] + '='), body.encode(), 'sha256'))}"


def token(algorithm: str = "RS256", **claims: Any) -> str:
    kid = {"RS256": "1", "ES256": "2", "EdDSA": "3"}[algorithm]
    body = {"iss": "https://issuer", "sub": "carol@example.com", "exp": int(time.time()) + 600, **claims}
    signed = ".".join(text(json.dumps(part).encode()) for part in ({"alg": algorithm, "kid": kid}, body))
    if algorithm == "RS256":
        signature = RSA.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    elif algorithm == "ES256":
        signature = b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(EC.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))))
    else:
        signature = ED.sign(signed.encode())
    return f"{signed}.{text(signature)}"
