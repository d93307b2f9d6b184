"""Creating an AI service: its supplier, its address, and the keys it shows there."""

import re
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.models import Instance, Service
from secrets_app.models import AuditEntry, Key, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text
from tests.unit.console.hostile import HOSTILE


@pytest.fixture
def east(region: Region) -> Instance:
    return cast.instance(region, "east")


def new(instance: Instance) -> str:
    return f"/local/instances/{instance.ref}/services/new/"


def given(**fields: Any) -> dict[str, Any]:
    """A service that refers to the key "openai_prod"; `generation` and more may be given."""
    return {
        "source": "ai",
        "name": "chat",
        "supplier": "custom",
        "protocol": "OpenAI/v1",
        "address": "https://api.example.com/v1",
        "generation": "reference",
        "key_0": "openai_prod",
        "value_0": "",
        "once": uuid.uuid4(),
        **fields,
    }


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("olive", 200), ("kim", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_create_services(east: Instance, who: str, status: int) -> None:
    cast.key(east.region, "openai_prod")
    for path in (new(east), f"{new(east)}preset/?supplier=openai", f"{new(east)}key-row/?kind=key&row=0"):
        get(path, who, status=status)
    post(new(east), given(), who, status=303 if status == 200 else 403)
    assert Service.objects.count() == (1 if status == 200 else 0)


def test_the_form_asks_in_the_documented_words(east: Instance) -> None:
    said = text(get(new(east)))
    for words in (
        "Create Service",
        "Service Source AI Services Large models behind one address Agent Services",
        "Service name",
        "Large Model Configuration Large model supplier",
        "Model protocol",
        "Service address",
        "Generation method Custom Reference Key",
        "API Key",
    ):
        assert words in said
    assert "<html" not in markup(get(new(east), part="panel"))


def test_a_service_with_a_reference_key(east: Instance) -> None:
    key = cast.key(east.region, "openai_prod")
    answer = post(new(east), given(), "olive")
    assert answer.headers["Location"] == f"/local/instances/{east.ref}/services/chat/"
    service = Service.objects.get()
    assert (service.name, service.address, service.consumer_authentication) == ("chat", "https://api.example.com/v1", True)
    assert [use.key for use in service.uses] == [key]
    assert AuditEntry.objects.latest("seq").facts["keys"] == ["openai_prod"]
    assert (
        f'"path": "/local/instances/{east.ref}/services/other/"'
        in post(new(east), given(name="other"), part="sheet", status=204).headers["HX-Location"]
    )


def test_the_same_post_again_leads_to_the_service(east: Instance) -> None:
    cast.key(east.region, "openai_prod")
    data = given()
    post(new(east), data)
    assert post(new(east), data).headers["Location"] == f"/local/instances/{east.ref}/services/chat/"
    assert Service.objects.count() == 1


def test_several_keys_in_the_order_of_the_rows_without_the_empty_ones(east: Instance) -> None:
    for name in ("one", "two", "three"):
        cast.key(east.region, name)
    post(new(east), given(key_0="two", key_1="", key_3="one", key_11="three"))
    assert [use.key.name for use in Service.objects.get().uses] == ["two", "one", "three"]


def test_values_of_its_own_are_kept_and_never_rendered(east: Instance) -> None:
    post(new(east), given(generation="custom", value_0=CANARY, value_1=CANARY + "2"), "olive")
    assert [use.key.is_inline for use in Service.objects.get().uses] == [True, True]
    here = f"/local/instances/{east.ref}/services/"
    for path in (here, f"{here}chat/", f"{here}chat/edit/"):
        assert_silent(get(path), CANARY)


@pytest.mark.parametrize("generation", ["custom", "reference"])
def test_all_that_is_missing_is_told_at_once(east: Instance, generation: str) -> None:
    said = text(post(new(east), given(name="", supplier="", address="", generation=generation, key_0=""), status=422))
    for missing in ("Enter a name for the service", "Choose a supplier", "at least one API key"):
        assert missing in said


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"name": ""}, "name", "Enter a name for the service"),
        ({"name": "Chat"}, "name", "lower-case letters"),
        ({"supplier": ""}, "supplier", "Choose a supplier"),
        ({"supplier": "nobody"}, "supplier", "Choose one of those listed"),
        ({"protocol": "native"}, "protocol", "does not speak the chosen protocol"),
        ({"protocol": "soap"}, "protocol", "Choose one of those listed"),
        ({"address": "api.example.com"}, "address", "begins with https://"),
        ({"address": "https://user:secret@api.example.com"}, "address", "must not hold a user name or password"),
        ({"address": "http://localhost:8000/v1"}, "address", "own address"),
        ({"address": ""}, "address", "has no address of its own"),
        ({"generation": "magic"}, "generation_0", "Choose one of those listed"),
        ({"generation": "custom"}, "value_0", "at least one API key"),
        ({"generation": "custom", "value_1": "$ref{openai_prod}"}, "value_1", "Choose Reference Key instead"),
        ({"generation": "custom", "value_0": CANARY, "value_7": "two\nlines"}, "value_7", "cannot travel in an HTTP header"),
        ({"key_0": ""}, "key_0", "at least one API key"),
        ({"key_0": "nobody"}, "key_0", "No key is named “nobody”"),
        ({"key_4": "off"}, "key_4", "This key is disabled"),
        ({"key_4": "openai_prod"}, "key_4", "chosen twice"),
    ],
)
def test_what_is_wrong_is_told_at_its_own_field(east: Instance, wrong: dict[str, str], field: str, said: str) -> None:
    cast.key(east.region, "openai_prod")
    cast.key(east.region, "off").disable(by=cast.SETUP)
    answer = post(new(east), given(**wrong), status=422)
    page = markup(answer)
    assert said in text(answer)
    assert f'<a href="#id_{field}">' in page
    assert_silent(answer, CANARY)
    assert not Service.objects.exists()
    if "name" not in wrong:
        assert 'value="chat"' in page  # what else was typed is kept


