"""Rules of plug-ins: the page of one, its editor, and what is done to it."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as now

from console.facts.diff import changes
from console.facts.plugins import fields, inbound_only, rule_page, service_at
from console.facts.rules import RuleFacts, Use, Uses
from console.forms.base import REPEATED
from console.forms.confirm import Confirm
from console.forms.plugins import EDIT, SAVE, WriteRule
from console.middleware import allows, takes
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from console.views.plugins import crumbs, instance_of
from gateway.models import Plugin, Rule, Service
from gateway.plugins.document import normal
from secrets_app.errors import AlreadyDone, NotFound

REVISIONS_SHOWN = 10


@allows("plugin.view")
def detail(request: ConsoleRequest, ref: str, name: str, place: str) -> HttpResponse:
    """`?at=` is the path of a field, or a line: the page opens there."""
    rule = _rule(request, ref, name, place)
    every = request.GET.get("texts") == "all"
    revisions = rule.revisions.order_by("-number")
    context = _frame(request, rule.plugin, rule.service, place) | {
        "rule": rule,
        "facts": RuleFacts.of(rule, rule.plugin.instance, request.GET.get("at", "")),
        "revisions": revisions if every else revisions[:REVISIONS_SHOWN],
        "revision_count": revisions.count(),
    }
    return page(request, "rules/detail.html", context)


@allows("rule.write")
def write(request: ConsoleRequest, ref: str, name: str, place: str) -> HttpResponse:
    """An editor; then what would change; then the save. A text with faults comes back with them, and without credentials in it.

    `?at=` is the path of a field, or a line: the cursor goes there.
    """
    plugin, service = _place(request, ref, name, place)
    rule = Rule.at(plugin, service)
    form = WriteRule(posted(request), rule=rule, official=plugin.official)
    seen = Rule.review(plugin, service, form.typed, by=request.actor)
    if form.is_valid() and form.step != EDIT:
        form.find(seen.faults)
    if form.step == SAVE and not form.errors and form.is_bound:
        try:
            saved = form.attempt(lambda: _save(request, plugin, service, form))
        except AlreadyDone:
            return see_other(request, rule_page(request.region, ref, name, place), notice=REPEATED, tone="info")
        if saved:
            return see_other(request, rule_page(request.region, ref, name, place), notice=_said(saved))
        if form.current:
            rule = Rule.at(plugin, service)
            form.resume(rule.lock_version if rule else 0)
    if form.is_bound and not seen.passes:
        form.withhold()
    reviewing = form.is_bound and form.step != EDIT and (form.current or not form.errors)
    context = _frame(request, plugin, service, place) | {
        "form": form,
        "rule": rule,
        "reviewing": reviewing,
        "changes": changes(rule.text if rule else "", form.typed) if reviewing else [],
        "faults": seen.faults,
        "uses": Uses.of([Use.of(mention, request.GET.get("at", "")) for mention in seen.mentions]),
        "fields": fields(plugin.official),
        "inbound": inbound_only(plugin.official),
        "at": None if form.is_bound else seen.document.find(request.GET.get("at", "")),
    }
    return page(request, "rules/write.html", context, status=form.status)


@takes("POST")
@allows("rule.write")
def check(request: ConsoleRequest, ref: str, name: str, place: str) -> HttpResponse:
    """What is wrong with a text while it is typed, and what it refers to. Nothing is saved, and the text does not come back."""
    plugin, service = _place(request, ref, name, place)
    seen = Rule.review(plugin, service, normal(request.POST.get("text", "")), by=request.actor)
    uses = Uses.of([Use.of(mention) for mention in seen.mentions])
    return render(request, "rules/_checked.html", {"faults": seen.faults, "uses": uses})


@allows("rule.enable")
def enable(request: ConsoleRequest, ref: str, name: str, place: str) -> HttpResponse:
    rule = _rule(request, ref, name, place)
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: rule.enable(by=request.actor)):
        return _done(request, rule, place, now("Rule %(name)s was enabled."))
    return page(request, "rules/enable.html", _question(request, rule, form, place, now("Enable rule")), status=form.status)


@allows("rule.disable")
def disable(request: ConsoleRequest, ref: str, name: str, place: str) -> HttpResponse:
    rule = _rule(request, ref, name, place)
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: rule.disable(by=request.actor)):
        return _done(request, rule, place, now("Rule %(name)s was disabled."))
    context = _question(request, rule, form, place, now("Disable rule")) | {"danger": True}
    return page(request, "rules/disable.html", context, status=form.status)


@allows("rule.delete")
def delete(request: ConsoleRequest, ref: str, name: str, place: str) -> HttpResponse:
    rule = _rule(request, ref, name, place)
    form = Confirm(posted(request))
    told = rule.name
    if form.is_valid() and form.did(lambda: rule.delete(by=request.actor)):
        to = crumbs(request, rule.plugin.instance, name, told)[3][1]
        return see_other(request, to, notice=now("Rule %(name)s was deleted.") % {"name": told})
    keys = {reference.key.name for reference in rule.references}
    context = _question(request, rule, form, place, now("Delete rule")) | {"danger": True, "keys": sorted(filter(None, keys))}
    return page(request, "rules/delete.html", context, status=form.status)


@allows("rule.restore")
def restore(request: ConsoleRequest, ref: str, name: str, place: str, number: int) -> HttpResponse:
    """What the earlier text would change, and the question."""
    rule = _rule(request, ref, name, place)
    if (revision := rule.revisions.filter(number=number).first()) is None:
        raise NotFound()
    form = Confirm(posted(request), initial={"lock_version": rule.lock_version})
    if form.is_valid():
        version = form.cleaned_data["lock_version"] or 0
        if form.did(lambda: rule.restore(number, lock_version=version, by=request.actor)):
            return _done(request, rule, place, now("The earlier text of %(name)s was restored."))
        if form.current:
            rule = _rule(request, ref, name, place)
            form.resume(rule.lock_version)
    context = _question(request, rule, form, place, now("Restore")) | {"revision": revision, "size": ""}
    return page(request, "rules/restore.html", context | {"changes": changes(rule.text, revision.text)}, status=form.status)


def _save(request: ConsoleRequest, plugin: Plugin, service: Service | None, form: WriteRule) -> Rule:
    given = form.cleaned_data
    version = given["lock_version"]
    return Rule.write(plugin, service, given["text"], lock_version=version, enabled=given["enabled"], by=request.actor, once=form.token)


def _said(rule: Rule) -> str:
    text = now("Rule %(name)s was saved and is enabled.") if rule.enabled else now("Rule %(name)s was saved. It is disabled.")
    return text % {"name": rule.name}


def _done(request: ConsoleRequest, rule: Rule, place: str, text: str) -> HttpResponse:
    to = rule_page(request.region, rule.plugin.instance.ref, rule.plugin.name, place)
    return see_other(request, to, notice=text % {"name": rule.name})


def _question(request: ConsoleRequest, rule: Rule, form: Confirm, place: str, submit: str) -> dict[str, Any]:
    back = rule_page(request.region, rule.plugin.instance.ref, rule.plugin.name, place)
    return {"form": form, "rule": rule, "submit": submit, "size": "decision", "back": back}


def _frame(request: ConsoleRequest, plugin: Plugin, service: Service | None, place: str) -> dict[str, Any]:
    level = service.name if service else now("Instance")
    return {
        "plugin": plugin,
        "official": plugin.official,
        "instance": plugin.instance,
        "service": service,
        "place": place,
        "crumbs": crumbs(request, plugin.instance, plugin.name, now("Rule of %(place)s") % {"place": level}),
    }


def _place(request: ConsoleRequest, ref: str, name: str, place: str) -> tuple[Plugin, Service | None]:
    instance = instance_of(request, ref)
    return Plugin.visible_to(request.actor, instance).find(name), service_at(instance, place)


def _rule(request: ConsoleRequest, ref: str, name: str, place: str) -> Rule:
    plugin, service = _place(request, ref, name, place)
    if (rule := Rule.at(plugin, service)) is None:
        raise NotFound()
    return rule
