"""Tells when the journal has changed. SQLite counts what other connections commit
(``PRAGMA data_version``), so a look costs next to nothing; it is made on a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ...journal import schema
from ...journal.place import Identity, file_identity

EVERY_S = 0.5


class JournalWatch:
    """Looks at a journal, which need not exist yet, from an event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefactor-watch")
        self._connection: sqlite3.Connection | None = None
        self._file: Identity | None = None
        self._next = asyncio.Event()
        self.version = 0
        """Counts the changes that were seen."""
        self.stopped = False

    async def run(self) -> None:
        """Look until it is cancelled."""
        loop = asyncio.get_running_loop()
        seen = await loop.run_in_executor(self._thread, self._look)
        while True:
            await asyncio.sleep(EVERY_S)
            found = await loop.run_in_executor(self._thread, self._look)
            if found != seen:
                seen = found
                self.version += 1
                self._tell()

    async def changed(self, since: int, timeout: float) -> int:
        """The version, as soon as it is another than ``since``, or after ``timeout`` seconds."""
        if self.version == since and not self.stopped:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._next.wait(), timeout)
        return self.version

    def stop(self) -> None:
        """Let go all who wait."""
        self.stopped = True
        self._tell()

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._forget)
        self._thread.shutdown(wait=False)

    def _tell(self) -> None:
        told, self._next = self._next, asyncio.Event()
        told.set()

    def _look(self) -> tuple[Identity | None, int]:
        """What is another one after each change."""
        found = file_identity(self._path)
        if found is None:
            self._forget()
            return None, 0
        if found != self._file:  # set aside as damaged, and a new one begun
            self._forget()
            self._file = found
        try:
            if self._connection is None:
                self._connection = schema.follow(self._path, timeout=1.0)
            if self._connection is None:
                return self._file, 0
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        except (sqlite3.Error, schema.UnusableJournalError):
            self._forget()
            return None, -1
        return self._file, version

    def _forget(self) -> None:
        self._file = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
