import json

import pytest

from gateway.plugins.official.jwt_auth import JWKS_LIMIT
from tests.unit.gateway.plugins.texts import SERVICE, only_fault, passes

PUBLIC = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "1",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}


def rule(jwks: object, more: str = "") -> str:
    text = jwks if isinstance(jwks, str) else json.dumps(jwks)
    return f"consumers:\n- name: a\n  issuer: i\n  jwks: {json.dumps(text)}\n{more}"


def test_public_keys_and_all_the_fields() -> None:
    more = """\
  claims_to_headers:
  - claim: sub
    header: x-user
  from_headers:
  - name: Authorization
    value_prefix: "Bearer "
  from_params: [token]
  from_cookies: [session]
  clock_skew_seconds: 5
  keep_token: true
"""
    assert passes("jwt-auth", rule({"keys": [PUBLIC]}, more))
    assert passes("jwt-auth", "allow: [a]", SERVICE)


@pytest.mark.parametrize(
    ("jwks", "message"),
    [
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "in the clear"),
        ({"keys": [PUBLIC | {"d": "c2VjcmV0"}]}, "in the clear"),
        ("not json", "JSON Web Key Set"),
        ("[" * 5000, "JSON Web Key Set"),
        ("x" * (JWKS_LIMIT + 1), "at most"),
        ("$ref{shared_secret}", "in the clear"),
    ],
)
def test_key_sets_that_it_does_not_take(jwks: object, message: str) -> None:
    found = only_fault("jwt-auth", rule(jwks))
    assert found[0] == "consumers[0].jwks"
    assert message in found[1]
    assert "c2VjcmV0" not in found[1]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ("  from_headers:\n  - name: host", "consumers[0].from_headers[0].name"),
        ("  from_params: [a b]", "consumers[0].from_params[0]"),
        ("  from_cookies: ['a;b']", "consumers[0].from_cookies[0]"),
        ("  claims_to_headers:\n  - claim: sub\n    header: authorization", "consumers[0].claims_to_headers[0].header"),
        ("  claims_to_headers:\n  - claim: sub\n    header: x-envoy-peer", "consumers[0].claims_to_headers[0].header"),
        ("  clock_skew_seconds: -1", "consumers[0].clock_skew_seconds"),
        (rule({"keys": [PUBLIC]}).removeprefix("consumers:\n"), "consumers[1].name"),
    ],
)
def test_places_that_it_does_not_take(more: str, path: str) -> None:
    assert only_fault("jwt-auth", rule({"keys": [PUBLIC]}, more))[0] == path


def test_without_an_issuer_or_consumers() -> None:
    assert "“issuer” is missing" in only_fault("jwt-auth", "consumers:\n- name: a\n  jwks: x")[1]
    assert "“consumers” is missing" in only_fault("jwt-auth", "global_auth: true")[1]
