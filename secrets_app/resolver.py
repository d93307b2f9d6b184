"""Hands key values to the compiler: one of the two places where a sealed value is opened. Only the control plane imports it."""

import logging
from collections.abc import Iterable
from uuid import UUID

from secrets_app import keyring
from secrets_app.envelope import Context, Sealed, open_sealed
from secrets_app.errors import CannotOpen
from secrets_app.models import Deployment, KeyVersion
from secrets_app.plaintext import Plaintext

log = logging.getLogger(__name__)


class Resolver:
    """Opened values by version id, kept in memory: opening one costs 65 us, and versions never change.

    A version that cannot be opened is absent from the answer; that harms only the holders that refer to it. It is told once, and tried
    again when what is stored has changed.
    """

    def __init__(self) -> None:
        deployment = Deployment.here()
        self._unwrapper = keyring.unwrapper(deployment.check_values)  # raises CannotOpen: without the private half nothing can be served
        self._deployment = deployment.pk
        self._opened: dict[UUID, Plaintext] = {}
        self._closed: dict[UUID, Sealed] = {}  # as it was when it could not be opened

    def resolve(self, version_ids: Iterable[UUID]) -> dict[UUID, Plaintext]:
        """Values of these versions. Forgets every other one: what is no longer served need not stay in memory."""
        wanted = set(version_ids)
        self._opened = {version: value for version, value in self._opened.items() if version in wanted}
        self._closed = {version: sealed for version, sealed in self._closed.items() if version in wanted}
        missing = list(wanted - self._opened.keys())
        for start in range(0, len(missing), 500):
            self._open(missing[start : start + 500])
        return dict(self._opened)

    def _open(self, version_ids: list[UUID]) -> None:
        rows = KeyVersion.objects.filter(pk__in=version_ids).values_list("id", "key_id", "key__region_id", "body", "wrapped", "kek_id")
        for version, key, region, body, wrapped, kek_id in rows:
            context, sealed = Context(self._deployment, region, key, version), Sealed(bytes(body), bytes(wrapped), kek_id)
            if self._closed.get(version) == sealed:
                continue
            try:
                self._opened[version] = open_sealed(sealed, context, self._unwrapper)
            except CannotOpen:
                self._closed[version] = sealed
                log.error("Version %s of key %s cannot be opened; its holders are left out.", version, key)
