"""Plug-ins of an instance: the catalogue, installing, and the editor of rules with its two steps."""

import re
import uuid
from html import unescape

import pytest
from pytest_django import DjangoAssertNumQueries

from console.facts.plugins import catalogue
from gateway.models import Instance, Plugin, Problem, Rule, Service
from gateway.plugins import CATALOGUE
from secrets_app.models import AuditEntry, Key, Reference, Region
from tests import cast
from tests.unit.console.asking import assert_silent, get, markup, post, text


@pytest.fixture
def gateway(region: Region) -> Instance:
    return cast.instance(region, "gateway")


@pytest.fixture
def edge(region: Region) -> Key:
    return cast.key(region, "secretName")


@pytest.fixture
def key_auth(gateway: Instance) -> Plugin:
    return cast.plugin(gateway)


@pytest.fixture
def chat(gateway: Instance) -> Service:
    return cast.service(gateway, "chat")


TEXT = "credentials:\n- $ref{secretName}\nkeys:\n- apikey\n- x-api-key\n"


def place(instance: Instance, rest: str = "") -> str:
    return f"/local/instances/{instance.ref}/plugins/{rest}"


def of_rule(instance: Instance, rest: str = "", at: str = "instance") -> str:
    return place(instance, f"key-auth/rules/{at}/{rest}")


def typed(step: str, text: str = TEXT, lock_version: int | None = None, **more: str) -> dict[str, str]:
    given = {"step": step, "text": text.replace("\n", "\r\n"), "enabled": "on", "once": str(uuid.uuid4())}
    return given | ({"lock_version": str(lock_version)} if lock_version else {}) | more


def test_the_catalogue_lists_what_is_installed_and_what_could_be(gateway: Instance, key_auth: Plugin) -> None:
    said = text(get(place(gateway), "vera"))
    assert "key-auth Lets in callers" in said
    assert "Installed, no rule yet" in said
    assert "cors" in said
    assert "cors" not in text(get(place(gateway) + "?show=installed", part="plugins"))
    assert "Nothing matches" in text(get(place(gateway) + "?q=nosuch", part="plugins"))


