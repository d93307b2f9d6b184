"""Whether a key may go somewhere, asked by a deed: its policy, who asks, and what is said to those whom it refuses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.utils.functional import Promise
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.errors import Invalid
from secrets_app.models.policy import KINDS, Destination, Policy
from secrets_app.texts import listed

if TYPE_CHECKING:
    from secrets_app.models.key import Key


def admitting(key: "Key", to: Sequence[Destination], by: Actor, *, widens: bool) -> Policy:
    """The policy of the key, should this person let it go there: the one that it has, or a wider one where they may set it and the deed
    `widens`: then they have to have shown who they are just now. A value of a holder's own was entered for one host, and goes to no other
    whoever asks. Raises OutsidePolicy."""
    policy, name = key.policy, key.audit_name
    astray = next((one for one in to if policy.refuses(one)), None)
    if key.is_inline:
        if astray:
            raise entered_for_another(policy, astray)
        return policy
    sets = by.may("key.set_policy", key)
    if sets and widens:
        wider = policy.with_these(to)
        if wider != policy and not by.fresh:
            raise OutsidePolicy(_STALE % {"key": name}, name)
        return wider
    if not sets and not policy.closed and not policy.lets_bind(by.teams):
        raise not_in_team(name)
    if astray:
        raise outside(name, policy, astray)
    return policy


_STALE = _(
    "This lets the key “%(key)s” go somewhere new, and it is more than five minutes since you showed who you are. "
    "Confirm that it is you at /account/confirm/ in another tab, then save again."
)


class OutsidePolicy(Invalid):
    """The key may not go there, or not be put there by this person. `key` is its name, empty for a value of a holder's own."""

    def __init__(self, message: object, key: str, to: Destination | None = None) -> None:
        super().__init__({"key": [message]})
        self.key, self.to = key, to


def outside(key: str, policy: Policy, to: Destination) -> OutsidePolicy:
    if policy.closed:
        text = _NOWHERE % {"key": key}
    else:
        text = _OUTSIDE[policy.refuses(to) or "kind"] % {
            "key": key,
            "host": to.host,
            "kind": KINDS.get(to.kind, to.kind),
            "instance": to.instance,
            "header": to.header,
        }
        text = f"{text} {_ALLOWS % {'policy': policy}} {_ASK}"
    return OutsidePolicy(text, key, to)


def not_in_team(key: str) -> OutsidePolicy:
    text = _("The key “%(key)s” may be bound by members of certain teams alone, and you are in none of them. %(ask)s")
    return OutsidePolicy(text % {"key": key, "ask": _ASK}, key)


def entered_for_another(policy: Policy, to: Destination) -> OutsidePolicy:
    text = _("The value stored here was entered for %(hosts)s. Enter it again to send it elsewhere: nobody can look at the stored one.")
    return OutsidePolicy(text % {"hosts": listed(policy.hosts) or now("another place")}, "", to)


_ASK = _("Ask an owner or a key manager to change its policy.")
_ALLOWS = _("Its policy allows: %(policy)s.")
_NOWHERE = _("The key “%(key)s” may go nowhere yet. Ask an owner or a key manager to say in its policy where it may go.")
_OUTSIDE: dict[str, Promise] = {
    "kind": _("The key “%(key)s” may not be used by %(kind)s."),
    "host": _("The key “%(key)s” may not be sent to %(host)s."),
    "instance": _("The key “%(key)s” may not be used on the instance %(instance)s."),
    "header": _("The key “%(key)s” may not be sent in %(header)s."),
}
