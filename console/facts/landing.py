"""Where the console shows a use of a key: the very field for whoever may edit the holder, else the place on its page."""

import re

from django.urls import reverse

from console.facts.plugins import rule_line
from gateway.agents import app_of
from gateway.holders import KINDS, Holder
from secrets_app.actor import Actor
from secrets_app.models import Region


def field_of(region: Region, holder: Holder, actor: Actor) -> str:
    """Nothing for whoever may not open the holder."""
    where = holder.scope_in(region.pk)
    if not actor.may(KINDS[holder.kind].view, where):
        return ""
    edits = actor.may(KINDS[holder.kind].edit, where)
    if holder.kind == "consumer":
        return _of_consumer(region, holder, edits)
    if holder.kind == "plugin":
        return rule_line(region, holder, "rule-write" if edits else "rule-detail")
    if holder.kind == "mcp_service":
        page, field = ("mcp-configure-backend-auth", "id_key") if edits else ("mcp-detail", "backend_auth")
        return _of_service(page, region, holder) + f"#{field}"
    return _of_service("service-edit" if edits else "service-detail", region, holder) + f"#{_field(holder, edits)}"


def _of_consumer(region: Region, holder: Holder, edits: bool) -> str:
    number = re.sub(r"\D", "", holder.path)
    if not number:  # what tokens are signed with, which is no key of the region
        return to("consumer-detail", region, name=holder.name)
    if edits:
        return to("consumer-edit-credential", region, name=holder.name, number=number) + "#id_key"
    return to("consumer-detail", region, name=holder.name) + f"#credential-{number}"


def _of_service(page: str, region: Region, holder: Holder) -> str:
    return to(page, region, ref=holder.instance_ref, name=holder.name)


def _field(holder: Holder, edits: bool) -> str:
    if app := app_of(holder.path):
        return f"use-{app}"
    number = re.sub(r"\D", "", holder.path)
    if not edits:
        return f"use-{int(number) + 1}"
    return f"id_agent_key_{number}" if holder.kind == "agent_service" else f"id_key_{number}"


def service_page(region: Region, kind: str, ref: str, name: str) -> str:
    """Of a service by its kind of holder."""
    return to("mcp-detail" if kind == "mcp_service" else "service-detail", region, ref=ref, name=name)


def to(page: str, region: Region, /, **place: str) -> str:
    return reverse(page, kwargs={"region": region.name, **place})