def test_the_catalogue_takes_three_queries_however_many_rules_there_are(
    gateway: Instance, key_auth: Plugin, chat: Service, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    cast.rule(key_auth, "allow: []\n", chat, enabled=False)
    with django_assert_num_queries(3):
        catalogue(gateway)


def test_a_plugin_is_installed_and_then_offers_its_first_rule(gateway: Instance) -> None:
    assert "Not installed" in text(get(place(gateway, "key-auth/")))
    answer = post(place(gateway, "key-auth/install/"), {"once": str(uuid.uuid4())}, "olive")
    assert answer["Location"] == place(gateway, "key-auth/")
    assert "Write the first rule" in text(get(place(gateway, "key-auth/")))
    assert Plugin.objects.get().name == "key-auth"


def test_installing_twice_is_refused_and_the_same_post_twice_is_one_deed(gateway: Instance) -> None:
    body = {"once": str(uuid.uuid4())}
    post(place(gateway, "key-auth/install/"), body)
    post(place(gateway, "key-auth/install/"), body)
    post(place(gateway, "key-auth/install/"), {"once": str(uuid.uuid4())}, status=409)
    assert AuditEntry.objects.filter(action="plugin.install", outcome="ok").count() == 1


def test_uninstalling_takes_the_name_and_releases_the_keys(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    cast.rule(key_auth, TEXT)
    url = place(gateway, "key-auth/uninstall/")
    assert "1 of them is enabled" in text(get(url))
    post(url, {"confirm": "key"}, status=422)
    post(url, {"confirm": "key-auth"})
    assert not Plugin.objects.exists()
    assert not Reference.objects.filter(key=edge).exists()


@pytest.mark.parametrize("name", ["nosuch", "KEY-AUTH"])
def test_what_is_not_in_the_catalogue_is_not_found(gateway: Instance, name: str) -> None:
    get(place(gateway, f"{name}/"), status=404)
    get(place(gateway, f"{name}/install/"), status=404)


def test_the_seeds_example_is_reviewed_and_then_saved(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    form = get(of_rule(gateway, "edit/"), "olive")
    assert "# Reference the key named secretName" in form.content.decode()
    shown = post(of_rule(gateway, "edit/"), typed("review"), "olive", status=200)
    assert "Review the changes" in text(shown)
    assert "Added: - $ref{secretName}" in text(shown)
    assert not Rule.objects.exists()
    answer = post(of_rule(gateway, "edit/"), typed("save"), "olive")
    assert answer["Location"] == of_rule(gateway)
    rule = Rule.objects.get()
    assert (rule.text, rule.enabled) == (TEXT, True)
    assert AuditEntry.objects.latest("seq").action == "rule.write"
    assert "$ref{secretName} v1 credentials[0] , line 2" in text(get(of_rule(gateway), "vera"))


def test_without_the_tick_the_rule_stays_disabled(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    body = typed("save")
    del body["enabled"]
    post(of_rule(gateway, "edit/"), body)
    assert not Rule.objects.get().enabled


@pytest.mark.parametrize("step", ["review", "save"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            "credentials:\n- $ref{secretNam}\nkeys: [apikey]\n",
            "Line 2, column 3: credentials[0]: No key is named “secretNam”",
        ),
        ("credentials:\n- $ref{secretNam}\nkeys: [apikey]\n", "Did you mean “secretName”?"),
        ("credential: []\n", "Line 1, column 1: credential: There is no such field here. Did you mean “credentials”?"),
        ("credentials:\n\t- a\n", "A tab stands here"),
        ("credentials:\n- $ref{secretName\nkeys: [a]\n", "Line 2"),
        ("a: &a [x]\nb: *a\n", "Anchors (&name) are not read"),
        ("a: 1\na: 2\n", "stands here twice"),
        ("a: x\0y\n", "An invisible character (U+0000)"),
        ("a: 1\n---\nb: 2\n", "A second document begins here"),
        ("[" * 200, "nested deeper"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_nothing_is_saved(
    gateway: Instance, key_auth: Plugin, edge: Key, step: str, wrong: str, said: str
) -> None:
    answer = post(of_rule(gateway, "edit/"), typed(step, wrong), status=422)
    assert said in text(answer)
    assert 'aria-invalid="true"' in markup(answer)
    assert not Rule.objects.exists()


def test_editing_further_keeps_what_was_typed(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    answer = post(of_rule(gateway, "edit/"), typed("edit", TEXT + "realm: mine\n"), status=200)
    assert "realm: mine" in answer.content.decode()
    assert "Review changes" in text(answer)


def test_a_stale_save_shows_what_is_stored_now_and_the_next_one_is_meant(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    rule = cast.rule(key_auth, TEXT)
    seen = rule.lock_version
    cast.rule(key_auth, TEXT + "realm: theirs\n")
    answer = post(of_rule(gateway, "edit/"), typed("save", TEXT + "realm: mine\n", seen), status=409)
    assert "Stored now, and what you would change" in text(answer)
    assert "Removed: realm: theirs" in text(answer)
    assert "Added: realm: mine" in text(answer)
    now = Rule.objects.get().lock_version
    assert f'name="lock_version" value="{now}"' in markup(answer)
    post(of_rule(gateway, "edit/"), typed("save", TEXT + "realm: mine\n", now))
    assert Rule.objects.get().text.endswith("realm: mine\n")


def test_the_same_save_twice_is_one_deed(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    body = typed("save")
    post(of_rule(gateway, "edit/"), body)
    post(of_rule(gateway, "edit/"), body)
    assert Rule.objects.get().number == 1


def test_a_rule_for_a_service_is_added_from_the_list_of_services(gateway: Instance, key_auth: Plugin, chat: Service, edge: Key) -> None:
    cast.mcp(gateway, "chat")  # of the same name
    said = markup(get(place(gateway, "key-auth/rules/new/"), "olive", part="panel"))
    assert of_rule(gateway, "edit/", at="services/chat") in said
    assert of_rule(gateway, "edit/", at="mcp/chat") in said
    post(of_rule(gateway, "edit/", at="mcp/chat"), typed("save"), "olive")
    rule = Rule.objects.get()
    assert rule.service is not None
    assert rule.service.audit_kind == "mcp_service"
    assert of_rule(gateway, "edit/", at="mcp/chat") not in markup(get(place(gateway, "key-auth/rules/new/"), "olive"))
    get(of_rule(gateway, at="services/nosuch"), status=404)
    get(of_rule(gateway, at="services/chat"), status=404)


def test_a_rule_is_disabled_enabled_and_deleted(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    rule = cast.rule(key_auth, TEXT)
    post(of_rule(gateway, "disable/"), {}, "olive")
    rule.refresh_from_db()
    assert not rule.enabled
    post(of_rule(gateway, "disable/"), {}, "olive", status=409)
    post(of_rule(gateway, "enable/"), {}, "olive")
    assert "$ref{secretName}" in text(get(of_rule(gateway, "delete/"), "olive"))
    answer = post(of_rule(gateway, "delete/"), {}, "olive")
    assert answer["Location"] == place(gateway, "key-auth/")
    assert not Rule.objects.exists()


def test_enabling_a_rule_whose_key_is_disabled_is_refused_with_the_line(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    cast.rule(key_auth, TEXT, enabled=False)
    edge.disable(by=cast.SETUP)
    answer = post(of_rule(gateway, "enable/"), {}, status=422)
    assert "Line 2, column 3: credentials[0]: The key “secretName” is disabled" in text(answer)


def test_an_earlier_text_is_shown_as_changes_and_restored(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    cast.rule(key_auth, TEXT)
    rule = cast.rule(key_auth, TEXT + "realm: later\n")
    assert "Restore" in text(get(of_rule(gateway)))
    assert "Removed: realm: later" in text(get(of_rule(gateway, "restore/1/"), "olive", part="panel"))
    post(of_rule(gateway, "restore/1/"), {"lock_version": "1"}, status=409)
    post(of_rule(gateway, "restore/1/"), {"lock_version": str(rule.lock_version)})
    assert Rule.objects.get().text == TEXT
    get(of_rule(gateway, "restore/99/"), status=404)


def test_restoring_a_text_that_names_a_missing_key_is_refused(gateway: Instance, key_auth: Plugin, region: Region, edge: Key) -> None:
    gone = cast.key(region, "gone")
    cast.rule(key_auth, cast.key_auth(gone))
    rule = cast.rule(key_auth, TEXT)
    gone.delete(by=cast.SETUP)
    answer = post(of_rule(gateway, "restore/1/"), {"lock_version": str(rule.lock_version)}, status=422)
    assert "No key is named “gone” in this region" in text(answer)
    assert Rule.objects.get().text == TEXT


def test_a_viewer_reads_a_rule_and_is_told_who_may_change_it(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    cast.rule(key_auth, TEXT)
    assert "Edit Needs" in text(get(of_rule(gateway), "vera"))
    for page in ("edit/", "enable/", "disable/", "delete/"):
        get(of_rule(gateway, page), "vera", status=403)


def test_the_key_leads_to_the_line_that_refers_to_it(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    cast.rule(key_auth, TEXT)
    editor = of_rule(gateway, "edit/") + "?at=credentials%5B0%5D#at"
    assert editor in markup(get("/local/keys/secretName/references/", part="panel"))
    assert 'data-at="2:3"' in markup(get(editor.partition("#")[0]))
    assert '<li class="at" id="at">' in markup(get(editor.partition("#")[0]))  # beside it, where no script moves the cursor
    link = of_rule(gateway) + "?at=credentials%5B0%5D#at"
    assert link in markup(get("/local/keys/secretName/references/", "vera", part="panel"))
    assert '<li class="at" id="at"><span class="no" id="line-2" aria-hidden="true">2</span>' in markup(get(link.partition("#")[0]))


def test_an_instance_that_is_too_old_for_references_says_so(region: Region, edge: Key) -> None:
    old = cast.instance(region, "old", version="2.1.10")
    cast.plugin(old)
    answer = post(of_rule(old, "edit/"), typed("save"), status=422)
    assert "References need version 2.1.11" in text(answer)


def test_the_check_says_what_the_save_would_say_and_saves_nothing(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    wrong = "credentials:\n- $ref{secretNam}\n- $ref{secretName}\nkey: [apikey]\n"
    seen = AuditEntry.objects.filter(action__startswith="rule.").count()
    answer = post(of_rule(gateway, "check/"), {"text": wrong}, "olive", status=200)
    assert 'data-at="2:3"' in markup(answer)
    assert "Line 2, column 3 credentials[0] No key is named “secretNam” in this region. Did you mean “secretName”?" in text(answer)
    assert 'data-meant="secretName"' in markup(answer)
    assert 'data-meant="keys"' in markup(answer)
    assert "2 problems, the first on line 2" in markup(answer)
    assert "$ref{secretNam} Unknown credentials[0] , line 2" in text(answer)
    assert "$ref{secretName} v1 credentials[1] , line 3" in text(answer)
    assert "Nothing is wrong with this text." in text(post(of_rule(gateway, "check/"), {"text": TEXT}, "olive", status=200))
    assert not Rule.objects.exists()
    assert AuditEntry.objects.filter(action__startswith="rule.").count() == seen


def test_the_check_is_for_those_who_may_write_and_only_posts(gateway: Instance, key_auth: Plugin) -> None:
    get(of_rule(gateway, "check/"), status=405)
    for who in ("vera", "kim", "mallory"):
        post(of_rule(gateway, "check/"), {"text": TEXT}, who, status=403)
    post(of_rule(gateway, "check/", at="services/nosuch"), {"text": TEXT}, status=404)


def test_the_check_never_gives_the_text_back(gateway: Instance, key_auth: Plugin) -> None:
    for spelled in ("credentials:\n- {}\n", "{}", "realm: '{}\n", "realm: {}: x\n", "x: *{}\n", "x: !{}\n"):
        assert_silent(post(of_rule(gateway, "check/"), {"text": spelled.format("hunter2!")}, status=200), "hunter2")


@pytest.mark.parametrize("step", ["review", "save", "edit"])
def test_a_credential_that_is_refused_does_not_come_back(gateway: Instance, key_auth: Plugin, edge: Key, step: str) -> None:
    typed_in = "credentials:\n- $ref{secretName}\n- hunter2\nkeys: [apikey]\n# was sk-Qz8fJ2mWcXvB7nLpT4yR9kHs\n"
    answer = post(of_rule(gateway, "edit/"), typed(step, typed_in), "olive", status=422 if step != "edit" else 200)
    assert_silent(answer, "hunter2")
    assert_silent(answer, "sk-Qz8fJ2mWcXvB7nLpT4yR9kHs")
    said = text(answer)
    assert "Line 3, column 3 credentials[1] A credential cannot stand here in the clear." in said
    assert "On lines 3, 5 empty references, $ref{}, stand in its place" in said
    assert "- $ref{secretName}\n- &quot;$ref{}&quot;\nkeys: [apikey]\n# was $ref{}\n" in answer.content.decode()
    assert not Rule.objects.exists()


def test_what_was_taken_out_cannot_be_saved_unnoticed(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    answer = post(of_rule(gateway, "edit/"), typed("save", "credentials:\n- hunter2\nkeys: [apikey]\n"), status=422)
    area = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", answer.content.decode(), re.S)
    assert area
    again = post(of_rule(gateway, "edit/"), typed("save", unescape(area[1])), status=422)
    assert "This reference names no key." in text(again)


def test_a_text_that_passes_comes_back_as_it_was(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    kept = TEXT + "# the ticket is 0b0e8a1f-2d3c-4b5a-9e8d-7c6b5a493827\n"
    assert "0b0e8a1f-2d3c-4b5a-9e8d-7c6b5a493827" in post(of_rule(gateway, "edit/"), typed("review", kept), status=200).content.decode()


@pytest.mark.parametrize(
    ("at", "line", "column"),
    [("credentials%5B0%5D", 2, 3), ("keys", 4, 1), ("keys%5B1%5D", 5, 3), ("3", 3, 1)],
)
def test_an_address_leads_to_a_field_or_a_line(gateway: Instance, key_auth: Plugin, edge: Key, at: str, line: int, column: int) -> None:
    cast.rule(key_auth, TEXT)
    assert f'data-at="{line}:{column}"' in markup(get(of_rule(gateway, f"edit/?at={at}"), "olive"))
    assert f'<li class="at" id="at"><span class="no" id="line-{line}"' in markup(get(of_rule(gateway, f"?at={at}"), "vera"))


def test_an_address_to_what_is_not_there_opens_the_page(gateway: Instance, key_auth: Plugin, edge: Key) -> None:
    cast.rule(key_auth, TEXT)
    for at in ("nosuch", "credentials%5B7%5D", "%00", "²"):
        assert " data-at=" not in markup(get(of_rule(gateway, f"edit/?at={at}"), "olive", status=400 if at == "%00" else 200))


def test_a_long_catalogue_comes_in_pages_and_each_plugin_once(gateway: Instance, region: Region) -> None:
    for number in range(60):
        cast.custom_plugin(region, f"own-{number:02d}")
    seen: list[str] = []
    address = ""
    for _page in range(2):
        shown = markup(get(place(gateway) + address, part="plugins"))
        seen += re.findall(r'<tr id="plugin-([\w-]+)">', shown)
        address = next(iter(re.findall(r'rel="next" href="([^"]+)"', shown)), "")
    assert address == ""
    assert len(seen) == len(set(seen)) == 60 + len(CATALOGUE)
    back = re.findall(r'rel="prev" href="([^"]+)"', shown)
    assert re.findall(r'<tr id="plugin-([\w-]+)">', markup(get(place(gateway) + back[0], part="plugins"))) == seen[:50]
    assert "own-07" in text(get(place(gateway) + "?q=OWN-07", part="plugins"))


def test_a_service_lists_the_rules_that_its_requests_meet(gateway: Instance, key_auth: Plugin, chat: Service, edge: Key) -> None:
    page = f"/local/instances/{gateway.ref}/services/chat/"
    assert "No rule of a plug-in is for this service" in text(get(page, "vera"))
    cast.rule(key_auth, TEXT)
    assert "key-auth the instance's rule Enabled" in text(get(page, "vera"))
    own = cast.rule(key_auth, "allow: []\n", chat, enabled=False)
    assert "key-auth Disabled key-auth the instance's rule Enabled" in text(get(page))
    own.enable(by=cast.SETUP)
    assert of_rule(gateway, at="services/chat") in markup(get(page))
    assert "the instance's rule" not in text(get(page))
    assert "key-auth the instance's rule Enabled" in text(get(f"/local/instances/{gateway.ref}/mcp/{cast.mcp(gateway).name}/"))


def test_an_instance_lists_its_rules_and_how_many_plugins_it_has(gateway: Instance, key_auth: Plugin, chat: Service, edge: Key) -> None:
    page = f"/local/instances/{gateway.ref}/"
    cast.plugin(gateway, "cors")
    cast.rule(key_auth, TEXT)
    cast.rule(key_auth, "allow: []\n", chat, enabled=False)
    said = text(get(page, "vera"))
    assert "2 plug-ins installed" in said
    assert "Rules of plug-ins 2 Catalogue key-auth for the instance Enabled key-auth for chat Disabled" in said


def test_an_instance_with_plugins_names_them_before_it_is_deleted(gateway: Instance, key_auth: Plugin) -> None:
    page = f"/local/instances/{gateway.ref}/delete/"
    cast.plugin(gateway, "cors")
    said = get(page, "olive", part="panel")
    assert "2 plug-ins are installed on it. Uninstall them first" in text(said)
    assert place(gateway, "cors/") in markup(said)
    assert 'name="confirm"' not in markup(said)
    post(page, {"confirm": "gateway"}, "olive", status=409)
    assert Instance.objects.filter(pk=gateway.pk).exists()


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("disabled", "Callers with this key are not let in. The key is disabled."),
        ("duplicate", "Another credential of this rule has the same value"),
        ("charset", "cannot travel in an HTTP header, or is no “user:password”"),
    ],
)
def test_why_a_key_of_a_rule_is_not_served_is_said_in_the_rules_words(
    gateway: Instance, key_auth: Plugin, region: Region, edge: Key, reason: str, said: str
) -> None:
    rule = cast.rule(key_auth, TEXT)
    Problem.objects.create(region=region, holder_kind="plugin", holder_id=rule.pk, path="credentials[0]", reason=reason)
    assert said in text(get(of_rule(gateway)))


def test_what_a_rule_cannot_send_closes_its_routes_and_says_so(gateway: Instance, region: Region, edge: Key) -> None:
    text_ = "reqRules:\n- operate: add\n  headers:\n  - key: x-token\n    value: $ref{secretName}\n"
    rule = cast.rule(cast.plugin(gateway, "transformer"), text_)
    path = rule.references[0].path
    Problem.objects.create(region=region, holder_kind="plugin", holder_id=rule.pk, path=path, reason="disabled")
    assert "Requests that meet this rule are answered 503." in text(get(place(gateway, "transformer/rules/instance/")))
