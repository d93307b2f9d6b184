import uuid
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class Session(AbstractBaseSession):
    """Somebody's browser. Its key is the digest of what the cookie holds: whoever reads this table can be nobody.

    It ends at `expire_date`, which console/sessions.py moves on while it is in use, and with the row.
    """

    # Its name on pages. Not unique: a session that takes another key is two rows for a moment.
    ref = models.UUIDField(default=uuid.uuid4, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="sessions")
    address = models.CharField(max_length=64, blank=True)
    browser = models.CharField(max_length=200, blank=True)  # as it called itself at sign-in
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta(AbstractBaseSession.Meta):
        abstract = False

    @classmethod
    def get_session_store_class(cls) -> Any:
        return import_module(settings.SESSION_ENGINE).SessionStore
