"""The template tags: what they draw, and what they never draw."""

from datetime import UTC, datetime, timedelta

import pytest
from django import forms
from django.template import Context, Template

from console.templatetags import ui
from secrets_app.access import KEY_MANAGER, VIEWER
from tests import cast

NOW = datetime(2026, 11, 23, 9, 14, 5, tzinfo=UTC)
SECRET = "sk-a-value-that-must-not-come-back"


class Sample(forms.Form):
    name = forms.CharField(label="Name", help_text="Letters and digits.")
    note = forms.CharField(label="Note", required=False, widget=forms.Textarea)
    value = forms.CharField(label="Key content", help_text="Never shown again.")
    bind_key = forms.CharField(label="Bind Key", required=False)
    way = forms.ChoiceField(label="Way", choices=[("a", "First"), ("b", "Second")], widget=forms.RadioSelect)
    enabled = forms.BooleanField(label="Enabled", required=False)


def draw(template: str, **context: object) -> str:
    return Template(template).render(Context(context))


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(seconds=50), "1 minute ago"),
        (timedelta(minutes=59, seconds=40), "1 hour ago"),
        (timedelta(hours=23), "23 hours ago"),
        (timedelta(days=2), "2 days ago"),
        (timedelta(days=20), "2 weeks ago"),
        (timedelta(days=94), "3 months ago"),
        (timedelta(days=900), "2 years ago"),
        (-timedelta(hours=23), "in 23 hours"),
        (-timedelta(seconds=3), "in a moment"),
    ],
)
def test_a_time_is_told_as_a_distance(passed: timedelta, said: str) -> None:
    assert f">{said}<" in ui.time(NOW - passed, NOW)


def test_the_whole_time_stands_in_the_title_in_utc() -> None:
    assert 'title="23 Nov 2026, 09:14:05 UTC"' in ui.time(NOW, NOW)
    assert "09:14:05" in ui.time(NOW.astimezone(tz=None), NOW)


def test_a_reference_is_drawn_in_one_way_and_escaped() -> None:
    assert "<span>$ref{openai_prod}</span>" in draw('{% ref "openai_prod" %}')
    assert "<script>" not in draw("{% ref name %}", name="<script>")


def test_icons_are_decoration_and_drawn_once() -> None:
    assert 'aria-hidden="true"' in ui.icon("key-round")
    assert ui.icon("key-round", 16) is ui.icon("key-round", 16)


def test_what_was_typed_is_marked_whatever_its_case() -> None:
    assert ui.marked("OpenAI_prod", "openai") == "<mark>OpenAI</mark>_prod"
    assert ui.marked("a<b", "<") == "a<mark>&lt;</mark>b"
    assert ui.marked("openai_prod", "xyz") == ui.marked("openai_prod", "") == "openai_prod"


def test_a_field_ties_its_hint_and_its_error_to_the_control() -> None:
    html = draw("{% field form.name %}", form=Sample({"name": ""}))
    assert 'aria-describedby="id_name-error id_name-hint"' in html
    assert 'aria-invalid="true"' in html
    assert 'id="id_name-error"' in html
    assert 'id="id_name-hint"' in html
    assert "(optional)" not in html


def test_an_optional_field_says_so_unless_its_branch_needs_it() -> None:
    assert "(optional)" in draw("{% field form.note %}", form=Sample())
    assert "(optional)" not in draw("{% field form.note needed=True %}", form=Sample())


def test_radios_are_refused_by_field_because_they_need_a_legend() -> None:
    with pytest.raises(Exception, match="_choice"):
        draw("{% field form.way %}", form=Sample())


@pytest.mark.parametrize("multiline", [True, False])
def test_a_secret_field_never_gives_its_value_back(multiline: bool) -> None:
    form = Sample({"value": SECRET, "way": "a"}, initial={"value": SECRET})
    html = draw('{% include "components/_secret_input.html" with field=form.value multiline=multiline %}', form=form, multiline=multiline)
    assert SECRET not in html
    assert "value is not kept" in html
    assert 'autocomplete="off"' in html


def test_a_combobox_is_a_plain_text_field_until_a_script_makes_it_one() -> None:
    html = draw(
        '{% include "components/_combobox.html" with field=form.bind_key options_url="/o/" %}', form=Sample({"bind_key": "openai_prod"})
    )
    assert 'role="combobox"' not in html
    assert 'type="text"' in html
    assert 'value="openai_prod"' in html


def test_the_summary_links_to_each_field_in_the_field_s_own_words() -> None:
    html = draw('{% include "components/_errors.html" %}', form=Sample({}))
    assert "There is a problem" in html
    assert '<a href="#id_name">' in html
    assert '<a href="#id_way_0">' in html  # a group of radios: its first
    assert not draw('{% include "components/_errors.html" %}', form=Sample()).strip()


def test_an_option_that_is_off_says_why() -> None:
    html = draw(
        '{% include "components/_choice.html" with field=form.way look="cards" off=off %}', form=Sample(), off={"b": "Needs 2.1.11"}
    )
    assert "Needs 2.1.11" in html
    assert html.count(" disabled") == 1


def test_whoever_may_gets_the_control_and_others_the_reason() -> None:
    line = '{% action "key.rotate" "/r/" "Rotate" %}'
    kim, vera = cast.holding("kim", KEY_MANAGER), cast.holding("vera", VIEWER)
    assert 'href="/r/"' in draw(line, actor=kim)
    for nobody in (vera, None):
        html = draw(line, actor=nobody)
        assert 'aria-disabled="true"' in html
        assert 'aria-describedby="why-key-rotate-' in html
        assert "Needs Key manager" in html
        assert "/r/" not in html


def test_a_post_action_is_a_form_with_its_token() -> None:
    html = draw('{% action "key.disable" "/d/" "Disable" method="post" %}', actor=cast.holding("kim", KEY_MANAGER), csrf_token="token")
    assert '<form method="post" action="/d/">' in html
    assert 'value="token"' in html


@pytest.mark.parametrize(("name", "letters"), [("mei.chen", "MC"), ("kim", "KI"), ("a", "A"), ("jonas_maria_weber", "JW"), ("", "")])
def test_initials_are_at_most_two_letters(name: str, letters: str) -> None:
    assert ui.initials(name) == letters


@pytest.mark.parametrize(
    ("done", "total", "refused", "down", "said", "in_short"),
    [
        (3, 3, (), False, "In effect on 3 of 3 nodes", "All 3 nodes"),
        (3, 3, (), True, "In effect on 3 of 3 nodes", "All 3 nodes"),
        (1, 1, (), False, "In effect on 1 of 1 node", "1 node"),
        (1, 3, (), False, "In effect on 1 of 3 nodes", "1 of 3 nodes"),
        (0, 3, (), False, "Not delivered yet", "Not delivered yet"),
        (1, 3, (), True, "Not delivered yet", "Not delivered yet"),
        (1, 3, ("node-2",), False, "Refused by 1 node", "Refused by 1 node"),
        (0, 0, (), False, "No gateway yet", "No gateway yet"),
    ],
)
def test_where_a_change_stands_is_said_in_words(
    done: int, total: int, refused: tuple[str, ...], down: bool, said: str, in_short: str
) -> None:
    effect = {"done": done, "total": total, "refused": refused}
    assert f">{said}<" in draw('{% include "components/_sync.html" %}', effect=effect, down=down)
    assert f">{in_short}<" in draw('{% include "components/_sync.html" with short=True %}', effect=effect, down=down)
