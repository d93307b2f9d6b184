"""What comes back of a text that was refused: all of it but what should have been a key."""

import pytest

from gateway.plugins import CATALOGUE
from gateway.plugins.withhold import withhold
from tests.effort import at_most, effort
from tests.unit.gateway.plugins.test_reading import HOSTILE

KEY_AUTH, CORS, JWT_AUTH = CATALOGUE["key-auth"], CATALOGUE["cors"], CATALOGUE["jwt-auth"]
SHAPED = "sk-Qz8fJ2mWcXvB7nLpT4yR9kHs"


def shown(text: str) -> str:
    return withhold(KEY_AUTH, text).text


@pytest.mark.parametrize(
    ("typed", "comes_back"),
    [
        ("credentials:\n- hunter2\nkeys: [apikey]\n", 'credentials:\n- "$ref{}"\nkeys: [apikey]\n'),
        ("credentials: ['hunter2', \"$ref{x}\"]\n", 'credentials: ["$ref{}", "$ref{x}"]\n'),
        ("credentials: [12345678]\n", 'credentials: ["$ref{}"]\n'),
        ("consumers:\n- name: a\n  credential: hunter2\n", 'consumers:\n- name: a\n  credential: "$ref{}"\n'),
        ("consumers:\n- name: a\n  credentials: [hunter2]\n", 'consumers:\n- name: a\n  credentials: ["$ref{}"]\n'),
        # One slip away from where it belongs: no space behind the dash or the colon, one level too high or too low.
        ("credentials:\n-hunter2\n", 'credentials:\n-"$ref{}"\n'),
        ("credentials: hunter2\n", 'credentials: "$ref{}"\n'),
        ("credential:hunter2", '"$ref{}"'),
        ("consumers:\n- credential:hunter2\n", 'consumers:\n- "$ref{}"\n'),
        ("credentials:\n- value: hunter2\n", 'credentials:\n- value: "$ref{}"\n'),
        # What cannot be read, before it, behind it or around it
        ("keys: ][\ncredentials:\n- hunter2\n", 'keys: ][\ncredentials:\n- "$ref{}"\n'),
        ("credentials:\n- hunter2\nkeys: [\n", 'credentials:\n- "$ref{}"\nkeys: [\n'),
        ("credentials:\n\t- hunter1\n- hunter2\n", 'credentials:\n\t- "$ref{}"\n- "$ref{}"\n'),
        ("consumers:\n- name: a\n  credential:hunter2\n", 'consumers:\n- name: a\n  credential:"$ref{}"\n'),
        ("consumers:\n- name: a\n  credential: hunter: 2\n", 'consumers:\n- name: a\n  credential: "$ref{}"\n'),
        ("credentials:\n- 'hunter2\nkeys: [a]\n", 'credentials:\n- "$ref{}"\nkeys: [a]\n'),
        ("credentials:\n- @hunter2\nkeys: [a]\n", 'credentials:\n- "$ref{}"\nkeys: [a]\n'),
        ("credentials: [hunter2, hunter3\nkeys: a\n", 'credentials: ["$ref{}", "$ref{}"\n: a\n'),  # “hunter3 keys” is one text there
        ("realm: The one: ours\nkeys:\n", "realm: The one: ours\nkeys:\n"),
        ("credentials:\n- hunter2\nrealm: a\x00b\n", 'credentials:\n- "$ref{}"\nrealm: a\x00b\n'),
        ("? [a, b]\n: c\ncredentials:\n- hunter2\n", '? [a, b]\n: c\ncredentials:\n- "$ref{}"\n'),
        ("realm: *a\ncredentials:\n- hunter2\n", 'realm: *a\ncredentials:\n- "$ref{}"\n'),
        ("credentials:\n- &a hunter2\n", 'credentials:\n- "$ref{}"\n'),
        # At a place that was meant
        ("credental:\n- hunter2\n", 'credental:\n- "$ref{}"\n'),
        ("Consumers:\n- Credential: hunter2\n", 'Consumers:\n- Credential: "$ref{}"\n'),
        ("consumers:\n  name: a\n  credential: hunter2\n", 'consumers:\n  name: a\n  credential: "$ref{}"\n'),
        ("credentials:\n  x: hunter2\n", 'credentials:\n  x: "$ref{}"\n'),
        ("- credentials: hunter2\n", '- credentials: "$ref{}"\n'),
        # By its shape, wherever it stands
        (f"# was {SHAPED}\ncredentials: []\n", "# was $ref{}\ncredentials: []\n"),
        (f"other: {SHAPED}\n", "other: $ref{}\n"),
        (f"{SHAPED}: x\n", "$ref{}: x\n"),
        ("realm: 0b0e8a1f-2d3c-4b5a-9e8d-7c6b5a493827\n", "realm: $ref{}\n"),
        ("realm: a1b2c3d4e5f6a7b8\n", "realm: $ref{}\n"),
    ],
)
def test_a_credential_gives_way_to_an_empty_reference(typed: str, comes_back: str) -> None:
    assert shown(typed) == comes_back


