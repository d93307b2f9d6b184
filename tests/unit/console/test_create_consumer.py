"""Creating a consumer: with a key it refers to, a value of its own, or a generated one that is shown once."""

import re
import uuid
from typing import Any

import pytest

from console.models import Session
from gateway.models import Consumer
from gateway.sources import BEARER, Source
from secrets_app.models import AuditEntry, Key, Reference, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text
from tests.unit.console.hostile import HOSTILE

NEW = "/local/consumers/new/"


def given(**fields: Any) -> dict[str, Any]:
    """A consumer that refers to the key "partner"; `generation` and more may be given."""
    return {
        "name": "acme",
        "generation": "reference",
        "key": "partner",
        "source_kind": "bearer",
        "state": "enabled",
        "description": "Acme Inc.",
        "once": uuid.uuid4(),
        **fields,
    }


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("olive", 200), ("kim", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_create_consumers(region: Region, who: str, status: int) -> None:
    cast.key(region, "partner")
    get(NEW, who, status=status)
    post(NEW, given(), who, status=303 if status == 200 else 403)
    assert Consumer.objects.count() == (1 if status == 200 else 0)


def test_the_form_asks_in_the_documented_words(region: Region) -> None:
    page = text(get(NEW))
    for label in ("Consumer name", "Status", "Description", "Authentication method", "Generation method", "Bind Key", "Credential source"):
        assert label in page
    for option in ("API Key", "System-generated", "Custom", "Reference Key", "Authorization: Bearer", "Custom HTTP header"):
        assert option in page
    for label in ("JWT", "Key type", "JWKS", "Token position", "Token key", "Token prefix", "Pass the token through", "Identity claim"):
        assert label in page
    assert markup(get(NEW)).count('class="branch"') == 13  # every branch of every choice, whatever is chosen


def test_a_key_bound_is_one_reference(region: Region) -> None:
    key = cast.key(region, "partner")
    answer = post(NEW, given(), "olive")
    assert answer.headers["Location"] == "/local/consumers/acme/"
    consumer = Consumer.objects.get()
    assert (consumer.name, consumer.description, consumer.enabled, consumer.sources) == ("acme", "Acme Inc.", True, (BEARER,))
    assert consumer.credentials.get().reference.key == key
    assert (AuditEntry.objects.latest("seq").action, AuditEntry.objects.latest("seq").facts["key"]) == ("consumer.create", "partner")


def test_htmx_is_led_to_the_consumer_too(region: Region) -> None:
    cast.key(region, "partner")
    answer = post(NEW, given(), part="sheet", status=204)
    assert '"path": "/local/consumers/acme/"' in answer.headers["HX-Location"]


def test_a_part_for_the_panel_is_the_same_form_without_the_page(region: Region) -> None:
    part = markup(get(NEW, part="panel"))
    assert "<html" not in part
    assert 'id="sheet"' in part


@pytest.mark.parametrize("part", ["", "sheet"])
def test_a_generated_value_stands_in_one_answer_and_nowhere_else(region: Region, part: str) -> None:
    answer = post(NEW, given(generation="system", key=""), "olive", part=part, status=200)
    [value] = re.findall(r"lk_[0-9A-Za-z]{43}", answer.content.decode())
    assert answer.headers["Cache-Control"] == "no-store"
    assert_silent(get("/local/consumers/acme/", "olive"), value)
    assert not any(value in str(session.get_decoded()) for session in Session.objects.all())
    assert value not in str(list(AuditEntry.objects.values()))


def test_the_same_post_again_shows_no_value_again(region: Region) -> None:
    data = given(generation="system", key="")
    post(NEW, data, status=200)
    answer = post(NEW, data, status=409)
    assert "already done" in text(answer)
    assert "lk_" not in answer.content.decode()
    assert 'href="/local/consumers/acme/"' in markup(answer)
    assert Consumer.objects.count() == 1


def test_the_same_post_again_without_a_value_leads_to_the_consumer(region: Region) -> None:
    cast.key(region, "partner")
    data = given()
    post(NEW, data)
    assert post(NEW, data).headers["Location"] == "/local/consumers/acme/"
    assert Consumer.objects.count() == 1


def test_a_custom_value_is_kept_and_never_rendered(region: Region) -> None:
    post(NEW, given(generation="custom", value=CANARY), "olive")
    assert Consumer.objects.get().credentials.get().reference.key.is_inline
    for path in ("/local/consumers/", "/local/consumers/acme/", "/local/consumers/acme/edit/"):
        assert_silent(get(path), CANARY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Acme Partner"},
        {"source_kind": "header", "header": "cookie"},
        {"source_kind": "query", "parameter": "a b"},
        {"source_kind": "elsewhere"},
        {"state": "maybe"},
        {"description": "x" * 501},
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_the_rest_is_kept_but_the_value(region: Region, wrong: dict[str, str]) -> None:
    answer = post(NEW, given(generation="custom", value=CANARY, **wrong), status=422)
    page = markup(answer)
    assert "There is a problem" in page
    assert 'aria-invalid="true"' in page or 'class="error"' in page
    assert "<title>Error:" in page
    if "name" not in wrong:
        assert 'value="acme"' in page
    assert not Consumer.objects.exists()
    assert not Key.objects.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody", "No key is named “nobody”"),
        ("", "Choose a key."),
        ("off", "This key is disabled"),
        ("short", "at least 16 characters"),
        ("lines", "cannot travel in an HTTP header"),
        ("taken", "A consumer in this region uses the same value"),
        ("foreign", "No key is named “foreign”"),
    ],
)
def test_a_key_that_cannot_be_bound_is_refused_at_the_picker(region: Region, name: str, said: str) -> None:
    cast.key(region, "off").disable(by=cast.SETUP)
    cast.key(region, "short", text="short")
    cast.key(region, "lines", text="two\nlines of a private key")
    cast.consumer(region, "first", bound_to=cast.key(region, "taken"))
    cast.key(Region.create("other", "Other", by=cast.SETUP), "foreign")
    page = markup(post(NEW, given(key=name), status=422))
    assert said in page
    assert 'aria-describedby="id_key-error' in page
    assert '<a href="#id_key">' in page
    assert Consumer.objects.count() == 1