def test_an_address_left_empty_is_the_suppliers_own(east: Instance) -> None:
    cast.key(east.region, "openai_prod")
    post(new(east), given(supplier="openai", address=""))
    post(new(east), given(name="gemini", supplier="gemini", protocol="native", address=""))
    assert Service.objects.get(name="chat").address == "https://api.openai.com/v1"
    assert Service.objects.get(name="gemini").address == "https://generativelanguage.googleapis.com/v1beta"


def test_a_key_is_not_sent_to_an_address_left_over_from_another_choice(east: Instance) -> None:
    cast.key(east.region, "openai_prod")
    answer = post(new(east), given(supplier="claude", address="https://api.openai.com/v1"), status=422)
    assert "This is the address of OpenAI." in text(answer)
    post(new(east), given(address="https://api.openai.com/v1"))  # a supplier without an address of its own may have any


def test_azure_takes_exactly_one(east: Instance) -> None:
    azure = {"supplier": "azure", "address": "https://mine.openai.azure.com/openai/v1", "generation": "custom"}
    assert "exactly 1 API key" in text(post(new(east), given(**azure, value_0=CANARY, value_1="another"), status=422))
    post(new(east), given(**azure, value_0=CANARY))


def test_on_an_old_instance_references_are_off_and_say_why(region: Region) -> None:
    old = cast.instance(region, "old", version="2.1.10")
    cast.key(region, "openai_prod")
    page = markup(get(new(old)))
    assert 'value="reference" id="id_generation_1" disabled' in page
    assert 'value="custom" id="id_generation_0" checked' in page
    assert "Key references need version 2.1.11 or later; this instance has 2.1.10." in text(get(new(old)))
    answer = post(new(old), given(), status=422)
    assert "Choose Custom, or another instance" in text(answer)
    assert '<a href="#id_generation_0">' in markup(answer)
    post(new(old), given(generation="custom", value_0=CANARY))


def rows(answer: Any) -> list[str]:
    return re.findall(r'<input[^>]* name="((?:key|value)_[^"]*)"', markup(answer))


def test_without_javascript_the_server_adds_and_removes_rows(east: Instance) -> None:
    answer = post(new(east), given(generation="custom", value_0=CANARY, add_row="value"), status=200)
    assert rows(answer) == ["value_0", "value_1", "key_0"]
    assert_silent(answer, CANARY)
    answer = post(new(east), given(key_0="one", key_1="two", key_2="three", add_row="key"), status=200)
    assert rows(answer) == ["value_0", "key_0", "key_1", "key_2", "key_3"]
    answer = post(new(east), given(key_0="one", key_1="two", key_2="three", remove_row="key_1"), status=200)
    assert rows(answer) == ["value_0", "key_0", "key_2"]
    page = markup(answer)
    assert 'value="one"' in page
    assert 'value="three"' in page
    assert 'value="two"' not in page
    assert 'value="chat"' in page
    assert "There is a problem" not in page
    assert rows(post(new(east), given(remove_row="key_0"), status=200)) == ["value_0", "key_0"]  # one always stays
    for strange in ({"remove_row": "x"}, {"remove_row": "key_999"}, {"add_row": "<script>"}, {"add_row": "key", "remove_row": "key_0"}):
        post(new(east), given(**strange), status=200)
    assert not Service.objects.exists()


