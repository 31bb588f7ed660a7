"""Keeps the journal within its age and size. Whole calls leave it, the oldest first."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from ..core import forks
from . import place, schema
from .outbox import left_behind

_DAY_US = 86_400_000_000
_ROOM = 2
"""So many times its limit the journal may grow while calls in it wait to be delivered."""
_PAUSE_S = 0.005
"""Between two calls, so that a writer never waits for more than one of them."""
_WITHOUT_ROOT = (
    "SELECT s.session_id, min(s.started_us), 0, count(*), 0, 0 FROM spans s "
    "WHERE NOT EXISTS (SELECT 1 FROM spans r WHERE r.id = s.session_id) GROUP BY s.session_id"
)
"""Of calls during which the journal was removed: their session's own row comes with its end, or
never, if their process died."""


class Pruned(NamedTuple):
    calls: int
    spans: int
    undelivered: int
    """Spans that went without having been delivered, though they were to be."""
    kept_undelivered: int
    """Calls that are due to go, and stay because they are not delivered yet."""
    bytes_before: int
    bytes_after: int


def size(path: Path) -> int:
    """Bytes of the journal with its log."""
    return place.size(path) + place.size(place.wal(path))


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
    """Remove calls that are older than ``days``, and the oldest ones above ``limit`` bytes. Calls
    that run stay. Those that wait to be delivered stay, too, unless ``undelivered`` is set or the
    journal has grown to twice its limit; the answer says what was lost that way.

    Args:
        call: The id of the one that is to go, whatever its age; all others stay.
        compact: Leave nothing in the log of what was removed, and give the space back to the disk,
            if no call is running.
        stop: Asked before each call whether the rest can wait for the next time.

    Raises:
        sqlite3.Error, OSError: The journal cannot be read or written.
        UnusableJournalError: It is none.
    """
    with forks.fork_safe():
        connection = schema.connect(path, timeout=5.0)
    try:
        # Some builds of SQLite leave the words of what is deleted in the file's free pages.
        connection.execute("PRAGMA secure_delete = ON")
        before = size(path)
        used = _used(connection)
        # A call's exact size would take reading all of it; what is over goes the next time.
        per_span = used // max(1, connection.execute("SELECT count(*) FROM spans").fetchone()[0])
        calls = spans = lost = kept = 0
        oldest = time.time_ns() // 1000 - int(days * _DAY_US)
        running = _running(connection)
        # A call without a token was never to be delivered: it goes like one that was.
        query = (
            "SELECT s.id, s.started_us, coalesce(c.state, 4) < 4 AND coalesce(c.wanted, 0) = 1, "
            "(SELECT count(*) FROM spans x WHERE x.session_id = s.id), "
            "(SELECT count(*) FROM outbox o WHERE o.session_id = s.id), coalesce(c.wanted, 0) "
            "FROM spans s LEFT JOIN calls c ON c.session_id = s.id "
            "WHERE s.parent_id IS NULL"
        )
        found = [row for one in (query, _WITHOUT_ROOT) for row in connection.execute(one)]
        for id_, started, waits, count, left, wanted in sorted(found, key=itemgetter(1)):
            if call is None and started >= oldest and used <= limit:
                break
            if id_ in running or call not in (None, id_):
                continue
            if stop():
                break
            if waits and not undelivered and (call is not None or used <= limit * _ROOM):
                kept += 1
                continue
            calls, spans, lost = calls + 1, spans + count, lost + (left if wanted else 0)
            used -= count * per_span
            if not dry_run:
                _remove(connection, id_)
                time.sleep(_PAUSE_S)
        if calls and compact and not dry_run:
            if not _running(connection):
                connection.execute("VACUUM")  # it locks the file for as long as it takes
            # What was written before is in the log still.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Pruned(calls, spans, lost, kept, before, size(path))
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
    """The calls that somebody may still write to. Only delivery ends those that were left behind,
    and not every journal is delivered."""
    query = (
        "SELECT s.id, c.process FROM spans s LEFT JOIN calls c ON c.session_id = s.id "
        "WHERE s.parent_id IS NULL AND s.status = 'active'"
    )
    rows = connection.execute(query).fetchall()
    rows += [(row[0], None) for row in connection.execute(_WITHOUT_ROOT).fetchall()]
    return {id_ for id_, process in rows if not left_behind(connection, id_, process)}


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
            "DELETE FROM calls WHERE session_id = ?",
            "DELETE FROM spans WHERE session_id = ?",
        ):
            connection.execute(statement, (session_id,))
