"""What a log may tell of a request."""

import logging
import re
from collections.abc import ItemsView
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class Reticent(SafeExceptionReporterFilter):
    """An error report names where it happened, and holds no post and no local variable: any of them might be a key's value."""

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        return {}

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> ItemsView[str, Any]:
        return {}.items()


class Links(logging.Filter):
    """Django names the address of what it refuses, and that of an invitation opens the console until somebody used it."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except (TypeError, ValueError, KeyError):  # which logging itself would have told of, and we are asked before it
            return True
        if (told := _INVITED.sub(r"\1...", said)) != said:
            record.msg, record.args = told, ()
        return True


class OtherNames(logging.Filter):
    """Anybody can call the console by a name that it does not have. One line says so, and which; a traceback would say no more."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "django.security.DisallowedHost":
            record.exc_info = record.exc_text = None
        return True


_INVITED = re.compile(r"(/invited/)[^/\s]+")
