"""Keeps the journal, with the recordings beside it, within its age and size: whole calls are
removed, the oldest first."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from ..core import forks
from ..stored import recording
from . import place, schema
from .claims import left_behind

_DAY_US = 86_400_000_000
_ROOM = 2
"""The journal may grow to so many times its limit while calls in it wait to be delivered."""
_WRITTEN_US = 3_600_000_000
"""A recording that changed within this time may be of a call that runs, and is not in the journal
yet."""
_PAUSE_S = 0.005
"""Between two calls, so that a writer never waits for more than one of them."""
_WITHOUT_ROOT = (
    "SELECT s.session_id, min(s.started_us), 0, count(*), 0, 0 FROM spans s "
    "WHERE NOT EXISTS (SELECT 1 FROM spans r WHERE r.id = s.session_id) GROUP BY s.session_id"
)
"""Calls during which the journal was removed: the session's row comes with its end, or never if the
process died."""


class Pruned(NamedTuple):
    calls: int
    spans: int
    undelivered: int
    """Spans that were removed although they still had to be delivered."""
    kept_undelivered: int
    """Calls that are old enough, and stay because they are not delivered yet."""
    bytes_before: int
    bytes_after: int


def size(path: Path) -> int:
    """Bytes of the journal with its log and the recordings of its calls."""
    recorded = sum(kept.bytes for kept in recording.all_of(path).values())
    return place.size(path) + place.size(place.wal(path)) + recorded


def prune(
    path: Path,
    *,
    days: float,
    limit: int,
    call: str | None = None,
    undelivered: bool = False,
    dry_run: bool = False,
    compact: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Pruned:
    """Remove calls that are older than ``days``, and the oldest ones above ``limit`` bytes, with
    their recordings. Calls that run stay. Those that wait to be delivered stay, too, unless
    ``undelivered`` is set or the journal has grown to twice its limit; the result says what was
    lost that way.

    Args:
        call: The id of the call to remove, whatever its age; all others stay.
        compact: Leave nothing of what was removed in the log, and if no call is running give the
            space back to the disk.
        stop: Asked before each call whether the rest can wait for the next time.

    Raises:
        sqlite3.Error, OSError: The journal cannot be read or written.
        UnusableJournalError: The file is no journal.
    """
    with forks.fork_safe():
        connection = schema.connect(path, timeout=5.0)
    try:
        # Some builds of SQLite leave the words of what is deleted in the file's free pages.
        connection.execute("PRAGMA secure_delete = ON")
        before = size(path)
        removal = _Removal(path, connection, dry_run)
        oldest = time.time_ns() // 1000 - int(days * _DAY_US)
        running = _running(connection)
        if call is None:
            for id_ in _without_call(connection, removal.recorded, oldest, removal.used > limit):
                removal.remove_recording(id_)
        kept = 0
        for each in _by_age(connection):
            if call is None and each.started_us >= oldest and removal.used <= limit:
                break
            if each.id in running or call not in (None, each.id):
                continue
            if stop():
                break
            has_room = call is not None or removal.used <= limit * _ROOM
            if each.waits and has_room and not undelivered:
                kept += 1
                continue
            removal.remove(each)
        if removal.calls and compact and not dry_run:
            _compact(connection)
        return Pruned(removal.calls, removal.spans, removal.undelivered, kept, before, size(path))
    finally:
        with forks.fork_safe():
            connection.close()


def is_due(path: Path, *, days: float, limit: int) -> bool:
    """Whether there is anything to prune. Quick."""
    if size(path) > limit:
        return True
    connection = schema.read_only(path, timeout=1.0)
    try:
        if not schema.has_tables(connection):
            return False
        row = connection.execute(
            "SELECT started_us FROM spans WHERE parent_id IS NULL ORDER BY started_us LIMIT 1"
        ).fetchone()
    finally:
        with forks.fork_safe():
            connection.close()
    return row is not None and row[0] < time.time_ns() // 1000 - int(days * _DAY_US)


def _running(connection: sqlite3.Connection) -> set[str]:
    """The calls that a process may still write to. An open call may have been left behind: only
    delivery ends those, and not every journal is delivered."""
    query = (
        "SELECT s.id, c.process FROM spans s LEFT JOIN calls c ON c.session_id = s.id "
        "WHERE s.parent_id IS NULL AND s.status = 'active'"
    )
    rows = connection.execute(query).fetchall()
    rows += [(row[0], None) for row in connection.execute(_WITHOUT_ROOT).fetchall()]
    return {id_ for id_, process in rows if not left_behind(connection, id_, process)}


def _without_call(
    connection: sqlite3.Connection,
    recorded: Mapping[str, recording.Kept],
    oldest_us: int,
    too_much: bool,
) -> list[str]:
    """Recordings of calls that are not in the journal (it was removed, or set aside) which are too
    old or, where there is too much, are not being written now."""
    if not recorded:
        return []
    known = {row[0] for row in connection.execute("SELECT DISTINCT session_id FROM spans")}
    written = time.time_ns() // 1000 - _WRITTEN_US
    before = max(oldest_us, written) if too_much else oldest_us
    return [id_ for id_, kept in recorded.items() if id_ not in known and kept.changed_us < before]


class _Call(NamedTuple):
    id: str
    started_us: int
    waits: int
    """It is to be delivered somewhere and not done. A call that was recorded without a target never
    was to be: it goes as one that is delivered."""
    spans: int
    undelivered: int
    """Spans."""
    wanted: int


class _Removal:
    """Removes calls with their recordings, and counts what is gone and what is left. A dry run only
    counts."""

    def __init__(self, path: Path, connection: sqlite3.Connection, dry_run: bool) -> None:
        self._path = path
        self._connection = connection
        self._dry_run = dry_run
        self.recorded = recording.all_of(path)
        """The recordings that there were, by call."""
        in_journal = _used(connection)
        rows = connection.execute("SELECT count(*) FROM spans").fetchone()[0]
        # A call's exact size would take reading all of it; what is over goes the next time.
        self._per_span = in_journal // max(1, rows)
        self.used = in_journal + sum(kept.bytes for kept in self.recorded.values())
        """Bytes that are left, as far as is known."""
        self.calls = 0
        self.spans = 0
        self.undelivered = 0
        """Spans that still had to be delivered."""

    def remove(self, call: _Call) -> None:
        self.calls += 1
        self.spans += call.spans
        self.undelivered += call.undelivered if call.wanted else 0
        self.used -= call.spans * self._per_span
        if call.id in self.recorded:
            self.remove_recording(call.id)  # first: without its call nobody would miss it
        if not self._dry_run:
            _remove(self._connection, call.id)
            time.sleep(_PAUSE_S)

    def remove_recording(self, call: str) -> None:
        """Of a call, by its id."""
        self.used -= self.recorded[call].bytes
        if not self._dry_run:
            recording.remove(self._path, call)


def _by_age(connection: sqlite3.Connection) -> list[_Call]:
    """All calls, the oldest first."""
    query = (
        "SELECT s.id, s.started_us, coalesce(c.state, 4) < 4 AND coalesce(c.wanted, 0) = 1 "
        "OR coalesce(e.done, 1) = 0 AND e.wanted = 1 "
        "OR EXISTS (SELECT 1 FROM archive a WHERE a.session_id = s.id AND a.due = 1), "
        "(SELECT count(*) FROM spans x WHERE x.session_id = s.id), "
        "(SELECT count(*) FROM (SELECT span_id FROM outbox o WHERE o.session_id = s.id "
        "UNION SELECT span_id FROM otlp_spans o WHERE o.session_id = s.id)), "
        "coalesce(c.wanted, 0) OR coalesce(e.wanted, 0) "
        "FROM spans s LEFT JOIN calls c ON c.session_id = s.id "
        "LEFT JOIN otlp_calls e ON e.session_id = s.id "
        "WHERE s.parent_id IS NULL"
    )
    found = [_Call(*row) for one in (query, _WITHOUT_ROOT) for row in connection.execute(one)]
    return sorted(found, key=attrgetter("started_us"))


def _compact(connection: sqlite3.Connection) -> None:
    if not _running(connection):
        connection.execute("VACUUM")  # it locks the file for as long as it takes
    # The log still has what was written before.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _used(connection: sqlite3.Connection) -> int:
    one = connection.execute
    pages = one("PRAGMA page_count").fetchone()[0] - one("PRAGMA freelist_count").fetchone()[0]
    return int(pages * one("PRAGMA page_size").fetchone()[0])


def _remove(connection: sqlite3.Connection, session_id: str) -> None:
    with forks.fork_safe(), schema.transaction(connection):
        for statement in (
            "DELETE FROM chunks WHERE span_id IN (SELECT id FROM spans WHERE session_id = ?)",
            "DELETE FROM outbox WHERE session_id = ?",
            "DELETE FROM remote_ids WHERE session_id = ?",
            "DELETE FROM otlp_spans WHERE session_id = ?",
            "DELETE FROM otlp_calls WHERE session_id = ?",
            "DELETE FROM calls WHERE session_id = ?",
            "DELETE FROM digests WHERE session_id = ?",
            "DELETE FROM archive WHERE session_id = ?",
            "DELETE FROM spans WHERE session_id = ?",
        ):
            connection.execute(statement, (session_id,))
