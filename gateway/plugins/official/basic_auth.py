"""basic-auth: callers present a user name and a password."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.plugins import admission, identity
from gateway.plugins.base import Accepted, Config, Finding, Native, Official, Secret
from gateway.sources import Source
from secrets_app.refs import Template

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "consumers": {
            "type": "array",
            "description": _("Who may present a user name and a password."),
            "minItems": 1,
            "maxItems": 1000,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "credential"],
                "properties": {
                    "name": identity.NAME,
                    "credential": {
                        "type": "string",
                        "description": _(
                            "User name and password: “user:$ref{password}”, or a reference to a key that holds both with a colon between."
                        ),
                        "examples": ["alice:$ref{alice_password}"],
                    },
                },
            },
        },
        "global_auth": identity.GLOBAL_AUTH,
        "allow": identity.ALLOW,
    },
}

EXAMPLE = """\
consumers:
- name: alice
  # the user name, a colon, and the key that holds the password
  credential: alice:$ref{alice_password}
"""


def check(config: Config, level: str) -> list[Finding]:
    found = identity.check_levels(config, level)
    if identity.only_authorizes(config):
        return found
    if "consumers" not in config:
        return [*found, ((), _("The field “consumers” is missing here."))]
    found += identity.check_names(config["consumers"])
    seen: set[str] = set()
    for number, consumer in enumerate(config["consumers"]):
        path, credential = ("consumers", number, "credential"), consumer["credential"]
        if not isinstance(credential, Template):
            continue  # told already: a credential in the clear
        user, colon, _rest = str(credential.parts[0]).partition(":") if isinstance(credential.parts[0], str) else ("", "", "")
        if credential.whole is None and not (user and colon):
            found.append((path, _("Write the user name, a colon and the reference: “user:$ref{password}”.")))
        same = user or str(credential).lower()
        if same in seen:
            found.append((path, _("This user name stands here twice.")))
        seen.add(same)
    return found


def native(config: Config, level: str, above: Config | None = None) -> Native:
    return admission.admitting(config, above, _admit)


def _admit(config: Config) -> Native:
    """Not by Envoy's own basic_auth: that knows one password of a user at a time, and says the user's name where the consumer's belongs."""
    accepted = [
        Accepted(("consumers", number, "credential"), consumer["credential"], f"{consumer['name']}/0", basic=True)
        for number, consumer in enumerate(config["consumers"])
    ]
    challenge = 'Basic realm="MSE Gateway", charset="UTF-8"'
    return admission.by_key(accepted, [Source("header", "authorization")], asks="basic", challenge=challenge, named=True)


PLUGIN = Official(
    name="basic-auth",
    title=_("Basic authentication"),
    summary=_("Lets in callers who present a user name and a password."),
    documentation=(
        _("A caller sends “Authorization: Basic” with a user name and a password, as browsers and curl -u do. Others get 401."),
        _("The caller's name reaches the back end as x-mse-consumer; the password does not travel on."),
        _("The rule of a service can hold “allow” alone: then only those consumers of the instance's rule may call it; others get 403."),
    ),
    version="1.0.0",
    phase="authentication",
    priority=320,
    schema=SCHEMA,
    example=EXAMPLE,
    secret_fields={
        "consumers[*].credential": Secret(inbound=True, travels=_("Only in the list of accepted credentials, which Envoy never shows.")),
    },
    check=check,
    covers=identity.covers_every_service,
    native=native,
)
