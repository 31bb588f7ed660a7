"""Writes calls of a journal to the archive, each once."""

from __future__ import annotations

import time
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import from_json

from ..core.json import JSON
from ..core.values import agent_of
from ..journal.archiving import ArchiveTodo, Due
from ..journal.ended_calls import DigestOf
from ..stored import recording
from .layout import object_path, partition, recording_path
from .storage import Storage
from .table import connect, parquet

if TYPE_CHECKING:
    import duckdb

PART_S = 300.0
"""A call that runs for longer is written as far as it has come, and again and again: a host that
dies loses so much of it at most, or a :data:`PART` of what it had."""
PART = 0.1
"""Each time the whole call is written, in the place of what was there: so all that is written of
it, however long it runs, is at most ``1 / PART + 1`` times what it comes to."""


class Writer:
    """One journal and one archive. Used by one thread.

    Args:
        audio: Write the recordings of calls, too, once they have ended.

    Raises:
        ArchiveError, StorageError, SourceError, OSError: From every method.
    """

    def __init__(self, journal: Path, storage: Storage, todo: ArchiveTodo, *, audio: bool):
        self._journal, self._storage, self._todo = journal, storage, todo
        self._audio = audio

    @cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        return connect(threads=1)

    def pending(self, *, others: bool) -> list[Due]:
        """The calls to be written now. See :meth:`.ArchiveTodo.due`."""
        now = time.time_ns() // 1000
        return [due for due in self._todo.due(others=others) if not _too_early(due, now)]

    def write(self, due: Due) -> bool:
        """Write a call. ``False``: another process is doing it, or there is nothing of it."""
        if not self._todo.claim(due.session_id):
            return False
        call = self._todo.rows(due.session_id)
        if (root := call.root) is None:
            return False
        folder = partition(agent_of(_payload(root.payload)), root.started_us)
        data = parquet(self._database, call, self._journal.parent)
        if self._audio and not due.running:
            # Before the call, so that who finds the call finds its recording.
            self._put_recording(folder, call.session_id)
        self._put(object_path(folder, call.session_id, running=due.running), data, due)
        if not due.running:
            self._storage.delete([object_path(folder, call.session_id, running=True)])
        self._todo.written(call, running=due.running)
        return True

    def _put_recording(self, folder: str, session_id: str) -> None:
        if (found := recording.of_call(self._journal, session_id)) is not None:
            self._storage.put_file(recording_path(folder, session_id), found.path)

    def _put(self, path: str, data: bytes, due: Due) -> None:
        if self._storage.put(path, data, replace=due.running or due.again):
            return
        # It is there: it arrived, and the answer did not; or only a half of it was written.
        there = self._storage.head(path)
        if there is None or there.size != len(data):
            self._storage.put(path, data, replace=True)


def _too_early(due: Due, now_us: int) -> bool:
    """Whether a call that runs was begun, or written, too short a time ago to be written now."""
    return due.running and now_us < next_part_us(due.started_us, due.written_us)


def next_part_us(started_us: int, written_us: int) -> int:
    """When a call that runs is to be written next, in microseconds since the epoch, as the others.

    Args:
        written_us: When it was last written; 0: never.
    """
    last = max(started_us, written_us)
    return last + max(round(PART_S * 1e6), round((last - started_us) * PART))


def _payload(text: str) -> JSON:
    try:
        value = from_json(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


class Pushed(NamedTuple):
    """What was written, and what was left."""

    calls: int
    left: int


def push_all(
    journal: Path,
    address: str,
    digest_of: DigestOf,
    *,
    audio: bool = False,
    again: bool = False,
) -> Pushed:
    """Write all calls of a journal that have ended and are not in the archive.

    Args:
        audio: Their recordings, too.
        again: Also those that were written before, maybe to another archive.

    Raises:
        ArchiveError, StorageError, UnusableJournalError, OSError
    """
    with closing(ArchiveTodo(journal, digest_of)) as todo:
        todo.want_all(again=again)
        writer = Writer(journal, Storage(address, create=True), todo, audio=audio)
        ended = [due for due in writer.pending(others=True) if not due.running]
        return Pushed(sum(map(writer.write, ended)), todo.backlog())
