"""What the settings page shows of this installation: where values are sealed, and which versions run."""

import platform
import tomllib
from dataclasses import dataclass
from functools import cache

import django
from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.utils.translation import gettext as now

from gateway.models import Node
from secrets_app import keyring
from secrets_app.errors import CannotSeal
from secrets_app.models import KeyVersion, MasterKey


@dataclass(frozen=True, slots=True)
class Store:
    """A master key: `sealing` when new values are sealed for it, `trouble` why none can be, with how many stored values it opens."""

    master_key: MasterKey
    sealing: bool
    trouble: str
    versions: int


def stores() -> list[Store]:
    sealed = dict(KeyVersion.objects.values_list("kek_id").annotate(Count("pk")).order_by())
    keys = MasterKey.objects.select_related("kms_instance").order_by("kms_instance__name", "name")
    return [Store(key, *_sealing(key), sealed.get(key.kek_id, 0)) for key in keys]


def _sealing(key: MasterKey) -> tuple[bool, str]:
    try:
        return keyring.wrapper(key.kms_instance.uri).kek_id == key.kek_id, ""
    except CannotSeal as refused:
        return False, refused.message


def versions() -> list[tuple[str, str]]:
    envoys = Node.objects.exclude(envoy_version="").values_list("envoy_version", flat=True).distinct().order_by("envoy_version")
    return [
        ("Latchkey", _own_version()),
        ("Envoy", ", ".join(envoys) or now("No gateway yet")),
        ("Python", platform.python_version()),
        ("Django", django.get_version()),
        (connection.display_name, ".".join(map(str, connection.get_database_version()))),
    ]


@cache
def _own_version() -> str:
    return str(tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]["version"])
