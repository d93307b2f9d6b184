"""What may be kept of a node's refusal. Envoy quotes callers' keys in its refusals, so nothing of its text is ever kept.

The text is only compared with phrases below. Out comes a sentence of ours, the code, and the name that we gave the resource.
"""

from dataclasses import dataclass

from gateway.type_urls import SHORT
from gateway.xds.stream import Refusal


@dataclass(frozen=True, slots=True)
class Refused:
    """Safe to store, to log and to show."""

    kind: str  # "LDS", "RDS", ...
    name: str
    code: int  # google.rpc.Code
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.kind} {self.name}, code {self.code})"


_REASONS = (
    ("address already in use", "Another program listens on the gateway's port."),
    ("cannot assign requested address", "The gateway's host is no address of its machine."),
    ("cannot bind", "The gateway may not listen on its host and port."),
    ("duplicated credential key", "Two consumers have equal keys."),
    ("constraint validation failed", "A field has a value that Envoy does not take."),
    ("unknown cluster", "A route leads to a cluster that the node does not have."),
    ("didn't find a registered implementation", "This Envoy lacks a part that the gateway needs; run the version that README names."),
    ("has unknown fields", "This Envoy does not know a field; run the version that README names."),
    ("could not find", "This Envoy lacks a part that the gateway needs; run the version that README names."),
)
_OTHER = "Envoy refused it for a reason that is not kept, because it could quote a key."


def classify(refusal: Refusal) -> Refused:
    text = refusal.text.lower()
    reason = next((sentence for phrase, sentence in _REASONS if phrase in text), _OTHER)
    return Refused(SHORT[refusal.type_url], refusal.name, refusal.code, reason)
