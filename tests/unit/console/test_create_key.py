"""Creating a key: pasted or generated, shown once, refused in words, and never rendered again."""

import re
import uuid
from typing import Any

import pytest
from django.conf import settings

from console.models import Session
from secrets_app import keyring
from secrets_app.models import AuditEntry, Key, KmsInstance, MasterKey, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text

NEW = "/local/keys/new/"


def given(**fields: Any) -> dict[str, Any]:
    return {"name": "openai_prod", "description": "Production", "generation": "custom", "value": CANARY, "once": uuid.uuid4(), **fields}


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_create_keys(region: Region, who: str, status: int) -> None:
    get(NEW, who, status=status)
    get("/local/keys/new/name/?name=x", who, status=status)
    post(NEW, given(), who, status=303 if status == 200 else 403)
    assert Key.objects.count() == (1 if status == 200 else 0)


def test_the_form_asks_in_the_documented_words(region: Region) -> None:
    page = markup(get(NEW))
    for label in ("Key name", "Description", "Generation method", "Key content"):
        assert label in page
    assert "Storage: KMS instance Built-in, master key Default" in text(get(NEW))
    assert page.count('class="branch"') == 5


def test_a_pasted_value_leads_to_the_keys_page(region: Region) -> None:
    answer = post(NEW, given(), "kim")
    assert answer.headers["Location"] == "/local/keys/openai_prod/"
    key = Key.objects.get()
    assert (key.name, key.description, key.created_by) == ("openai_prod", "Production", "kim")
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.target, entry.facts["generated"], entry.facts["trimmed"]) == ("key.create", "openai_prod", False, False)
    assert_silent(get("/local/keys/openai_prod/"), CANARY)


def test_htmx_is_led_there_too(region: Region) -> None:
    answer = post(NEW, given(), part="sheet", status=204)
    assert '"path": "/local/keys/openai_prod/"' in answer.headers["HX-Location"]


@pytest.mark.parametrize("value", ["Bearer sk-0123456789abcdef", '"sk-0123456789abcdef"', "OPENAI_API_KEY=sk-0123456789", "'quoted' \n"])
def test_a_value_that_looks_like_more_than_the_value_is_asked_about(region: Region, value: str) -> None:
    client = cast.client("kim")
    client.post(NEW, given(value=value))
    page = client.get("/local/keys/openai_prod/")
    assert "If that is no part of it, rotate the key." in text(page)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["sk-0123456789abcdef==", '{"type": "service_account"}', "bearer_of_news", "x=1", "it's"])
def test_other_values_are_taken_as_they_are(region: Region, value: str) -> None:
    client = cast.client("kim")
    client.post(NEW, given(value=value))
    assert "If that is no part of it" not in text(client.get("/local/keys/openai_prod/"))  # type: ignore[arg-type]


def test_a_reference_is_no_value(region: Region) -> None:
    answer = post(NEW, given(value="$ref{other}"), status=422)
    assert "This looks like a reference to a key." in text(answer)
    assert not Key.objects.exists()


def test_a_dropped_line_end_is_said(region: Region) -> None:
    client = cast.client("kim")
    client.post(NEW, given(value="a value with a line end\r\n"))
    page = client.get("/local/keys/openai_prod/")
    assert "Key openai_prod was created. A line end at the end of the value was dropped." in text(page)  # type: ignore[arg-type]
    assert AuditEntry.objects.latest("seq").facts["trimmed"]


@pytest.mark.parametrize("part", ["", "sheet"])
def test_a_generated_value_stands_in_one_answer_and_nowhere_else(region: Region, part: str) -> None:
    answer = post(NEW, given(generation="system", value=""), "kim", part=part, status=200)
    found = re.findall(r"lk_[0-9A-Za-z]{43}", answer.content.decode())
    assert len(found) == 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert f'<textarea class="input mono" id="once-value" rows="1" readonly autocomplete="off" spellcheck="false">{found[0]}' in markup(
        answer
    )
    assert 'data-name="OPENAI_PROD"' in markup(answer)
    assert_silent(get("/local/keys/openai_prod/", "kim"), found[0])
    assert not any(found[0] in session.session_data or found[0] in str(session.get_decoded()) for session in Session.objects.all())
    assert AuditEntry.objects.latest("seq").facts["generated"]
    assert found[0] not in str(list(AuditEntry.objects.values()))


def test_only_the_chosen_branch_is_read(region: Region) -> None:
    answer = post(NEW, given(generation="system", value="x" * 70_000), status=200)
    assert "lk_" in answer.content.decode()


def test_the_same_post_twice_makes_one_key(region: Region) -> None:
    twice = given()
    post(NEW, twice)
    assert post(NEW, twice).headers["Location"] == "/local/keys/openai_prod/"
    assert Key.objects.count() == 1


