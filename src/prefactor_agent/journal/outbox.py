"""The to-do of Prefactor: which spans it has not acknowledged yet.

A row of the table ``outbox`` is a span with something left to do; it goes away when Prefactor has
acknowledged the span's end, and not before. Triggers add the rows (schema.py), so the writer knows
nothing of delivery: for a call of a process with a token as its spans are written, for any other
when somebody claims it to deliver it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_core import to_json

from .claims import ToDo
from .todo import CallRow, SpanState, Todo

_CALL = (
    "SELECT c.session_id, c.process, c.wanted, c.state, c.instance_id, c.registration, c.error, "
    "c.terminated, s.status, s.started_us, s.finished_us, c.tools "
    "FROM calls c JOIN spans s ON s.id = c.session_id"
)


class Outbox(ToDo[CallRow]):
    """The to-do of Prefactor. Raises what :class:`.claims.ToDo` raises."""

    _OWNER = "SELECT owner, owned_until FROM calls WHERE session_id = ?"
    _CLAIM = "UPDATE calls SET owner = ?, owned_until = ?, listed = 1 WHERE session_id = ?"
    _RELEASE = "UPDATE calls SET owner = NULL WHERE owner = ?"

    # Calls

    def calls(self, *, wanted: bool = False) -> list[CallRow]:
        only = " AND c.wanted = 1" if wanted else ""
        query = f"{_CALL} WHERE c.state < 4{only} ORDER BY s.started_us"
        return [CallRow(*row) for row in self._connection.execute(query)]

    def call(self, session_id: str) -> CallRow | None:
        row = self._connection.execute(f"{_CALL} WHERE c.session_id = ?", (session_id,)).fetchone()
        return CallRow(*row) if row else None

    def update_call(self, session_id: str, **values: Any) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._writing() as connection:
            connection.execute(
                f"UPDATE calls SET {columns} WHERE session_id = ?",  # noqa: S608  # our own names
                (*values.values(), session_id),
            )

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

    def failed(self, span_id: str | None) -> list[tuple[str, str, str | None]]:
        """Type, payload and result of a span, if it has failed: a list of one, or none."""
        query = "SELECT type, payload, result FROM spans WHERE id = ? AND status = 'failed'"
        return self._connection.execute(query, (span_id,)).fetchall()

    def failed_in(self, session_id: str) -> list[tuple[str, str, str | None]]:
        """The same of all failed spans of a call, but the session's own."""
        query = (
            "SELECT type, payload, result FROM spans "
            "WHERE session_id = ?1 AND status = 'failed' AND id <> ?1"
        )
        return self._connection.execute(query, (session_id,)).fetchall()

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
