"""What key-auth, basic-auth and jwt-auth share: `allow`, `global_auth`, and what a rule of theirs may hold at which level."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.plugins.base import INSTANCE, SERVICE, Config, Finding

ALLOW: dict[str, Any] = {
    "type": "array",
    "description": _(
        "Names of consumers who may call the service; an empty list lets nobody in. Service level only, in a rule that holds nothing else."
    ),
    "items": {"type": "string", "minLength": 1, "maxLength": 128},
    "maxItems": 1000,
}
GLOBAL_AUTH: dict[str, Any] = {
    "type": "boolean",
    "description": _(
        "Instance level only. true: every service demands a credential. false: only services with a rule of their own. "
        "Left out: every service, as long as no service has a rule of its own."
    ),
}
NAME: dict[str, Any] = {
    "type": "string",
    "description": _("The caller's name. The back end receives it as x-mse-consumer."),
    "minLength": 1,
    "maxLength": 128,
    "pattern": r"[A-Za-z0-9._@-]+",
    "x-pattern-text": _("letters, digits and . _ @ -"),
}


def only_authorizes(config: Config) -> bool:
    """The rule says who of the instance-level rule's consumers may call, and nothing else."""
    return set(config) == {"allow"}


def covers_every_service(config: Config, others: bool) -> bool:
    """Whether an instance-level rule holds for services without a rule of their own; `others`: some service has one, enabled."""
    wanted = config.get("global_auth")
    return not others if wanted is None else bool(wanted)


def check_names(consumers: Sequence[Config]) -> Iterator[Finding]:
    """Each caller has a name of its own: the back end knows it by nothing else."""
    seen: set[str] = set()
    for number, consumer in enumerate(consumers):
        if consumer["name"] in seen:
            yield ("consumers", number, "name"), _("This name stands here twice.")
        seen.add(consumer["name"])


def check_levels(config: Config, level: str) -> list[Finding]:
    """One rule holds authentication or authorization, not both; each belongs to its level."""
    findings: list[Finding] = []
    if "allow" in config:
        if level == INSTANCE:
            findings.append((("allow",), _("“allow” belongs to the rule of a service: at the instance level it has no meaning.")))
        elif not only_authorizes(config):
            findings.append((("allow",), _("A rule holds either who the callers are or who of them is allowed. Remove one of the two.")))
    if "global_auth" in config and level == SERVICE:
        findings.append((("global_auth",), _("“global_auth” belongs to the rule of the instance: at the service level it has no meaning.")))
    return findings
