"""An archive as a place to look for calls, to be opened as often as somebody asks."""

from __future__ import annotations

import time

from .catalog import Catalog
from .reader import Archive
from .storage import ArchiveError, Storage

EVERY_S = 15.0
"""How often the storage is looked at for new calls: each look costs requests."""


class ArchivePlace:
    """A :class:`..stored.source.Place`.

    Args:
        address: ``s3://bucket/prefix``, ``gs://…``, ``az://…``, or a folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    @property
    def name(self) -> str:
        return self.address

    def check(self) -> None:
        self.open().close()

    def open(self) -> Archive:
        return Archive(self.address)

    def changes(self) -> ArchiveSign:
        return ArchiveSign(self.address)


class ArchiveSign:
    """Tells whether calls were written to the archive: a :class:`..stored.source.ChangeSign`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._seen: object = None
        self._looked = float("-inf")

    def look(self) -> object:
        """The objects of the newest day, looked up every :data:`EVERY_S`."""
        if time.monotonic() - self._looked >= EVERY_S:
            self._looked = time.monotonic()
            try:
                catalog = Catalog(Storage(self._address))
                day = next(catalog.days(), None)
                self._seen = day, catalog.day(day) if day is not None else None
            except ArchiveError:
                return self._seen
        return self._seen

    def close(self) -> None:
        pass