def test_a_generated_value_is_not_shown_twice(region: Region) -> None:
    twice = given(generation="system", value="")
    first = post(NEW, twice, status=200)
    value = re.findall(r"lk_[0-9A-Za-z]{43}", first.content.decode())[0]
    again = post(NEW, twice, status=409)
    assert_silent(again, value)
    assert "is not shown again" in text(again)
    assert 'href="/local/keys/openai_prod/"' in markup(again)
    assert Key.objects.count() == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "Enter a name for the key."),
    ({"name": "open ai"}, "Use 1 to 64 letters, digits and underscores."),
    ({"name": " openai"}, "Use 1 to 64 letters, digits and underscores."),
    ({"name": "ключ"}, "Use 1 to 64 letters, digits and underscores."),
    ({"name": "x" * 65}, "Use 1 to 64 letters, digits and underscores."),
    ({"name": "\u202eabc"}, "Use 1 to 64 letters, digits and underscores."),
    ({"name": "new"}, "This word is an address of the console."),
    ({"name": "TAKEN"}, "A key with this name exists in the region."),
    ({"description": "x" * 501}, "at most 500 characters"),
    ({"description": "a\0b"}, "Null characters are not allowed."),
    ({"generation": "reference"}, "Choose one of those listed."),
    ({"generation": CANARY}, "Choose one of those listed."),
    ({"generation": ""}, "Choose one of the generation methods listed."),
    ({"value": ""}, "Enter the key content."),
    ({"value": "\n"}, "The value is empty."),
    ({"value": CANARY + "\0"}, "The value holds a NUL character."),
    ({"value": CANARY + "x" * 70_000}, "The value is longer than 64 KiB."),
]


@pytest.mark.parametrize(("fields", "says"), WRONG)
@pytest.mark.parametrize("part", ["", "sheet"])
def test_what_is_wrong_is_said_and_all_but_the_value_is_kept(region: Region, fields: dict[str, Any], says: str, part: str) -> None:
    cast.key(region, "taken")
    answer = post(NEW, given(**fields), part=part, status=422)
    assert_silent(answer, CANARY)
    assert says in text(answer)
    page = markup(answer)
    assert 'class="note tone-bad errors"' in page
    assert ("<title>Error:" in page) == (not part)
    if "name" not in fields:
        assert 'value="openai_prod"' in page
    if "description" not in fields:
        assert "> Production</textarea>" in page
    assert Key.objects.count() == 1


def test_without_the_keyring_nothing_is_stored_and_what_was_typed_is_kept(region: Region) -> None:
    public = keyring.folder() / "public.json"
    away = public.with_suffix(".away")
    public.rename(away)
    try:
        answer = post(NEW, given(), status=503)
    finally:
        away.rename(public)
    assert 'value="openai_prod"' in markup(answer)
    assert "There is a problem" in text(answer)
    assert not Key.objects.exists()


def test_with_a_second_master_key_both_are_asked_for(region: Region) -> None:
    first = MasterKey.objects.get()
    other = KmsInstance.objects.create(name="Vault", uri="builtin:")
    second = MasterKey.objects.create(kms_instance=other, name="Second", kek_id="second")
    page = text(get(NEW))
    assert "KMS instance" in page
    assert "Master key" in page
    answer = post(NEW, given(kms_instance=first.kms_instance.pk, master_key=second.pk), status=422)
    assert "This master key lies in another KMS instance." in text(answer)
    post(NEW, given(kms_instance=first.kms_instance.pk, master_key=first.pk))
    assert Key.objects.get().master_key == first


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("openai", ""),
        ("", ""),
        ("open ai prod!", "Use 1 to 64 letters, digits and underscores. Try open_ai_prod."),
        ("taken", "A key with this name exists in the region. Names are compared without case."),
        ("<b>", "Use 1 to 64 letters, digits and underscores. Try b."),
        ("…", "Use 1 to 64 letters, digits and underscores."),
    ],
)
def test_the_name_is_looked_at_while_it_is_typed(region: Region, typed: str, says: str) -> None:
    cast.key(region, "taken")
    answer = cast.client("kim").get("/local/keys/new/name/", {"name": typed})
    assert text(answer) == says  # type: ignore[arg-type]


def test_a_post_without_the_token_is_refused(region: Region) -> None:
    client = cast.client("kim", enforce_csrf_checks=True)
    answer: Any = client.post(NEW, given())
    assert answer.status_code == 403
    assert_silent(answer, CANARY)


def test_bytes_that_are_no_text_make_no_traceback(region: Region) -> None:
    body = b"name=openai%FF&generation=custom&value=" + CANARY.encode() + b"%ED%A0%80%FF"
    answer: Any = cast.client("kim").post(NEW, body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 422
    assert_silent(answer, CANARY)


def test_a_body_over_the_limit_is_413(region: Region) -> None:
    post(NEW, given(value="x" * (settings.BODY_LIMIT + 1)), status=413)
