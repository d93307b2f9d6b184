"""What a test of a connection came to, in words: what happened, and what to do about it."""

from dataclasses import dataclass
from typing import Self

from django.utils.functional import Promise
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from gateway.models.trial import Trial

_NOT_SENT: dict[str, tuple[Promise, Promise]] = {
    "disabled": (_("The key is disabled"), _("Nothing was sent. Enable the key, or choose another.")),
    "policy": (
        _("The key may not go there"),
        _("Nothing was sent: this address is outside of the key's policy. Gateways do not send it either."),
    ),
    "unreadable": (_("The stored value cannot be opened"), _("Nothing was sent. Rotate the key, or restore the keyring from your backup.")),
    "charset": (_("The value cannot travel in a header"), _("Nothing was sent. Rotate the key to a value of printable ASCII characters.")),
    "ours": (_("The address leads to Latchkey itself"), _("Nothing was sent. Enter the address of the back end.")),
    "here": (
        _("The address leads to the control plane's own machine"),
        _("Nothing was sent: what listens there is nobody's to look at. Where back ends do run there, set CONSOLE_PROBE_LOOPBACK."),
    ),
}
_NO_ANSWER: dict[str, tuple[Promise, Promise]] = {
    "unknown_name": (
        _("The host name is not known"),
        _("No address was found for it. Check the spelling, and this machine's name servers."),
    ),
    "no_connection": (_("No connection"), _("Nobody listens at the address, or a firewall stands between. Check host and port.")),
    "tls": (_("The certificate is not trusted"), _("The encrypted connection could not be set up, and nothing was sent.")),
    "too_slow": (_("No answer in time"), _("The back end did not answer within 10 seconds.")),
    "no_http": (_("No HTTP answer"), _("Somebody listens there and does not speak HTTP. Check the port, and http or https.")),
}


@dataclass(frozen=True, slots=True)
class Told:
    tone: str
    icon: str
    title: str
    text: str

    @classmethod
    def of(cls, trial: Trial, *, with_key: bool) -> Self:
        if trial.result in _NOT_SENT:
            title, text = _NOT_SENT[trial.result]
            return cls("bad", "circle-alert", str(title), str(text))
        if trial.result != "answered":
            title, text = _NO_ANSWER.get(trial.result, _NO_ANSWER["no_http"])
            detail = f" {trial.message}." if trial.message else ""
            return cls("bad", "unplug", str(title), f"{text}{detail}")
        return cls(*_answered(trial, with_key))


def _answered(trial: Trial, with_key: bool) -> tuple[str, str, str, str]:
    status = trial.status
    if status in (401, 403):
        if with_key:
            return (
                "bad",
                "key-round",
                now("The back end refuses the key"),
                now("Rotate to a value that is good there, or check what it may do."),
            )
        return "warn", "key-round", now("The back end wants a key"), now("It answers, and lets nobody in without one.")
    if 300 <= status < 400:
        text = now("Gateways follow no redirect, and neither does this test. Enter the address that it leads to.")
        return "warn", "corner-up-right", now("The back end answers with a redirect"), text
    if 200 <= status < 300:
        text = now("It accepts the key.") if with_key and trial.sure else now("Whether it accepts a key is not seen from this call.")
        return "ok", "circle-check", now("The connection works"), text if with_key else now("No key was shown.")
    if status == 429:
        return "warn", "clock-alert", now("The back end answers, and is busy"), now("It limits calls at the moment. Try again later.")
    if status >= 500:
        return "warn", "triangle-alert", now("The back end answers with a failure"), now("It is reached and has trouble of its own.")
    text = now("It knows no such call, so whether it accepts the key is not seen. The key was not refused.")
    return "info", "info", now("The back end answers"), text
