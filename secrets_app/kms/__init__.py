"""Where master keys live. A KMS instance names its provider by URI ("builtin:"); a new provider is one module and one row."""

from secrets_app.errors import CannotSeal
from secrets_app.kms import builtin
from secrets_app.kms.base import Provider

PROVIDERS: dict[str, Provider] = {"builtin": builtin}


def provider(uri: str) -> Provider:
    """Raises CannotSeal for a scheme that no provider has."""
    scheme, _, _ = uri.partition(":")
    if scheme not in PROVIDERS:
        raise CannotSeal(f'There is no KMS provider "{scheme}". Known ones: {", ".join(PROVIDERS)}.')
    return PROVIDERS[scheme]
