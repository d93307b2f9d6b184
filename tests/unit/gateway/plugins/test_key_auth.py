import pytest

from tests.unit.gateway.plugins.texts import INSTANCE, SERVICE, only_fault, passes, said


def test_the_documented_example() -> None:
    assert passes("key-auth", "credentials: \n# Reference the key named secretName\n- $ref{secretName}\nkeys:\n- apikey\n- x-api-key\n")


def test_the_complete_schema() -> None:
    assert passes(
        "key-auth",
        """
        consumers:
        - name: alice
          credential: $ref{alice}
        - name: bob
          credentials:
          - Bearer $ref{bob}
          - $ref{bob_next}
          keys: [Authorization]
          in_query: false
        keys: [x-api-key]
        in_header: true
        in_query: true
        global_auth: false
        realm: Example Gateway
        """,
    )


@pytest.mark.parametrize("text", ["allow: [alice, bob]", "allow: []"])
def test_who_is_allowed_stands_alone_in_the_rule_of_a_service(text: str) -> None:
    assert passes("key-auth", text, SERVICE)
    assert "has no meaning" in only_fault("key-auth", text, INSTANCE)[1]
    assert "Remove one of the two" in only_fault("key-auth", f"{text}\ncredentials:\n- $ref{{a}}\nkeys: [k]", SERVICE)[1]


def test_global_auth_belongs_to_the_instance() -> None:
    text = "credentials:\n- $ref{a}\nkeys: [k]\nglobal_auth: true"
    assert passes("key-auth", text, INSTANCE)
    assert only_fault("key-auth", text, SERVICE)[0] == "global_auth"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("credentials:\n- $ref{a}\nconsumers:\n- name: b\n  credential: $ref{b}\nkeys: [k]", "credentials", "not both"),
        ("keys: [k]", "", "“consumers” or “credentials”"),
        ("credentials:\n- $ref{a}", "", "“keys” is missing"),
        ("consumers:\n- name: a\n  credential: $ref{a}\n  keys: [k]\n- name: b\n  credential: $ref{b}", "", "“keys” is missing"),
        ("credentials:\n- $ref{a}\nkeys: []", "keys", "at least 1 item"),
        ("credentials: []\nkeys: [k]", "credentials", "at least 1 item"),
        ("credentials: $ref{a}\nkeys: [k]", "credentials", "must be a list"),
        ("credentials:\n- 12345678901234567\nkeys: [k]", "credentials[0]", "must be text"),
        ("credentials:\n-\nkeys: [k]", "credentials[0]", "missing here"),
        ("credentials:\n- abc\nkeys: [k]", "credentials[0]", "in the clear"),
        ("credentials:\n- ''\nkeys: [k]", "credentials[0]", "at least 1 character"),
        ("credentials:\n- $ref{a}\n- $ref{A}\nkeys: [k]", "credentials[1]", "twice"),
        (
            "consumers:\n- name: a\n  credential: $ref{a}\n- name: b\n  credentials: ['$ref{a}']\nkeys: [k]",
            "consumers[1].credentials[0]",
            "twice",
        ),
        ("consumers:\n- name: a\n  credential: $ref{a}\n- name: a\n  credential: $ref{b}\nkeys: [k]", "consumers[1].name", "twice"),
        ("consumers:\n- name: a\nkeys: [k]", "consumers[0]", "“credential” or “credentials”"),
        (
            "consumers:\n- name: a\n  credential: $ref{a}\n  credentials: ['$ref{b}']\nkeys: [k]",
            "consumers[0]",
            "“credential” or “credentials”",
        ),
        ("consumers:\n- credential: $ref{a}\nkeys: [k]", "consumers[0]", "“name” is missing"),
        ("consumers:\n- name: a/b\n  credential: $ref{a}\nkeys: [k]", "consumers[0].name", "may hold only"),
        ("credentials:\n- $ref{a}\nkeys: [k]\nin_header: false\nin_query: false", "", "nowhere"),
        ("credentials:\n- $ref{a}\nkeys: [k]\nin_header: no", "in_header", "true or false"),
        ("credentials:\n- $ref{a}\nkeys: [a b]", "keys[0]", "header name"),
        ("credentials:\n- $ref{a}\nkeys: [host]", "keys[0]", "Choose another"),
        ("credentials:\n- $ref{a}\nkeys: ['a&b']\nin_header: false", "keys[0]", "parameter name"),
        ("credentials:\n- $ref{a}\nkeys: [k, k]", "keys[1]", "twice"),
        ("credentials:\n- $ref{a}\nkeys:\n- $ref{b}", "keys[0]", "no credential"),
        ("credentials:\n- $ref{a}\nkey: [k]\nkeys: [k]", "key", "Did you mean “keys”?"),
        ("credentials:\n- $ref{a}\nkeys: [k]\nx: 1", "x", "Choose from: consumers, credentials"),
        ('credentials:\n- $ref{a}\nkeys: [k]\nrealm: a"b', "realm", "may hold only"),
        ("credentials:\n- $ref{a}\nkeys: [k]\nrealm: $ref{b}", "realm", "no credential"),
    ],
)
def test_what_it_does_not_take(text: str, path: str, message: str) -> None:
    found = only_fault("key-auth", text)
    assert found[0] == path
    assert message in found[1]


def test_a_consumer_with_places_of_its_own_is_judged_by_them() -> None:
    text = "consumers:\n- name: a\n  credential: $ref{a}\n  in_query: false\nkeys: [k]\nin_header: false"
    assert only_fault("key-auth", text) == ("consumers[0]", said("key-auth", text)[0][1])
    assert "nowhere" in said("key-auth", text)[0][1]


def test_no_message_repeats_a_credential() -> None:
    secret = "sk-live-0123456789"
    for text in (f"credentials: {secret}", f"credentials:\n- {secret}", f"consumers:\n- name: {secret}!\n  credential: {secret}\nkeys: 1"):
        assert all(secret not in message for _path, message in said("key-auth", text))
