"""The to-do of delivery: which spans Prefactor has not acknowledged yet.

A row of the table ``outbox`` is a span with something left to do; it goes away when Prefactor has
acknowledged the span's end, and not before. Triggers add the rows (schema.py), so the writer knows
nothing of delivery: for a call of a process with a token as its spans are written, for any other
when somebody claims it to deliver it. Every transaction here is short: the writer of a running call
never waits for more than one.

Queries that can find many rows return them as one row of JSON, and one statement writes them.
sqlite3 releases the GIL for each row it steps to; to get it back from a busy event loop takes up to
5 ms, in which the loop wakes this thread for nothing each time it looks for events."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from ..core import forks
from . import schema, totals
from .process import alive, this_process
from .todo import CallRow, SpanState, Todo

LEASE_S = 30.0
"""How long a claim of a call holds, unless the process renews it."""
FOREIGN_S = 900.0
"""A call of another machine counts as left behind after so long without a new span."""
BUSY_S = 5.0


_CALL = (
    "SELECT c.session_id, c.process, c.wanted, c.state, c.instance_id, c.registration, c.error, "
    "c.terminated, s.status, s.started_us, s.finished_us, c.tools "
    "FROM calls c JOIN spans s ON s.id = c.session_id"
)


class Outbox:
    """One connection of its own to the journal. Used by one thread.

    Raises:
        sqlite3.Error: From every method: the journal cannot be read or written now.
        UnusableJournalError: From the constructor.
    """

    def __init__(self, path: Path) -> None:
        self._me = this_process()
        with forks.fork_safe():
            self._connection = schema.connect(path, BUSY_S)

    def close(self) -> None:
        with forks.fork_safe():
            self._connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with forks.fork_safe(), schema.transaction(self._connection) as connection:
            yield connection

    # Calls

    def calls(self, *, wanted: bool = False) -> list[CallRow]:
        """The calls with something left to do, oldest first.

        Args:
            wanted: Leave out the calls that were recorded without a token; there may be years of
                them.
        """
        only = " AND c.wanted = 1" if wanted else ""
        query = f"{_CALL} WHERE c.state < 4{only} ORDER BY s.started_us"
        return [CallRow(*row) for row in self._connection.execute(query)]

    def call(self, session_id: str) -> CallRow | None:
        row = self._connection.execute(f"{_CALL} WHERE c.session_id = ?", (session_id,)).fetchone()
        return CallRow(*row) if row else None

    def claim(self, session_id: str) -> bool:
        """Claim a call for this process, or renew the claim. ``False``: another process has it."""
        now = _now_us()
        row = self._connection.execute(
            "SELECT owner, owned_until FROM calls WHERE session_id = ?", (session_id,)
        ).fetchone()
        if row is None or not self._may_take(row[0], row[1], now):
            return False
        if row[0] == self._me and row[1] - now > LEASE_S * 500_000:
            return True
        with self._writing() as connection:
            row = connection.execute(
                "SELECT owner, owned_until FROM calls WHERE session_id = ?", (session_id,)
            ).fetchone()
            if row is None or not self._may_take(row[0], row[1], now):
                return False
            connection.execute(
                "UPDATE calls SET owner = ?, owned_until = ?, listed = 1 WHERE session_id = ?",
                (self._me, now + int(LEASE_S * 1e6), session_id),
            )
        return True

    def _may_take(self, owner: str | None, until: int, now: int) -> bool:
        if owner is None or owner == self._me or until < now:
            return True
        # A clock that was stepped back would make a lease last for ever.
        return until > now + LEASE_S * 2e6 or alive(owner) is False

    def release(self) -> None:
        """Give up all claims of this process."""
        with self._writing() as connection:
            connection.execute("UPDATE calls SET owner = NULL WHERE owner = ?", (self._me,))

    def update_call(self, session_id: str, **values: Any) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._writing() as connection:
            connection.execute(
                f"UPDATE calls SET {columns} WHERE session_id = ?",  # noqa: S608  # our own names
                (*values.values(), session_id),
            )

    def left_behind(self, row: CallRow) -> bool:
        """Whether a call is open only because its process is gone."""
        return row.status == "active" and left_behind(self._connection, row.session_id, row.process)

    def end_left_behind(self, session_id: str) -> None:
        """End the spans that a process which is gone left open: failed, at its last write."""
        with self._writing() as connection:
            last = connection.execute(
                "SELECT max(max(started_us), max(coalesce(finished_us, 0))) FROM spans "
                "WHERE session_id = ?",
                (session_id,),
            ).fetchone()[0]
            unseen = totals.left_open(connection, session_id)
            connection.execute(
                "UPDATE spans SET status = 'failed', finished_us = max(started_us, ?), result = "
                "json_patch(coalesce(result, '{}'), ?) WHERE session_id = ? AND status = 'active'",
                (
                    last,
                    '{"status":"failed","reason":"process ended","lost_end":true,"error":'
                    '{"error_type":"ProcessEnded","message":"process ended"}}',
                    session_id,
                ),
            )
            totals.add(connection, unseen)

    # Spans

    def due(self, session_id: str, after: int, spans: int, characters: int) -> list[Todo]:
        """The spans to send next, parents before children, up to a number and a size."""
        found: list[Any] = self._as_json(
            "SELECT json_group_array(json_array(seq, outbox_state, sent, id, parent_id, type, "
            "status, started_us, finished_us, payload, result, parent_state)) FROM ("
            "SELECT o.seq, o.state AS outbox_state, o.sent, s.*, p.state AS parent_state, "
            "sum(length(s.payload) + coalesce(length(s.result), 0)) OVER (ORDER BY o.seq "
            "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before "
            "FROM outbox o INDEXED BY outbox_due "
            "JOIN spans s ON s.id = o.span_id LEFT JOIN outbox p ON p.span_id = s.parent_id "
            "WHERE o.session_id = ? AND o.due = 1 AND o.seq > ? ORDER BY o.seq LIMIT ?"
            ") WHERE coalesce(before, 0) < ?",
            (session_id, after, spans, characters),
        )
        return sorted(map(Todo._make, found))

    def streams(self, spans: list[Todo]) -> dict[str, dict[str, list[str]]]:
        """The chunk columns of the spans that have ended, as JSON texts, by span and stream."""
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        ids = [span.id for span in spans if span.status != "active"]
        rows: list[tuple[int, str, str, str]] = self._as_json(
            "SELECT json_group_array(json_array(rowid, span_id, stream, columns)) FROM chunks "
            "WHERE span_id IN (SELECT value FROM json_each(?))",
            (to_json(ids).decode(),),
        )
        for _, span_id, stream, columns in sorted(rows):
            found[span_id][stream].append(columns)
        return found

    def _as_json(self, query: str, values: tuple[Any, ...]) -> Any:
        return from_json(self._connection.execute(query, values).fetchone()[0])

    def anything_due(self, session_id: str) -> bool:
        query = (
            "SELECT 1 FROM outbox INDEXED BY outbox_due WHERE session_id = ? AND due = 1 LIMIT 1"
        )
        return self._connection.execute(query, (session_id,)).fetchone() is not None

    def left(self, session_id: str) -> int:
        """How many spans of a call are neither delivered nor parked."""
        query = "SELECT count(*) FROM outbox WHERE session_id = ? AND state < 2"
        count: int = self._connection.execute(query, (session_id,)).fetchone()[0]
        return count

    def state(self, span_id: str) -> int | None:
        """``None``: nothing is left to do, it is at Prefactor."""
        row = self._connection.execute(
            "SELECT state FROM outbox WHERE span_id = ?", (span_id,)
        ).fetchone()
        return row[0] if row else None

    def has_failed(self, span_id: str | None) -> bool:
        """Whether a span has ended, and failed."""
        query = "SELECT status = 'failed' FROM spans WHERE id = ?"
        row = self._connection.execute(query, (span_id,)).fetchone()
        return row is not None and bool(row[0])

    def delivered_ancestor(self, span_id: str | None) -> str | None:
        """The nearest ancestor, ``span_id`` itself included, that is not parked."""
        while span_id is not None:
            row = self._connection.execute(
                "SELECT o.state, s.parent_id FROM spans s LEFT JOIN outbox o ON o.span_id = s.id "
                "WHERE s.id = ?",
                (span_id,),
            ).fetchone()
            if row is None:
                return None
            if row[0] != SpanState.PARKED:
                return span_id
            span_id = row[1]
        return None

    def keep_sent(self, sent: Iterable[tuple[str | None, int]]) -> None:
        """Keep the creates of spans that may change, before they are sent: ``(text, seq)``."""
        with self._writing() as connection:
            connection.executemany("UPDATE outbox SET sent = ? WHERE seq = ?", sent)

    def acknowledge(
        self,
        opened: list[int],
        finished: list[int],
        parked: list[tuple[str, int]],
        remote: list[tuple[str, str, str]],
    ) -> None:
        """Record what Prefactor answered to one request, in one transaction.

        Args:
            opened: Spans that Prefactor has now, still open.
            finished: Spans that Prefactor has with their end: nothing is left to do.
            parked: Spans that Prefactor refused, each with the error.
            remote: ``(span_id, session_id, remote_id)`` where Prefactor made the id.
        """
        with self._writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO remote_ids VALUES (?, ?, ?)", remote)
            if opened:
                connection.execute(
                    # It may have ended in the meantime: then it is due again at once.
                    "UPDATE outbox SET state = 1, sent = NULL, error = NULL, due = EXISTS (SELECT "
                    "1 FROM spans s WHERE s.id = span_id AND s.status <> 'active') "
                    "WHERE seq IN (SELECT value FROM json_each(?))",
                    (to_json(opened).decode(),),
                )
            if finished:
                connection.execute(
                    "DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))",
                    (to_json(finished).decode(),),
                )
            connection.executemany(
                "UPDATE outbox SET state = state + 2, due = 0, sent = NULL, error = ?, "
                "attempts = attempts + 1 WHERE seq = ? AND state < 2",
                parked,
            )
            connection.executemany(
                # Its children get another parent now. None of them can have arrived under it.
                "UPDATE outbox SET sent = NULL WHERE session_id = "
                "(SELECT session_id FROM outbox WHERE seq = ?1) AND state = 0 AND sent IS NOT NULL "
                "AND (SELECT parent_id FROM spans WHERE id = span_id) = "
                "(SELECT span_id FROM outbox WHERE seq = ?1 AND state = 2)",
                [(seq,) for _, seq in parked],
            )

    def begin_again(self, seq: int) -> None:
        """Prefactor does not know a span that it had acknowledged: send it as a whole."""
        with self._writing() as connection:
            connection.execute("UPDATE outbox SET state = 0, due = 1 WHERE seq = ?", (seq,))

    def remote_ids(self, session_id: str) -> dict[str, str]:
        return dict(
            self._connection.execute(
                "SELECT span_id, remote_id FROM remote_ids WHERE session_id = ?", (session_id,)
            )
        )

    # For registration and quality

    def root(self, session_id: str) -> tuple[str, str | None]:
        """Payload and result of the session's own span."""
        row: tuple[str, str | None] = self._connection.execute(
            "SELECT payload, result FROM spans WHERE id = ?", (session_id,)
        ).fetchone()
        return row

    def tool_types(self, limit: int = 200) -> list[str]:
        """The types of all traced tools that the journal has seen: the next call of an agent is
        likely to use the same."""
        query = (
            "SELECT DISTINCT type FROM spans WHERE substr(type, 1, 13) = 'livekit:tool:' "
            "ORDER BY type LIMIT ?"
        )
        return [row[0] for row in self._connection.execute(query, (limit,))]

    def outcomes(self, session_id: str) -> list[tuple[str, str, str | None]]:
        """Type, status and result of every span of a call."""
        query = "SELECT type, status, result FROM spans WHERE session_id = ? ORDER BY rowid"
        return self._connection.execute(query, (session_id,)).fetchall()

    # For push and doctor

    def backlog(self) -> dict[str, int]:
        """Counts of what is left: ``calls``, ``spans``, ``parked``, ``parked_calls``, ``unwanted``
        calls (recorded without a token)."""
        one = self._connection.execute
        return {
            "calls": one("SELECT count(*) FROM calls WHERE state < 4").fetchone()[0],
            "unwanted": one("SELECT count(*) FROM calls WHERE state < 4 AND wanted = 0").fetchone()[
                0
            ],
            "spans": one(
                "SELECT (SELECT count(*) FROM outbox WHERE state < 2) + (SELECT count(*) FROM "
                "calls c JOIN spans s ON s.session_id = c.session_id WHERE c.listed = 0)"
            ).fetchone()[0],
            "parked": one("SELECT count(*) FROM outbox WHERE state >= 2").fetchone()[0],
            "parked_calls": one("SELECT count(*) FROM calls WHERE error IS NOT NULL").fetchone()[0],
        }

    def parked(self) -> list[tuple[str, str, int]]:
        """``(type, error, how many)`` of what is parked."""
        return self._connection.execute(
            "SELECT s.type, o.error, count(*) FROM outbox o JOIN spans s ON s.id = o.span_id "
            "WHERE o.state >= 2 GROUP BY s.type, o.error ORDER BY 3 DESC LIMIT 20"
        ).fetchall() + [
            ("call", error, count)
            for error, count in self._connection.execute(
                "SELECT error, count(*) FROM calls WHERE error IS NOT NULL GROUP BY error"
            )
        ]

    def unpark(self) -> int:
        """Have refused spans and calls tried again; returns how many spans those are."""
        with self._writing() as connection:
            count = connection.execute(
                "UPDATE outbox SET state = state - 2, due = 1 WHERE state >= 2"
            ).rowcount
            connection.execute(
                "UPDATE calls SET error = NULL, registration = CASE WHEN state = 0 THEN NULL "
                "ELSE registration END WHERE error IS NOT NULL"
            )
            # A call that was finished without them is open for them again.
            connection.execute(
                "UPDATE calls SET state = 3 WHERE state = 4 AND session_id IN "
                "(SELECT session_id FROM outbox)"
            )
        return count


def left_behind(connection: sqlite3.Connection, session_id: str, process: str | None) -> bool:
    """Whether the process that recorded an open call is gone.

    Args:
        process: That process; ``None``: the journal does not name it.
    """
    if process is not None and (lives := alive(process)) is not None:
        return not lives
    last = connection.execute(
        "SELECT max(max(started_us), max(coalesce(finished_us, 0))) FROM spans "
        "WHERE session_id = ?",
        (session_id,),
    ).fetchone()[0]
    return bool(_now_us() - (last or 0) > FOREIGN_S * 1e6)


def _now_us() -> int:
    return time.time_ns() // 1000
