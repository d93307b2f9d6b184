"""`$ref{name}`: how configuration text refers to a key."""

import re

_OPENING = re.compile(rb"\$ref\{", re.IGNORECASE)


def looks_like_reference(value: bytes) -> bool:
    """Whether somebody entered a reference where a value belongs. Taken literally it would be a password that everybody can guess."""
    return bool(_OPENING.search(value))
