"""Sessions, held on the server: over after 30 minutes without use and 12 hours after sign-in, and gone at the next request when ended.

Polling pages are no use of a session: console.js marks what a page asks for by itself.
"""

import hashlib
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from console.caller import address_of
from secrets_app.actor import Actor
from secrets_app.models import User, deed

BEGUN = "begun"  # the session's slot for when and from where its person came in
POLLED = "HX-Polled"
NOTED_EVERY = timedelta(minutes=1)  # use is written down at most so often: a write for each page would hold up the deeds


class SessionStore(DatabaseStore):
    """Django's own, under the digest of the key, with what the list of sessions shows."""

    row: Any = None  # as it was loaded

    def save(self, must_create: bool = False) -> None:
        """Django takes a database that did not answer for a session that is gone."""
        try:
            super().save(must_create)
        except UpdateError as failed:
            if isinstance(failed.__context__, OperationalError):
                raise failed.__context__ from failed.__context__.__cause__
            raise

    @classmethod
    def get_model_class(cls) -> Any:
        from console.models import Session

        return Session

    def _get_session_from_db(self) -> Any:
        named = self.model.objects.filter(session_key=_digest(self.session_key or ""), expire_date__gt=timezone.now())
        self.row = named.first()
        if self.row is None:
            self._session_key = None
        return self.row

    def exists(self, session_key: str | None = None) -> bool:
        return bool(self.model.objects.filter(session_key=_digest(session_key or "")).exists())

    def delete(self, session_key: str | None = None) -> None:
        self.model.objects.filter(session_key=_digest(session_key or self.session_key or "")).delete()

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        begun = data.setdefault(BEGUN, _begun())
        began, now = datetime.fromtimestamp(begun["at"], UTC), timezone.now()
        return self.get_model_class()(
            session_key=_digest(self._get_or_create_session_key()),  # type: ignore[attr-defined]
            session_data=self.encode(data),
            expire_date=_ends(began, now),
            ref=uuid.UUID(begun["ref"]),
            user_id=data.get(SESSION_KEY),
            address=begun["address"],
            browser=begun["browser"],
            began_at=began,
            seen_at=now,
        )


def begin(request: HttpRequest) -> None:
    """Somebody came in: from here on the twelve hours count."""
    request.session[BEGUN] = _begun(address_of(request), request.headers.get("User-Agent", "")[:200])
    cast(Any, SessionStore).clear_expired()


def note_use(request: HttpRequest) -> None:
    row = getattr(request.session, "row", None)
    if row is None or POLLED in request.headers or timezone.now() - row.seen_at < NOTED_EVERY:
        return
    now = timezone.now()
    type(row).objects.filter(pk=row.pk).update(seen_at=now, expire_date=_ends(row.began_at, now))


def ref_of(request: HttpRequest) -> str:
    """The name of this very session on pages, or nothing."""
    return str(request.session.get(BEGUN, {}).get("ref", ""))


def of(user: User) -> "QuerySet[Any]":
    """This person's, the one used last first."""
    rows = SessionStore.get_model_class().objects
    return cast("QuerySet[Any]", rows.filter(user=user, expire_date__gt=timezone.now()).order_by("-seen_at"))


def end(user: User, rows: Sequence[Any], *, by: Actor, once: uuid.UUID | None = None) -> None:
    """Refused at their next request. Raises AlreadyDone."""
    with deed(by, "user.end_session", user, once=once) as entry:
        for row in rows:
            row.delete()
        entry.facts = {"sessions": len(rows)}


def end_others(request: HttpRequest) -> None:
    """After a change that they do not outlive anyway: so that the list does not show them."""
    of(cast(User, request.user)).exclude(ref=ref_of(request)).delete()


def _begun(address: str = "", browser: str = "") -> dict[str, Any]:
    return {"at": time.time(), "ref": str(uuid.uuid4()), "address": address, "browser": browser}


def _ends(began: datetime, seen: datetime) -> datetime:
    return min(seen + timedelta(seconds=settings.SESSION_IDLE), began + timedelta(seconds=settings.SESSION_COOKIE_AGE))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:40]
