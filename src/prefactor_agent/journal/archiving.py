"""What is to be written to the archive: the calls of processes that have one (docs/fleet.md).

A row of the table ``archive`` is a call that is, or is to be, in the archive; ``due`` says that
something of it is not there yet. Triggers set it again when a span is written later."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from pydantic_core import to_json

from ..core import forks
from ..stored.source import SourceError
from . import digests, schema
from .claims import left_behind
from .ended_calls import DigestOf
from .outbox import Outbox
from .process import alive, this_process
from .reader import Journal
from .schema import Row

LEASE_S = 60.0
"""How long the claim of a call holds."""


class Due(NamedTuple):
    """A call of which something is not in the archive."""

    session_id: str
    running: bool
    """Its process still records it."""
    started_us: int
    """Microseconds since the epoch, as the next."""
    written_us: int
    """When it was last written while it ran; 0: never."""
    again: bool
    """It was written as a whole before, and has changed since."""


class CallRows(NamedTuple):
    """The rows of one call."""

    session_id: str
    spans: Sequence[Row]
    """In the order in which they began."""
    streams: dict[str, str]
    """By span, JSON: each stream's name, and what passed through it as a list of columns."""
    digest: str | None
    """JSON, of a call that has ended."""

    @property
    def root(self) -> Row | None:
        return next((row for row in self.spans if row.parent_id is None), None)

    @property
    def ended(self) -> int:
        """How many of the spans have ended."""
        return sum(row.finished_us is not None for row in self.spans)


class ArchiveTodo:
    """The to-do of the archive, and the rows to be written. Used by one thread.

    Raises:
        sqlite3.Error, UnusableJournalError: From every method.
    """

    def __init__(self, path: Path, digest_of: DigestOf) -> None:
        self._path, self._digest_of = path, digest_of
        self._me = this_process()
        with forks.fork_safe():
            self._connection = schema.connect(path, 5.0)

    def close(self) -> None:
        with forks.fork_safe():
            self._connection.close()

    def want_all(self, *, again: bool = False) -> None:
        """Have all calls written that are not in the archive, also those of processes without
        one.

        Args:
            again: Also those that were written before, maybe to another archive.
        """
        with forks.fork_safe(), schema.transaction(self._connection) as connection:
            if again:
                connection.execute("UPDATE archive SET due = 1")
            connection.execute(
                "INSERT OR IGNORE INTO archive (session_id) SELECT id FROM spans "
                "WHERE parent_id IS NULL"
            )

    def due(self, *, others: bool = True) -> list[Due]:
        """The calls to write, oldest first. Ends calls that a process left open which is gone.

        Args:
            others: Also those of processes that are gone.
        """
        found = []
        for session_id, status, process, started_us, written_us, again in self._connection.execute(
            "SELECT a.session_id, s.status, c.process, s.started_us, a.written_us, a.again "
            "FROM archive a "
            "JOIN spans s ON s.id = a.session_id LEFT JOIN calls c ON c.session_id = a.session_id "
            "WHERE a.due = 1 ORDER BY s.started_us"
        ).fetchall():
            own = process == self._me
            if not own and (not others or (process is not None and alive(process))):
                continue
            running = status == "active" and not left_behind(self._connection, session_id, process)
            if running and not own:
                continue
            if status == "active" and not running:
                self._end(session_id)
            found.append(Due(session_id, running, started_us, written_us, bool(again)))
        return found

    def _end(self, session_id: str) -> None:
        """As delivery does it, so that all views say the same of the call."""
        with closing(Outbox(self._path)) as outbox:
            outbox.end_left_behind(session_id)

    def claim(self, session_id: str) -> bool:
        """Claim a call for this process. ``False``: another one is writing it."""
        now = time.time_ns() // 1000
        with forks.fork_safe(), schema.transaction(self._connection) as connection:
            taken = connection.execute(
                "UPDATE archive SET owner = ?1, owned_until = ?2 WHERE session_id = ?3 AND "
                "(owner IS NULL OR owner = ?1 OR owned_until < ?4 OR owned_until > ?2)",
                (self._me, now + int(LEASE_S * 1e6), session_id, now),
            ).rowcount
        return bool(taken)

    def rows(self, session_id: str) -> CallRows:
        """The call as it is now.

        Raises:
            SourceError
        """
        spans = [
            Row(*row)
            for row in self._connection.execute(
                f"SELECT {', '.join(Row._fields)} FROM spans WHERE session_id = ? "  # noqa: S608
                "ORDER BY started_us, rowid",
                (session_id,),
            )
        ]
        streams: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for span_id, stream, columns in self._connection.execute(
            "SELECT span_id, stream, columns FROM chunks WHERE span_id IN "
            "(SELECT id FROM spans WHERE session_id = ?) ORDER BY rowid",
            (session_id,),
        ):
            streams[span_id][stream].append(columns)
        call = CallRows(session_id, spans, {id_: _json(of) for id_, of in streams.items()}, None)
        if (root := call.root) is None or root.status == "active":
            return call
        return call._replace(digest=self._digest(session_id))

    def _digest(self, session_id: str) -> str | None:
        # Worked out anew: what the journal has may be of an older version of this program.
        with closing(Journal(self._path)) as journal, suppress(SourceError):
            text = self._digest_of(journal, session_id)
            digests.keep(self._path, {session_id: text})
            return text
        return None

    def written(self, call: CallRows, *, running: bool) -> None:
        """Record that a call is in the archive, unless a span has ended since it was read."""
        with forks.fork_safe(), schema.transaction(self._connection) as connection:
            connection.execute(
                "UPDATE archive SET owner = NULL, written_us = ?1, again = ?2, due = ?3 OR ?4 <> "
                "(SELECT count(finished_us) FROM spans WHERE session_id = ?5) "
                "WHERE session_id = ?5",
                (time.time_ns() // 1000, not running, running, call.ended, call.session_id),
            )

    def backlog(self) -> int:
        """How many calls are to be written."""
        [count] = self._connection.execute("SELECT count(*) FROM archive WHERE due = 1").fetchone()
        return int(count)


def _json(streams: dict[str, list[str]]) -> str:
    """The rows as they are, without reading them: they are JSON."""
    names = (f"{to_json(stream).decode()}:[{','.join(rows)}]" for stream, rows in streams.items())
    return "{" + ",".join(names) + "}"
