import pytest

from tests.unit.gateway.plugins.texts import SERVICE, only_fault, passes


def test_a_user_name_and_a_key_or_a_key_that_holds_both() -> None:
    assert passes(
        "basic-auth",
        "consumers:\n- name: alice\n  credential: alice:$ref{a}\n- name: bob\n  credential: $ref{bob_and_password}\nglobal_auth: true",
    )
    assert passes("basic-auth", "allow: []", SERVICE)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("consumers:\n- name: a\n  credential: a:secret", "consumers[0].credential", "in the clear"),
        ("consumers:\n- name: a\n  credential: Basic $ref{a}", "consumers[0].credential", "a colon and the reference"),
        ("consumers:\n- name: a\n  credential: :$ref{a}", "consumers[0].credential", "a colon and the reference"),
        ("consumers:\n- name: a\n  credential: $ref{a}:x", "consumers[0].credential", "a colon and the reference"),
        ("consumers:\n- name: a\n  credential: u:$ref{a}\n- name: b\n  credential: u:$ref{b}", "consumers[1].credential", "twice"),
        ("consumers:\n- name: a\n  credential: $ref{a}\n- name: b\n  credential: $ref{A}", "consumers[1].credential", "twice"),
        ("consumers:\n- name: a\n  credential: a:$ref{a}\n- name: a\n  credential: b:$ref{b}", "consumers[1].name", "twice"),
        ("consumers:\n- name: a", "consumers[0]", "“credential” is missing"),
        ("global_auth: true", "", "“consumers” is missing"),
        ("consumers: []", "consumers", "at least 1 item"),
    ],
)
def test_what_it_does_not_take(text: str, path: str, message: str) -> None:
    found = only_fault("basic-auth", text)
    assert found[0] == path
    assert message in found[1]
