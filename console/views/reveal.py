"""A value shown to a person: break-glass. The control plane opens it; here it passes through one answer, which nothing keeps."""

from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.reveal import POLICIES
from console.forms.base import REPEATED
from console.forms.reveal import DecideReveal, EditReveal, RevealKey
from console.fresh import fresh
from console.middleware import allows
from console.once import shown_once
from console.pages import NOTICE, page, see_other, wants_part
from console.requests import ConsoleRequest
from secrets_app.errors import AlreadyDone
from secrets_app.models import Deployment, Key
from secrets_app.models.reasons import AN_HOUR
from secrets_app.models.region import REVEAL_OFF, REVEAL_TWO
from secrets_app.models.reveal import SHOWN
from secrets_app.models.second import APPROVED, WAITING, Request
from secrets_app.plaintext import Plaintext


@allows("key.reveal")
@fresh
def reveal(request: ConsoleRequest, name: str) -> HttpResponse:
    """Where a second person is needed: first the request, and once it is approved, the value."""
    key, actor, policy = _find(request, name), request.actor, Deployment.here().reveal_policy()
    back = reverse("key-detail", args=[request.region.name, name])
    own = Request.own(key, actor) if policy == REVEAL_TWO else None
    approved = own is not None and own.state == APPROVED
    asks = policy == REVEAL_TWO and not approved
    form = RevealKey(request.POST or None, key=key, approved=approved)
    if form.is_valid():
        reason, version, once = form.cleaned_data.get("reason", ""), form.cleaned_data["lock_version"] or 0, form.token
        try:
            if asks:
                own = form.attempt(lambda: key.ask_reveal(reason, by=actor, version=version, once=once)) or own
            elif value := form.attempt(lambda: key.reveal(reason, by=actor, version=version, once=once)):
                return _shown(request, key, value, back)
        except AlreadyDone as done:
            if not asks:
                return page(request, "keys/revealed_before.html", {"key": key, "back": back, "size": "decision"}, status=done.status)
        if form.current:
            form.resume(key.version)
    context = {
        "key": key,
        "policy": policy,
        "off": REVEAL_OFF,
        "asks": asks,
        "own": own,
        "others": [one for one in Request.waiting_for(actor, request.region) if one.asked.target_id == str(key.pk)],
        "form": form,
        "seconds": SHOWN,
        "most": AN_HOUR,
        "submit": now("Ask for approval") if asks else now("Reveal v%(number)d") % {"number": key.version},
        "here": request.path,
        "back": back,
    }
    return page(request, "keys/reveal.html", context, status=form.status)


@allows("key.approve_reveal")
@fresh
def approve(request: ConsoleRequest, name: str, asked: UUID) -> HttpResponse:
    """The second person's page: who asks, for what and why."""
    key = _find(request, name)
    found, form = Request.find(key, asked), DecideReveal(request.POST or None)
    back = reverse("key-detail", args=[request.region.name, name])
    if form.is_valid():
        decide, words = (
            (key.approve_reveal, now("You approved that %(person)s is shown the value of %(name)s."))
            if form.approves
            else (key.deny_reveal, now("You denied that %(person)s is shown the value of %(name)s."))
        )
        if form.did(lambda: decide(asked, by=request.actor)):
            return see_other(request, back, notice=words % {"person": found.asked.actor, "name": key.name})
        found = Request.find(key, asked)
    own = found.asked.actor_id == request.actor.user_id
    context = {"key": key, "found": found, "own": own, "open": found.state == WAITING and not own, "form": form, "back": back}
    return page(request, "keys/approve_reveal.html", context, status=form.status)


@allows("settings.edit_reveal")
@fresh
def edit_policy(request: ConsoleRequest) -> HttpResponse:
    deployment = Deployment.here()
    form = EditReveal(request.POST or None, initial={"policy": deployment.reveal_policy()})
    back = reverse("settings")
    if form.is_valid():
        policy = form.cleaned_data["policy"]
        try:
            done = form.did(lambda: deployment.edit_reveal(policy, by=request.actor, once=form.token))
        except AlreadyDone:
            return see_other(request, back, notice=REPEATED, tone="info")
        if done:
            return see_other(request, back, notice=now("Revealing values: %(policy)s.") % {"policy": POLICIES[policy][0]})
    return page(request, "settings/edit_reveal.html", {"form": form, "submit": now("Save policy"), "back": back}, status=form.status)


def _find(request: ConsoleRequest, name: str) -> Key:
    return Key.visible_to(request.actor, request.region).select_related("region").find(name)


def _shown(request: ConsoleRequest, key: Key, value: Plaintext, back: str) -> HttpResponse:
    """The one answer that holds it. A page of its own leaves by itself when the time is over, with or without JavaScript."""
    context = {"key": key, "value": shown_once(value), "seconds": SHOWN, "back": back}
    response = page(request, "keys/revealed.html", context)
    response.headers["Cache-Control"] = "no-store"
    if not wants_part(request):
        response.headers["Refresh"] = f"{SHOWN}; url={back}"
    # For the page below; set after this one was drawn, which would else have used it up.
    text = now("The value of key %(name)s is hidden again. Rotate the key if it may have been seen by anybody who should not know it.")
    request.session[NOTICE] = [text % {"name": key.name}, "info"]
    return response
