"""From a key that nothing uses to the form of a service, or of a consumer, that has it chosen."""

import re
from urllib.parse import quote

import pytest

from secrets_app.models import Key, Region
from tests import cast
from tests.unit.console.asking import get, markup, post, text

USE = "/local/keys/openai_prod/use/"


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "openai_prod")


def chosen(page: str) -> tuple[list[str], str]:
    """The generation method, and the key in its field."""
    methods = re.findall(r'name="generation" value="(\w+)"[^>]* checked', page)
    names = re.findall(r'<input[^>]* name="key(?:_0)?"[^>]*', page)
    values = re.findall(r'value="([^"]*)"', "".join(names))
    return methods, "".join(values)


@pytest.mark.parametrize("where", ["", "references/"])
def test_a_key_that_nothing_uses_says_where_to_go(key: Key, where: str) -> None:
    page = markup(get(f"/local/keys/openai_prod/{where}"))
    assert f'href="{USE}"' in page
    assert 'href="/local/consumers/new/?key=openai_prod"' in page
    assert "Use in a service" not in text(get(f"/local/keys/openai_prod/{where}", "kim"))  # she may not


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 302), ("olive", 302), ("kim", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_use_it_and_one_instance_needs_no_question(region: Region, key: Key, who: str, status: int) -> None:
    instance = cast.instance(region, "prod-east")
    answer = get(USE, who, status=status)
    if status == 302:
        assert answer["Location"] == f"/local/instances/{instance.ref}/services/new/?key=openai_prod"


def test_of_several_instances_one_is_chosen(region: Region, key: Key) -> None:
    east, west = cast.instance(region, "prod-east"), cast.instance(region, "prod-west")
    cast.instance(region, "too-old", version="2.1.10")
    cast.instance(Region.create("abroad", "Abroad", by=cast.SETUP), "foreign")
    for page in (get(USE, "olive"), get(USE, "olive", part="panel")):
        assert "prod-east" in text(page)
        assert re.findall(r'class="holder" href="([^"]+)"', markup(page)) == [
            f"/local/instances/{instance.ref}/services/new/?key=openai_prod" for instance in (east, west)
        ]
        assert "too-old" not in text(page)


@pytest.mark.parametrize("version", ["", "2.1.10"])
def test_without_an_instance_that_takes_references_the_page_says_so(region: Region, key: Key, version: str) -> None:
    if version:
        cast.instance(region, "too-old", version=version)
    page = get(USE, "olive")
    assert "No instance here takes a reference to a key" in text(page)
    assert 'href="/local/instances/"' in markup(page)


def test_very_many_instances_are_not_all_listed(region: Region, key: Key) -> None:
    for number in range(52):
        cast.instance(region, f"gateway {number:02}")
    page = get(USE)
    assert len(re.findall(r'class="holder"', markup(page))) == 50
    assert "All instances" in text(page)


@pytest.mark.parametrize("part", ["", "panel"])
def test_the_service_form_comes_with_the_key_chosen(region: Region, key: Key, part: str) -> None:
    instance = cast.instance(region, "prod-east")
    here = f"/local/instances/{instance.ref}/services/new/?key=openai_prod"
    page = markup(get(here, "olive", part=part))
    assert chosen(page) == (["reference"], "openai_prod")
    data = {
        "source": "ai", "name": "chat", "supplier": "custom", "protocol": "OpenAI/v1", "address": "https://api.example.com/v1",
        "generation": "reference", "key_0": "openai_prod",
    }  # fmt: skip
    post(here, data, "olive")
    assert key.references.get().holder_kind == "ai_service"


def test_the_consumer_form_comes_with_the_key_chosen(key: Key) -> None:
    assert chosen(markup(get("/local/consumers/new/?key=openai_prod", "olive"))) == (["reference"], "openai_prod")


def test_an_instance_without_references_offers_none(region: Region, key: Key) -> None:
    instance = cast.instance(region, "too-old", version="2.1.10")
    methods, _name = chosen(markup(get(f"/local/instances/{instance.ref}/services/new/?key=openai_prod")))
    assert methods == ["custom"]


@pytest.mark.parametrize("name", ["", "nobody", "x" * 5000, "<script>alert(1)</script>", "openai_prod\x00", "²"])
def test_a_strange_key_in_the_address_is_only_text_in_the_field(region: Region, key: Key, name: str) -> None:
    instance = cast.instance(region, "prod-east")
    for path in (f"/local/instances/{instance.ref}/services/new/", "/local/consumers/new/"):
        answer = get(f"{path}?key={quote(name)}", "olive", status=400 if "\x00" in name else 200)
        assert "<script>alert" not in markup(answer)
        assert f'value="{"x" * 65}' not in markup(answer)


def test_a_key_of_another_region_is_not_there(region: Region, key: Key) -> None:
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    cast.key(abroad, "foreign")
    get("/local/keys/foreign/use/", status=404)
