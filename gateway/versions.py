"""Compatibility versions of an instance, newest first. References exist from 2.1.11 on (the documented gate)."""

COMPATIBILITY_VERSIONS = tuple(f"2.1.{minor}" for minor in (25, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10))
NEWEST = COMPATIBILITY_VERSIONS[0]
FIRST_WITH_REFERENCES = "2.1.11"


def supports_references(version: str) -> bool:
    return _parts(version) >= _parts(FIRST_WITH_REFERENCES)


def newer_than(version: str) -> list[str]:
    """What an instance of this version can be upgraded to, newest first."""
    return [one for one in COMPATIBILITY_VERSIONS if _parts(one) > _parts(version)]


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
