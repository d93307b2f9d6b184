from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db import models

from gateway.sources import BEARER, SOURCES_A_CONSUMER, Source

LONGEST_SOURCES = SOURCES_A_CONSUMER * len(f"header:{64 * 'x'},")


if TYPE_CHECKING:
    _CharField = models.CharField[Any, tuple[Source, ...]]
else:
    _CharField = models.CharField


def bearer() -> tuple[Source, ...]:
    return (BEARER,)


class SourcesField(_CharField):
    """Sources in their order, as "header:x-api-key,bearer:authorization" in the database: no name holds a comma or a colon."""

    def from_db_value(self, value: str, expression: Any, connection: Any) -> tuple[Source, ...]:
        return _parsed(value)

    def get_prep_value(self, value: Any) -> str:
        return value if isinstance(value, str) else ",".join(f"{source.kind}:{source.name}" for source in value)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[Source, ...]:
    return tuple(Source(*source.split(":", 1)) for source in text.split(","))
