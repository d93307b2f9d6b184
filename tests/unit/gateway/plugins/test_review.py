"""What an editor is told of a text: everything, at once, without an error."""

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from gateway.models import Instance, Rule
from gateway.plugins.review import Review
from secrets_app.models import Region
from tests import cast


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region, "east")


def review(instance: Instance, text: str, plugin: str = "key-auth") -> Review:
    return Rule.review(cast.plugin(instance, plugin), None, text, by=cast.SETUP)


def test_references_come_in_the_order_of_the_text_with_what_they_are(instance: Instance) -> None:
    cast.key(instance.region, "a")
    cast.key(instance.region, "off").disable(by=cast.SETUP)
    found = review(instance, "credentials:\n- $ref{a}\n- Bearer $ref{off}\n- $ref{nobody}\nkeys: [k]\n")
    assert [(one.name, one.path, one.line, one.column, one.known, one.enabled, one.inbound) for one in found.mentions] == [
        ("a", "credentials[0]", 2, 3, True, True, True),
        ("off", "credentials[1]", 3, 10, True, False, True),
        ("nobody", "credentials[2]", 4, 3, False, False, True),
    ]
    assert [(fault.line, fault.path) for fault in found.faults] == [(3, "credentials[1]"), (4, "credentials[2]")]
    assert not found.passes


def test_a_text_that_passes(instance: Instance) -> None:
    found = review(instance, cast.key_auth(cast.key(instance.region)))
    assert found.passes
    assert found.faults == ()


def test_references_are_listed_also_where_the_text_cannot_be_read(instance: Instance) -> None:
    cast.key(instance.region, "a")
    found = review(instance, "credentials:\n- $ref{a}\nkeys: [\n")
    assert [one.name for one in found.mentions] == ["a"]
    assert found.faults


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("secretNam", "secretName"),
        ("secretname_", "secretName"),
        ("sectretName", "secretName"),
        ("ecretName", "secretName"),
        ("secret_Name", "secretName"),
        ("openai_pord", "openai_prod"),
        ("x", ""),
        ("completely_else", ""),
    ],
)
def test_a_slip_is_told_with_the_name_that_was_meant(instance: Instance, typed: str, meant: str) -> None:
    for name in ("secretName", "openai_prod", "billing"):
        cast.key(instance.region, name)
    [fault] = review(instance, f"credentials:\n- $ref{{{typed}}}\nkeys: [k]\n").faults
    assert fault.message == f"No key is named “{typed}” in this region." + (f" Did you mean “{meant}”?" if meant else "")


def test_a_name_of_another_case_is_the_same_key(instance: Instance) -> None:
    cast.key(instance.region, "secretName")
    assert review(instance, "credentials:\n- $ref{SECRETNAME}\nkeys: [k]\n").passes


def test_queries_do_not_grow_with_the_text(instance: Instance, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    plugin = cast.plugin(instance)
    keys = [cast.key(instance.region) for _ in range(12)]
    for number in (1, 12):
        text = cast.key_auth(*keys[:number])
        with django_assert_num_queries(3):  # keys, versions, and the ports of nodes
            assert Rule.review(plugin, None, text, by=cast.SETUP).passes
    unknown = "credentials:\n" + "".join(f"- $ref{{unknown_{n}}}\n" for n in range(10)) + "keys: [k]\n"
    with django_assert_num_queries(5):
        assert len(Rule.review(plugin, None, unknown, by=cast.SETUP).faults) == 10


def test_a_path_too_long_for_a_reference_is_told(instance: Instance) -> None:
    cast.key(instance.region, "a")
    text = "http_service:\n  endpoint:\n    address: https://a.example.com\n  authorization_request:\n    headers_to_add:\n"
    found = review(instance, f"{text}      {'x' * 170}: $ref{{a}}\n", "ext-auth")
    assert "too long" in " ".join(fault.message for fault in found.faults)
    assert not found.passes


def test_a_text_of_the_wrong_shape_never_raises(instance: Instance) -> None:
    for text in ("", "[", "a: " + "[" * 100, "\0", "a: &x [*x]", "- $ref{", "$ref{a}: b", "x" * 70_000, "{}", "null"):
        assert review(instance, text).faults
