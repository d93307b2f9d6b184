"""After callers of a consumer were given something to present: back to its page, or to the one page that shows what was generated."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from console.forms.base import REPEATED, TRIMMED
from console.once import shown_once
from console.pages import page, see_other
from console.requests import ConsoleRequest
from gateway.call import KEYS_VARIABLE, VARIABLE
from gateway.models import Consumer, NewCredential, NewJwt
from gateway.models.credential import SYSTEM
from gateway.models.presented import Presented
from secrets_app.errors import AlreadyDone
from secrets_app.plaintext import Plaintext


def saved(request: ConsoleRequest, consumer: Consumer, notice: str, presented: Presented | None) -> HttpResponse:
    """To the consumer's page, or where a value was made, to the one page that shows it."""
    back = back_to(request, consumer.name)
    value = generated(presented)
    if value is None:
        trimmed = isinstance(presented, NewCredential) and presented.trimmed
        return see_other(request, back["back"], notice=f"{notice} {TRIMMED}" if trimmed else notice)
    context: dict[str, Any] = {"consumer": consumer, "title": notice, "value": shown_once(value), "variable": VARIABLE}
    if isinstance(presented, NewJwt):
        context |= {"variable": KEYS_VARIABLE, "jwt": presented}
    return page(request, "consumers/once.html", context | back)


def repeated(request: ConsoleRequest, done: AlreadyDone, *, generated: bool) -> HttpResponse:
    back = back_to(request, done.name)
    if not generated:
        return see_other(request, back["back"], notice=REPEATED, tone="info")
    return page(request, "consumers/repeated.html", {"name": done.name, "size": "decision"} | back, status=done.status)


def generated(presented: Presented | None) -> Plaintext | None:
    """The value that was made for this very request, and that its caller does not know yet."""
    if isinstance(presented, NewJwt):
        return presented.secret
    return presented.value if presented and presented.generation == SYSTEM else None


def back_to(request: ConsoleRequest, name: str) -> dict[str, str]:
    return {"back": reverse("consumer-detail", kwargs={"region": request.region.name, "name": name})}
