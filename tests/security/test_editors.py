"""Two people begin from the same state: one of them wins, and the other is told what is stored now. Of every deed that can be begun so."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from django.apps import apps

from gateway import policing
from gateway.models import Consumer, NewCredential, Rule
from gateway.models.agent_service import NewAgent
from secrets_app.errors import StaleEdit
from secrets_app.models import AuditEntry, AuditHead, Key, Region
from secrets_app.models.policy import Policy
from tests import cast
from tests.security.racing import at_once, kinds, whole_log

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS, ONCE = 3, "once"  # which of two rotations it was is sealed
BEGUN: dict[str, Any] = {"lock_version": 1, "by": cast.SETUP}  # from what was just made
STATE = {"lock_version", "replaces"}  # what a deed is told of the state that it was begun from
OTHER = {"Key.reveal", "Key.ask_reveal"}  # name a version too, and change nothing


@dataclass(frozen=True)
class Deed:
    """`make` what is edited; `edit` it to something that a text tells; `now` says what it is."""

    make: Callable[[Region], Any]
    edit: Callable[[Any, str], object]
    now: Callable[[Any], str]


def one(text: str) -> int:
    return 1 if text == "a" else 2


def deeds(region: Region) -> dict[str, Deed]:
    gateway = cast.instance(region)
    edge = cast.plugin(gateway, "cors")
    script: dict[str, Any] = {"source": cast.SCRIPT, "schema": cast.SCHEMA, "phase": "default", "priority": 10}
    supplier = {"supplier": "custom", "protocol": "OpenAI/v1"}
    return {
        "Key.edit": Deed(cast.key, lambda key, text: key.edit(text, **BEGUN), lambda key: key.description),
        "Key.rotate": Deed(
            cast.key, lambda key, _text: key.rotate(cast.value(), by=cast.SETUP, replaces=1), lambda key: ONCE if key.version == 2 else ""
        ),
        "Key.roll_back": Deed(
            _turned, lambda key, text: key.roll_back(one(text), by=cast.SETUP, replaces=3), lambda key: " ab"[key.version]
        ),
        "set_policy": Deed(
            cast.key,
            lambda key, text: policing.set_policy(key, Policy(kinds=("ai_service",), hosts=(f"{text}.example.com",)), **BEGUN),
            lambda key: key.policy.hosts[0][0],
        ),
        "Team.edit": Deed(
            lambda _region: cast.team(f"team {cast.value().expose().decode()}"),
            lambda team, text: team.edit(team.name, text, **BEGUN),
            lambda team: team.description,
        ),
        "Consumer.edit": Deed(
            cast.consumer,
            lambda consumer, text: consumer.edit(description=text, sources=consumer.sources, **BEGUN),
            lambda consumer: consumer.description,
        ),
        "Consumer.switch_method": Deed(
            cast.consumer,
            lambda consumer, text: consumer.switch_method(cast.jwt(f"{text}-{consumer.pk}"), **BEGUN),
            lambda consumer: consumer.jwt.value[0],
        ),
        "Consumer.edit_credential": Deed(
            _with_keys,
            lambda consumer, text: consumer.edit_credential(0, NewCredential("reference", key_name=f"{text}_{consumer.pk}"), **BEGUN),
            lambda consumer: consumer.references.get().key.name[0],
        ),
        "AiService.edit": Deed(
            lambda _region: cast.service(gateway),
            lambda service, text: service.edit(address=f"https://api.example.com/{text}", **supplier, **BEGUN),
            lambda service: service.address[-1],
        ),
        "AgentService.edit": Deed(
            lambda _region: cast.agent(gateway),
            lambda agent, text: agent.edit(NewAgent("dify", f"https://agent.example.com/{text}", "chatbot"), **BEGUN),
            lambda agent: agent.address[-1],
        ),
        "McpService.edit": Deed(
            lambda _region: cast.mcp(gateway),
            lambda mcp, text: mcp.edit(address="https://tools.example.com", transport="streamable-http", path=f"/{text}", **BEGUN),
            lambda mcp: mcp.path[-1],
        ),
        "McpService.configure_backend_auth": Deed(
            lambda _region: cast.mcp(gateway),
            lambda mcp, text: mcp.configure_backend_auth(f"x-{text}", NewCredential("custom", cast.value()), **BEGUN),
            lambda mcp: mcp.header[-1],
        ),
        "CustomPlugin.edit": Deed(
            cast.custom_plugin,
            lambda plugin, text: plugin.edit(description=text, **script, **BEGUN),
            lambda plugin: plugin.description,
        ),
        "Rule.write": Deed(
            lambda _region: cast.rule(edge, "allow_origins: [https://example.com]\n", cast.service(gateway)),
            lambda rule, text: Rule.write(
                edge, rule.service, f"allow_origins: [https://{text}.example.com]\n", lock_version=rule.lock_version, by=cast.SETUP
            ),
            lambda rule: rule.text.partition("://")[2][0],
        ),
        "Rule.restore": Deed(
            lambda _region: _rewritten(edge, cast.service(gateway)),
            lambda rule, text: rule.restore(one(text), lock_version=rule.lock_version, by=cast.SETUP),
            lambda rule: rule.text.partition("://")[2][0],
        ),
    }


def _with_keys(region: Region) -> Consumer:
    consumer = cast.consumer(region)
    for text in "ab":
        cast.key(region, f"{text}_{consumer.pk}")
    return consumer


def _turned(region: Region) -> Key:
    """At its third version."""
    key = cast.key(region)
    for _ in range(2):
        key.rotate(cast.value(), by=cast.SETUP)
    return key


def _rewritten(plugin: Any, service: Any) -> Rule:
    """At its third revision; the first two say which they are."""
    for text in "abc":
        rule = cast.rule(plugin, f"allow_origins: [https://{text}.example.com]\n", service)
    return rule


def test_of_two_who_begin_from_the_same_state_one_wins_and_the_other_is_told(db: None) -> None:
    region = cast.deployment()
    for name, deed in deeds(region).items():
        for _ in range(ROUNDS):
            made = deed.make(region)
            mine, theirs = (type(made)._default_manager.get(pk=made.pk) for _ in range(2))
            seq = AuditHead.objects.get().seq
            results = at_once(partial(deed.edit, mine, "a"), partial(deed.edit, theirs, "b"))
            assert kinds(results) == {"StaleEdit": 1}, (name, results)
            (stale,) = (result for result in results if isinstance(result, StaleEdit))
            assert stale.current, name
            now = type(made)._default_manager.get(pk=made.pk)
            assert deed.now(now) in (ONCE, "ba"[results.index(stale)]), name
            done = AuditEntry.objects.filter(seq__gt=seq, outcome="ok").exclude(action="audit.repeat")  # of earlier refusals
            assert done.count() == 1, name
    whole_log()


def test_no_deed_that_begins_from_a_state_is_missing_above(db: None) -> None:
    ours = [model for model in apps.get_models() if model.__module__.startswith(("gateway.", "secrets_app."))]
    found = {"set_policy"}
    for model in ours:
        found |= {f"{model.__name__}.{name}" for name, verb in vars(model).items() if _begins(name, verb)}
    assert found - OTHER == set(deeds(cast.deployment()))


def _begins(name: str, verb: object) -> bool:
    act = verb.__func__ if isinstance(verb, classmethod) else verb
    return not name.startswith("_") and inspect.isfunction(act) and bool(STATE & set(inspect.signature(act).parameters))
