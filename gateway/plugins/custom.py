"""A custom plugin: Lua with a declared schema, looked at like an official one.

Fields marked `"x-secret": true` take `$ref{}`. Their values never stand in the script's text: each travels as a secret into
a request header of a private name, which the script's `config.<field>` reads and takes away before anything else sees it.
"""

import json
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.plugins.base import Config, Native, Official, Secret

_SENT = Secret(
    inbound=False,
    travels=_("Delivered to the gateway as a secret, which Envoy never shows, and handed to the script with each request."),
)


def official(name: str, description: str, schema: str, phase: str, priority: int, version: int) -> Official:
    """`schema` is JSON text that has been checked."""
    declared: dict[str, Any] = json.loads(schema)
    fields: dict[str, Any] = declared.get("properties", {})
    return Official(
        name=name,
        title=name,
        summary=description,
        documentation=(description,) if description else (),
        version=str(version),
        phase=phase,
        priority=priority,
        schema=declared,
        example="",
        secret_fields={field: _SENT for field, of in fields.items() if of.get("x-secret")},
        native=native,
    )


def native(config: Config, level: str, above: Config | None = None) -> Native:
    """Empty: what a script becomes depends on its row, so gateway/compile/plugins.py maps it."""
    return Native()
