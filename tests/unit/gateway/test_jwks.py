import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.jwks import KEYS, HoldsSecret, NotUsable, public_keys
from tests.keys_of_tokens import RSA, ec_key, ed_key, key_set, number, rsa_key

P384, P521, K256 = (ec.generate_private_key(curve()) for curve in (ec.SECP384R1, ec.SECP521R1, ec.SECP256K1))


def without(key: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name not in names}


USABLE = [
    rsa_key(),
    without(rsa_key(), "kid"),
    rsa_key(alg="RS256", use="sig", x5c=["AAAA"], key_ops=["verify"], other={"a": 1}),
    rsa_key(alg="PS512"),
    rsa_key(e="Aw"),
    ec_key(),
    ec_key(alg="ES256"),
    ec_key(P384, alg="ES384"),
    ec_key(P521),
    ed_key(),
    ed_key(alg="EdDSA"),
]


@pytest.mark.parametrize("key", USABLE)
def test_of_a_key_that_can_be_used_only_what_it_takes_goes_on(key: dict[str, Any]) -> None:
    (kept,) = json.loads(public_keys(key_set(key)))["keys"]
    assert kept.items() <= key.items()
    assert not kept.keys() & {"use", "x5c", "key_ops", "other"}


@pytest.mark.parametrize(
    "key",
    [
        rsa_key(rsa.generate_private_key(65537, 1024)),  # noqa: S505 (too short is what it is to be)
        rsa_key(alg="ES256"),
        rsa_key(alg="HS256"),
        rsa_key(alg="RS999"),
        rsa_key(alg=5),
        rsa_key(kid=5),
        rsa_key(kid="\ud800"),
        rsa_key(e=number(2**32 + 1)),
        rsa_key(n=5),
        rsa_key(n="!!"),
        rsa_key(n=""),
        rsa_key(n=base64.b64encode(b"\xff" * 256).decode()),
        rsa_key(e="AA"),
        rsa_key(e="AQAB="),
        # Envoy reads none of these, and would refuse all that stands beside them.
        *(rsa_key(e=number(exponent)) for exponent in (5, 17, 257, 65539, 2**64 + 1)),
        rsa_key(n=number(RSA.public_key().public_numbers().n - 1)),
        *(rsa_key(kid=kid) for kid in ("\ud800", "a\udc00", "a\0")),
        without(rsa_key(), "n"),
        without(rsa_key(), "e"),
        {"kty": "RSA", "x5c": ["AAAA"]},
        ec_key(alg="ES384"),
        ec_key(alg="RS256"),
        ec_key(K256),
        ec_key(x="AQ"),
        ec_key(x=ec_key()["y"]),
        ec_key(crv="P-384"),
        ec_key(crv=5),
        without(ec_key(), "crv"),
        without(ec_key(), "y"),
        ed_key(alg="Ed25519"),
        ed_key(crv="X25519"),
        ed_key(x="AQ"),
        {"kty": "AKP", "x": "x"},
        {"kty": 5},
    ],
)
def test_a_key_that_envoy_would_not_take_is_refused_also_among_good_ones(key: dict[str, Any]) -> None:
    for keys in ((key,), (rsa_key(), key)):
        with pytest.raises(NotUsable) as refused:
            public_keys(key_set(*keys))
        assert not isinstance(refused.value, HoldsSecret)
        assert str(refused.value.message)


@pytest.mark.parametrize("key", [rsa_key(d="x"), ec_key(d="x"), {"kty": "oct", "k": "x"}, {"kty": "oct"}])
def test_a_private_or_shared_key_is_told_apart(key: dict[str, Any]) -> None:
    with pytest.raises(HoldsSecret):
        public_keys(key_set(key))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"keys": []}', '{"keys": {}}', '{"keys": [1]}', "[" * 100_000, key_set(*[rsa_key()] * (KEYS + 1))]
)
def test_what_is_no_key_set_is_refused(text: str) -> None:
    with pytest.raises(NotUsable):
        public_keys(text)