def test_a_value_that_is_a_reference_is_sent_to_the_other_method(region: Region) -> None:
    answer = post(NEW, given(generation="custom", value="$ref{partner}"), status=422)
    assert "Choose Reference Key instead" in text(answer)
    assert "$ref{partner}" not in answer.content.decode()


def test_only_the_chosen_branches_are_read(region: Region) -> None:
    cast.key(region, "partner")
    post(NEW, given(value="short", header="co okie", parameter="&&"))
    assert Consumer.objects.get().sources == (BEARER,)
    assert Reference.objects.get().key.name == "partner"


@pytest.mark.parametrize(
    ("kind", "field", "typed", "source"),
    [
        ("header", "header", "X-Api-Key", Source("header", "x-api-key")),
        ("query", "parameter", "Api_Key", Source("query", "Api_Key")),
    ],
)
def test_the_source_is_kept(region: Region, kind: str, field: str, typed: str, source: Source) -> None:
    post(NEW, given(generation="custom", value=CANARY, source_kind=kind, **{field: typed}))
    assert Consumer.objects.get().sources == (source,)


def test_a_consumer_may_be_born_disabled(region: Region) -> None:
    cast.key(region, "partner")
    post(NEW, given(state="disabled"))
    assert not Consumer.objects.get().enabled


def test_a_dropped_line_end_is_said(region: Region) -> None:
    client = cast.client("olive")
    client.post(NEW, given(generation="custom", value="a value with a line end\r\n"))
    page = client.get("/local/consumers/acme/")
    assert "A line end at the end of the value was dropped." in text(page)  # type: ignore[arg-type]


def test_a_link_may_name_the_key(region: Region) -> None:
    cast.key(region, "partner")
    page = markup(get(f"{NEW}?key=partner"))
    assert 'value="partner"' in page
    assert "Version 1" in page


def test_without_the_keyring_nothing_is_lost_but_the_value(region: Region, settings: Any, tmp_path: Any) -> None:
    settings.DATA_DIR = tmp_path
    answer = post(NEW, given(generation="custom", value=CANARY), status=503)
    assert 'value="acme"' in markup(answer)
    assert not Consumer.objects.exists()


def test_binding_shows_what_it_would_mean(region: Region) -> None:
    key = cast.key(region, "openai_prod")
    gateway = cast.instance(region)
    cast.service(gateway, keys=[key])
    cast.service(gateway, keys=[key])
    said = text(get(f"{NEW}bind-summary/?key=openai_prod", "olive"))
    assert "Version 1" in said
    assert "2 services already send this key upstream" in said
    assert "No key is named “nobody”" in text(get(f"{NEW}bind-summary/?key=nobody"))
    assert text(get(f"{NEW}bind-summary/")) == ""
    cast.key(region, "short", text="short")
    assert "too short for a consumer" in text(get(f"{NEW}bind-summary/?key=short"))
    cast.key(region, "lines", text="two\nlines")
    assert "cannot travel in an HTTP header" in text(get(f"{NEW}bind-summary/?key=lines"))
    key.disable(by=cast.SETUP)
    assert "This key is disabled" in text(get(f"{NEW}bind-summary/?key=openai_prod"))


@pytest.mark.parametrize(
    "field", ["name", "value", "key", "header", "parameter", "description", "generation", "source_kind", "state", "once"]
)
def test_nothing_typed_anywhere_breaks_the_page(region: Region, field: str) -> None:
    client = cast.client("olive")
    chosen = {
        "value": {"generation": "custom"},
        "header": {"source_kind": "header"},
        "parameter": {"source_kind": "query"},
    }.get(field, {})
    for text_ in HOSTILE:
        answer = client.post(NEW, given(**chosen) | {field: text_})
        assert answer.status_code in (200, 303, 409, 422), (field, text_[:40], answer.status_code)