@pytest.mark.parametrize(
    "typed",
    [
        "credentials:\n- $ref{a_key_of_production_2026_11_23}\n- Bearer $ref{x}\nkeys: [apikey, x-api-key]\n",
        "credentials:\n- $ref{a_key_of_production_2026_11_23\n",
        "credentials:\n-\nkeys:\n",
        "realm: Our gateway, reached through x-forwarded-authorization-header\n",
        "consumers:\n- name: a.name@of-somebody.example.com\n",
    ],
)
def test_whatever_else_was_typed_comes_back_as_it_was(typed: str) -> None:
    found = withhold(KEY_AUTH, typed)
    assert (found.text, found.lines) == (typed, ())


def test_a_plugin_that_takes_no_keys_gives_back_what_does_not_look_like_one() -> None:
    assert withhold(CORS, "credentials:\n- hunter2\n").text == "credentials:\n- hunter2\n"
    assert withhold(CORS, f"credentials:\n- {SHAPED}\n").lines == (2,)


PUBLIC = '{"keys": [{"kty": "RSA", "kid": "a1b2c3d4e5f6a7b8c9", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFb", "e": "AQAB"}]}'
PRIVATE = '{"keys": [{"kty": "EC", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "d": "hunter2"}, {"kty":"oct","k":"short"}]}'


def test_of_key_sets_what_is_public_comes_back_and_nothing_else() -> None:
    refused = "consumers:\n- name: a\n  isuer: b\n  jwks: '{}'\n"
    assert withhold(JWT_AUTH, refused.replace("{}", PUBLIC)).lines == ()
    found = withhold(JWT_AUTH, refused.replace("{}", PRIVATE))
    assert found.lines == (4,)
    assert "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU" in found.text
    assert '"d": "$ref{}"' in found.text
    assert '"k":"$ref{}"' in found.text
    escaped = withhold(JWT_AUTH, 'jwks: "' + PRIVATE.replace('"', '\\"') + '"\n').text
    assert "hunter2" not in escaped
    assert "f83OJ3D2" in escaped
    assert "hunter2" not in withhold(JWT_AUTH, "consumers:\n- jwks: {keys: [{kty: oct, k: hunter2}]}\n").text


def test_lines_keep_their_numbers_and_those_that_changed_are_told() -> None:
    typed = f"credentials:\n- |\n  hunter2\n  hunter3\n- 'a\n  b'\nkeys: [a]  # {SHAPED}\n"
    found = withhold(KEY_AUTH, typed)
    assert found.lines == (2, 5, 7)
    assert found.text.count("\n") == typed.count("\n")
    assert "hunter" not in found.text
    assert found.text.splitlines()[6] == "keys: [a]  # $ref{}"


def test_what_it_leaves_is_left_the_second_time_too() -> None:
    once = withhold(KEY_AUTH, f"credentials:\n- hunter2\n- x: {SHAPED}\n# {SHAPED}\n")
    assert withhold(KEY_AUTH, once.text).text == once.text


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_takes_longer_than_a_second(name: str) -> None:
    with at_most(1):
        withhold(KEY_AUTH, HOSTILE[name])


def test_twice_as_long_takes_about_twice_as_long() -> None:
    def takes(text: str) -> float:
        return effort(lambda: withhold(KEY_AUTH, text))

    for piece in ("a" * 16, "1" * 16, "$ref{", "a1+", "sk-", "'", "- x\n", '"k" ', '"n": ['):
        assert takes(piece * 2**15) < 8 * max(takes(piece * 2**13), 0.02), piece