@pytest.mark.parametrize("digit", ["²", "٣", "３", "①", "𝟛", "५", "1_0", "+1", " 1", "1" * 500, ""])
def test_only_plain_digits_number_a_row(east: Instance, digit: str) -> None:
    """Others are digits to Python as well, and not all of them numbers."""
    two = given(key_1="b", **{f"key_{digit}": "c"})
    for asked in ({"remove_row": f"key_{digit}"}, {"add_row": f"key_{digit}"}):
        answer = post(new(east), two | asked, status=200)
        assert rows(answer) == ["value_0", "key_0", "key_1"]
    post(new(east), two | {"generation": "custom", f"value_{digit}": "x"}, status=422)
    get(f"{new(east)}key-row/", "alice", status=200)
    assert 'name="key_1"' in markup(get(f"{new(east)}key-row/?{urlencode({'kind': 'key', 'row': digit})}", part="key-rows"))


def test_with_javascript_one_row_comes_alone(east: Instance) -> None:
    row = markup(get(f"{new(east)}key-row/?kind=key&row=0&row=4", part="key-rows"))
    assert 'name="key_5"' in row
    assert "API Key 3" in row
    assert 'name="value_1"' in markup(get(f"{new(east)}key-row/?kind=value&row=0"))
    assert get(f"{new(east)}key-row/?kind=key&" + "&".join(f"row={n}" for n in range(20)), status=204).content == b""
    for strange in ("", "?kind=x&row=y", "?row=" + "9" * 400, "?row=-1", "?row=%00"):
        assert cast.client("alice").get(f"{new(east)}key-row/{strange}").status_code in (200, 400)


def test_more_keys_than_a_service_takes_are_refused(east: Instance) -> None:
    cast.key(east.region, "openai_prod")
    many = {f"value_{n}": f"{CANARY}{n}" for n in range(60)}
    assert "at most 20 API keys" in text(post(new(east), given(generation="custom", **many), status=422))


def test_a_supplier_fills_protocol_and_address(east: Instance) -> None:
    page = markup(get(f"{new(east)}preset/?supplier=claude&protocol=OpenAI/v1&address="))
    assert 'value="https://api.anthropic.com/v1"' in page
    assert 'value="native"' in page
    assert 'value="native"' not in markup(get(f"{new(east)}preset/?supplier=openai"))
    kept = markup(get(f"{new(east)}preset/?supplier=claude&address=https://my.proxy.example/v1"))
    assert "https://my.proxy.example/v1" in kept  # nobody's preset: it was typed
    moved = markup(get(f"{new(east)}preset/?supplier=openai&address=https://api.anthropic.com/v1"))
    assert 'value="https://api.openai.com/v1"' in moved
    azure = markup(get(f"{new(east)}preset/?supplier=azure&address=https://api.anthropic.com/v1"))
    assert "anthropic" not in azure
    assert "openai.azure.com" in azure
    for strange in ("", "?supplier=<x>", "?supplier=openai&protocol=%F0%9F%94%91&address=" + "x" * 3000, "?address=http://["):
        get(f"{new(east)}preset/{strange}")


def test_an_address_without_encryption_is_warned_of(east: Instance) -> None:
    assert "The key travels in clear." in text(get(f"{new(east)}preset/?supplier=custom&address=http://10.0.0.7/v1"))
    assert "in clear" not in text(get(f"{new(east)}preset/?supplier=custom&address=http://localhost:11434/v1"))
    cast.service(east, "internal", address="http://10.0.0.7/v1")
    assert "The key travels in clear." in text(get(f"/local/instances/{east.ref}/services/internal/"))


def test_the_instance_may_be_gone_by_then(east: Instance) -> None:
    east.delete(by=cast.SETUP)
    post(new(east), given(), status=404)


@pytest.mark.parametrize(
    "field", ["name", "supplier", "protocol", "address", "generation", "value_0", "key_0", "source", "once", "row", "lock_version"]
)
def test_nothing_typed_anywhere_breaks_the_page(east: Instance, field: str) -> None:
    cast.key(east.region, "openai_prod")
    client = cast.client("olive")
    chosen = {"generation": "custom"} if field == "value_0" else {}
    for typed in HOSTILE:
        answer = client.post(new(east), given(**chosen) | {field: typed})
        assert answer.status_code in (303, 422), (field, typed[:40], answer.status_code)
        for service in Service.objects.all():
            service.delete(by=cast.SETUP)
    assert Key.objects.filter(name=None).count() == 0
