"""Keys of a region: the values people store once, who refers to each, and what happens to them."""

import re
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.keys import Facts, Impact, rows
from console.facts.places import Places
from console.forms.base import DRESSED, REPEATED, TRIMMED, Entered
from console.forms.confirm import Confirm, TypedName
from console.forms.keys import CreateKey, EditKey, RollBackKey, RotateKey
from console.middleware import allows
from console.once import shown_once
from console.pages import page, see_other, wants_part
from console.paging import Listing
from console.requests import ConsoleRequest
from gateway.delivery import Delivery
from gateway.uses import Census
from secrets_app.errors import AlreadyDone, KeyInUse, NotFound
from secrets_app.models import Key
from secrets_app.models.finding import OPTIONS, KeyQuerySet
from secrets_app.models.refusals import record_refusal
from secrets_app.models.rotation import next_number

SORTS = {"name": ["name_folded"], "referenced": ["-reference_count", "name_folded"], "rotated": ["-rotated_at", "name_folded"]}
FILTERS = {"referenced": KeyQuerySet.referenced, "unused": KeyQuerySet.unused, "disabled": KeyQuerySet.disabled}


@allows("key.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    listing = Listing(request.GET, SORTS, FILTERS)
    keys = FILTERS.get(listing.show, KeyQuerySet.all)(Key.visible_to(request.actor, request.region)).search(listing.q)
    cut, delivery = listing.cut(keys), Delivery.of(request.region)
    context = {
        "listing": listing,
        "cut": cut,
        "rows": rows(cut.rows, delivery, _to(request, "key-list")),
        "down": not delivery.control_plane_up,
    }
    return page(request, "keys/list.html", context)


@allows("key.view")
def options(request: ConsoleRequest) -> HttpResponse:
    """The rows of a picker's list. `?for=` says what a key is wanted for (finding.USES): what cannot be bound for that stands last, with
    the reason, where somebody types its name."""
    typed, use = request.GET.get("q", "")[:64], request.GET.get("for", "")
    keys = Key.visible_to(request.actor, request.region)
    found = keys.usable(use).bindable(use, request.actor, request.region).options(typed)
    withheld = keys.withheld(typed, use, OPTIONS - len(found), request.actor, request.region)
    context = {"found": found, "withheld": withheld, "q": typed}
    return render(request, "keys/_options.html", context)


@allows("key.create")
def create(request: ConsoleRequest) -> HttpResponse:
    form = CreateKey(request.POST or None, region=request.region, actor=request.actor)
    if form.is_valid():
        given, entered = form.cleaned_data, form.new_value()
        try:
            key = form.attempt(
                lambda: Key.create(
                    request.region,
                    given["name"],
                    entered.value,
                    by=request.actor,
                    description=given["description"],
                    master_key=given.get("master_key"),
                    once=form.token,
                    generated=form.generated,
                    trimmed=entered.trimmed,
                    policy=form.policy,
                )
            )
        except AlreadyDone as done:
            return _repeated(request, done, generated=form.generated)
        if key:
            done_text = now("Key %(name)s was created.") % {"name": key.name}
            return _saved(request, key, done_text, form, entered)
    context = {"form": form, "submit": now("Create key"), "back": _to(request, "key-list")}
    return page(request, "keys/create.html", context, status=form.status)


@allows("key.view")
def detail(request: ConsoleRequest, name: str) -> HttpResponse:
    """While a change is on its way the page asks again; 286 ends that."""
    key = _find(request, name)
    facts = Facts.of(key, request.actor, all_versions=request.GET.get("versions") == "all")
    context = {"key": key, "facts": facts, "crumbs": [(now("Key"), _to(request, "key-list")), (key.name, "")]}
    return page(request, "keys/detail.html", context, status=286 if wants_part(request) and not facts.moving else 200)


@allows("key.edit")
def edit(request: ConsoleRequest, name: str) -> HttpResponse:
    key = _find(request, name)
    form = EditKey(request.POST or None, key=key)
    if form.is_valid():
        given = form.cleaned_data
        if form.did(lambda: key.edit(given["description"], lock_version=given["lock_version"] or 0, by=request.actor)):
            return see_other(request, _to(request, "key-detail", name), notice=now("Key %(name)s was saved.") % {"name": key.name})
        if form.current:
            form.resume(_find(request, name).lock_version)
    context = {"key": key, "form": form, "submit": now("Save key"), "back": _to(request, "key-detail", name)}
    return page(request, "keys/edit.html", context, status=form.status)


@allows("key.rotate")
def rotate(request: ConsoleRequest, name: str) -> HttpResponse:
    key = _find(request, name)
    census = Census.of(key)
    form = RotateKey(request.POST or None, key=key, inbound=bool(census.inbound))
    if form.is_valid():
        entered = form.new_value()
        try:
            version = form.attempt(
                lambda: key.rotate(
                    entered.value,
                    form.overlap_hours,
                    by=request.actor,
                    replaces=form.cleaned_data["lock_version"],
                    once=form.token,
                    generated=form.generated,
                    trimmed=entered.trimmed,
                )
            )
        except AlreadyDone as done:
            return _repeated(request, done, generated=form.generated)
        if form.current:
            form.resume(key.version)
        if version:
            notice = now("Key %(name)s was rotated to v%(number)d.") % {"name": key.name, "number": version.number}
            return _saved(request, key, notice, form, entered)
    following = next_number(key)
    context = {
        "key": key,
        "form": form,
        "next": following,
        "impact": Impact.of(key, census, request.actor),
        "submit": now("Rotate to v%(number)d") % {"number": following},
        "back": _to(request, "key-detail", name),
    }
    return page(request, "keys/rotate.html", context, status=form.status)


@allows("key.roll_back")
def roll_back(request: ConsoleRequest, name: str, number: int) -> HttpResponse:
    """An earlier version in place of the current one: whom that reaches, and the question."""
    key = _find(request, name)
    if (version := key.versions.defer("body", "wrapped").filter(number=number).first()) is None:
        raise NotFound()
    census = Census.of(key)
    form = RollBackKey(request.POST or None, key=key, inbound=bool(census.inbound))
    if form.is_valid():
        replaces = form.cleaned_data["lock_version"]
        try:
            done = form.attempt(lambda: key.roll_back(number, form.overlap_hours, by=request.actor, replaces=replaces, once=form.token))
        except AlreadyDone:
            return see_other(request, _to(request, "key-detail", name), notice=REPEATED, tone="info")
        if done:
            notice = now("v%(number)d of key %(name)s is current again.") % {"name": key.name, "number": number}
            return see_other(request, _to(request, "key-detail", name), notice=notice)
        if form.current:
            form.resume(key.version)
    context = {
        "key": key,
        "form": form,
        "version": version,
        "next": number,
        "impact": Impact.of(key, census, request.actor),
        "submit": now("Make v%(number)d current again") % {"number": number},
        "back": _to(request, "key-detail", name),
    }
    return page(request, "keys/roll_back.html", context, status=form.status)


@allows("key.disable")
def disable(request: ConsoleRequest, name: str) -> HttpResponse:
    key = _find(request, name)
    form = Confirm(request.POST or None)
    if form.is_valid() and form.did(lambda: key.disable(by=request.actor)):
        return see_other(request, _to(request, "key-detail", name), notice=now("Key %(name)s was disabled.") % {"name": key.name})
    context = _question(request, key, form, now("Disable key")) | {"danger": True}
    return page(request, "keys/disable.html", context, status=form.status)


@allows("key.enable")
def enable(request: ConsoleRequest, name: str) -> HttpResponse:
    key = _find(request, name)
    form = Confirm(request.POST or None)
    if form.is_valid() and form.did(lambda: key.enable(by=request.actor)):
        return see_other(request, _to(request, "key-detail", name), notice=now("Key %(name)s was enabled.") % {"name": key.name})
    return page(request, "keys/enable.html", _question(request, key, form, now("Enable key")), status=form.status)


@allows("key.delete")
def delete(request: ConsoleRequest, name: str) -> HttpResponse:
    """While anything refers to the key: who does, in place of the question, and 409 to whoever posts an answer to it."""
    key = _find(request, name)
    form = TypedName(request.POST or None, name=key.audit_name)
    if form.is_valid() and form.did(lambda: key.delete(by=request.actor)):
        return see_other(request, _to(request, "key-list"), notice=now("Key %(name)s was deleted.") % {"name": key.name})
    census = Census.of(key)
    if census.total:
        if request.method == "POST" and not form.is_valid():  # else the verb recorded it
            record_refusal(request.actor, "key.delete", key, reason=KeyInUse.code)
        groups = Places(key, Delivery.of(request.region), request.actor).groups(census)
        context = {"key": key, "groups": groups, "census": census, "back": _to(request, "key-detail", name)}
        return page(request, "keys/in_use.html", context, status=409 if request.method == "POST" else 200)
    context = {
        "key": key,
        "form": form,
        "versions": key.versions.count(),
        "submit": now("Delete key"),
        "danger": True,
        "size": "decision",
        "back": _to(request, "key-detail", name),
    }
    return page(request, "keys/delete.html", context, status=form.status)


@allows("key.create")
def name(request: ConsoleRequest) -> HttpResponse:
    """What stands against the name in the field, while it is typed."""
    typed = request.GET.get("name", "")[:200]
    problem = Key.name_problem(request.region, typed) if typed else ""
    usable = re.sub(r"[^A-Za-z0-9]+", "_", typed).strip("_")[:64]
    better = usable if problem and usable and not Key.name_problem(request.region, usable) else ""
    return render(request, "keys/_name_said.html", {"problem": problem, "better": better})


def _find(request: ConsoleRequest, name: str) -> Key:
    return Key.visible_to(request.actor, request.region).select_related("region", "master_key__kms_instance").find(name)


def _question(request: ConsoleRequest, key: Key, form: Confirm, submit: str) -> dict[str, Any]:
    return {
        "key": key,
        "form": form,
        "impact": Impact.of(key, Census.of(key), request.actor),
        "submit": submit,
        "size": "decision",
        "back": _to(request, "key-detail", key.name),
    }


def _saved(request: ConsoleRequest, key: Key, notice: str, form: CreateKey | RotateKey, entered: Entered) -> HttpResponse:
    """To the key's page, or where a value was made, to the one answer that shows it."""
    back = _to(request, "key-detail", key.name)
    if not form.generated:
        dropped, doubt = str(TRIMMED) if entered.trimmed else "", str(DRESSED) if entered.dressed else ""
        return see_other(request, back, notice=" ".join(filter(None, [notice, dropped, doubt])), tone="info" if doubt else "ok")
    response = page(request, "keys/once.html", {"key": key, "title": notice, "value": shown_once(entered.value), "back": back})
    response.headers["Cache-Control"] = "no-store"
    return response


def _repeated(request: ConsoleRequest, done: AlreadyDone, *, generated: bool) -> HttpResponse:
    """The same form again: to what it made, or where its value was shown, the plain word that it is not shown twice."""
    back = _to(request, "key-detail", done.name)
    if not generated:
        return see_other(request, back, notice=REPEATED, tone="info")
    return page(request, "keys/repeated.html", {"name": done.name, "back": back, "size": "decision"}, status=done.status)


def _to(request: ConsoleRequest, url_name: str, name: str | None = None) -> str:
    return reverse(url_name, kwargs={"region": request.region.name} | ({"name": name} if name else {}))
