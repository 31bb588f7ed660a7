"""The to-do of OpenTelemetry: which ended spans no backend has acknowledged yet.

A row of the table ``otlp_spans`` is an ended span that is to be sent, or one that was refused. It
goes away when the backend has it. Triggers add the rows (schema.py) for each call in
``otlp_calls``, and a call is there only if its process exports, or once somebody claims it to
export it: to everyone else these tables cost one look into an empty index for each span that ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from pydantic_core import to_json

from .claims import ToDo

_READY = (
    "FROM otlp_spans o INDEXED BY otlp_due JOIN spans s ON s.id = o.span_id "
    "WHERE o.session_id = ? AND o.error IS NULL "
    # What a realtime model said is known once its turn has ended.
    "AND (s.type <> 'livekit:realtime' OR NOT EXISTS "
    "(SELECT 1 FROM spans t WHERE t.id = s.parent_id AND t.status = 'active'))"
)
_CALL = (
    "SELECT p.session_id, p.process, coalesce(c.wanted, 0), coalesce(c.done, 0), s.status "
    "FROM calls p JOIN spans s ON s.id = p.session_id "
)


class EndedCall(NamedTuple):
    """A call with something left to send."""

    session_id: str
    process: str | None
    wanted: int
    done: int
    """All of it is sent or refused."""
    status: str


class Ended(NamedTuple):
    """An ended span, as the table ``spans`` has it."""

    seq: int
    id: str
    parent_id: str | None
    type: str
    name: str
    status: str
    started_us: int
    finished_us: int
    payload: str
    result: str | None


class Turns(NamedTuple):
    """What belongs to some spans of a call that other spans say, by their ids. Results and payloads
    are JSON; what is damaged is left out."""

    questions: dict[str, str]
    """Of assistant turns, and of realtime replies: the result of the user turn that is answered."""
    parents: dict[str, str]
    """Of realtime replies: the result of the assistant turn."""
    errors: dict[str, list[str]]
    """The payloads of the errors directly below, in order of time."""


class EndedSpans(ToDo[EndedCall]):
    """The to-do of OpenTelemetry. Raises what :class:`.claims.ToDo` raises."""

    _OWNER = (
        "SELECT c.owner, coalesce(c.owned_until, 0) FROM calls p LEFT JOIN otlp_calls c "
        "ON c.session_id = p.session_id WHERE p.session_id = ?"
    )
    _CLAIM = (
        "INSERT INTO otlp_calls (owner, owned_until, session_id) VALUES (?, ?, ?) "
        "ON CONFLICT (session_id) DO UPDATE SET owner = excluded.owner, "
        "owned_until = excluded.owned_until"
    )
    _RELEASE = "UPDATE otlp_calls SET owner = NULL WHERE owner = ?"

    # Calls

    def calls(self, *, wanted: bool = False) -> list[EndedCall]:
        query = (
            f"{_CALL} JOIN otlp_calls c ON c.session_id = p.session_id "
            "WHERE c.done = 0 AND c.wanted = 1 ORDER BY s.started_us"
            if wanted
            else f"{_CALL} LEFT JOIN otlp_calls c ON c.session_id = p.session_id "
            "WHERE coalesce(c.done, 0) = 0 ORDER BY s.started_us"
        )
        return [EndedCall(*row) for row in self._connection.execute(query)]

    def call(self, session_id: str) -> EndedCall | None:
        query = (
            f"{_CALL} LEFT JOIN otlp_calls c ON c.session_id = p.session_id WHERE p.session_id = ?"
        )
        row = self._connection.execute(query, (session_id,)).fetchone()
        return EndedCall(*row) if row else None

    def finish(self, session_id: str) -> bool:
        """Note that nothing is left to send of a call, if that is so. Returns whether it is."""
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE otlp_calls SET done = 1 WHERE session_id = ?1 AND NOT EXISTS "
                "(SELECT 1 FROM otlp_spans WHERE session_id = ?1 AND error IS NULL) AND EXISTS "
                "(SELECT 1 FROM spans WHERE id = ?1 AND status <> 'active')",
                (session_id,),
            ).rowcount
        return changed > 0

    # Spans

    def due(self, session_id: str, spans: int, characters: int) -> list[Ended]:
        """The spans to send next, in the order in which they ended, up to a number and a size."""
        found = self._as_json(
            "SELECT json_group_array(json_array(seq, id, parent_id, type, name, status, "  # noqa: S608
            "started_us, finished_us, payload, result)) FROM (SELECT o.seq, s.*, "
            "sum(length(s.payload) + coalesce(length(s.result), 0)) OVER (ORDER BY o.seq "
            f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before {_READY} "
            "ORDER BY o.seq LIMIT ?) WHERE coalesce(before, 0) < ?",
            (session_id, spans, characters),
        )
        return sorted(map(Ended._make, found))

    def anything_due(self, session_id: str) -> bool:
        query = f"SELECT 1 {_READY} LIMIT 1"
        return self._connection.execute(query, (session_id,)).fetchone() is not None

    def acknowledge(self, sent: Iterable[int], parked: Iterable[tuple[str, int]] = ()) -> None:
        """Record what the backend answered to one request, in one transaction.

        Args:
            sent: The ``seq`` of what it has.
            parked: ``(why, seq)`` of what it refused.
        """
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM otlp_spans WHERE seq IN (SELECT value FROM json_each(?))",
                (to_json(list(sent)).decode(),),
            )
            connection.executemany("UPDATE otlp_spans SET error = ? WHERE seq = ?", parked)

    def count_rejected(self, session_id: str, spans: int, why: str) -> None:
        """Count spans that the backend took and then dropped: it does not say which."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE otlp_calls SET rejected = rejected + ?, reason = ? WHERE session_id = ?",
                (spans, why, session_id),
            )

    # What other spans say

    def beginning(self, session_id: str) -> tuple[int, str | None, str | None]:
        """When a session began, in microseconds since the Unix epoch, with which agent, and the
        user's own rates (JSON)."""
        row: tuple[int, str | None, str | None] = self._connection.execute(
            f"SELECT started_us, {_of('payload', 'agent_name')}, "  # noqa: S608
            f"{_of('payload', 'rates')} FROM spans WHERE id = ?",
            (session_id,),
        ).fetchone()
        return row

    def handoffs(self, session_id: str) -> list[tuple[int, str | None]]:
        """When each handoff of a call ended, and to which agent, in order of time."""
        found = self._as_json(
            f"SELECT json_group_array(json_array(finished_us, {_of('payload', 'to')})) "  # noqa: S608
            "FROM spans "
            "WHERE session_id = ? AND type = 'livekit:handoff' AND finished_us IS NOT NULL",
            (session_id,),
        )
        return sorted(((at, to) for at, to in found), key=itemgetter(0))

    def around(self, session_id: str, ids: list[str]) -> Turns:
        """What other spans of the call say of these."""
        chosen = to_json(ids).decode()
        turns = self._as_json(
            "SELECT json_group_array(json_array(s.id, s.type, t.result, q.result)) "  # noqa: S608
            "FROM spans s "
            "JOIN spans t ON t.id = CASE s.type WHEN 'livekit:realtime' THEN s.parent_id ELSE s.id "
            f"END LEFT JOIN spans q ON q.id = {_of('t.result', 'user_turn_id')} "
            "AND json_valid(q.result) "
            "WHERE s.id IN (SELECT value FROM json_each(?)) "
            "AND s.type IN ('livekit:assistant_turn', 'livekit:realtime')",
            (chosen,),
        )
        errors = self._as_json(
            "SELECT json_group_array(json_array(started_us, parent_id, payload)) FROM spans "
            "WHERE session_id = ? AND type = 'livekit:error' AND json_valid(payload) "
            "AND parent_id IN (SELECT value FROM json_each(?))",
            (session_id, chosen),
        )
        below: dict[str, list[str]] = {}
        for _, parent, payload in sorted(errors, key=itemgetter(0)):
            below.setdefault(parent, []).append(payload)
        return Turns(
            {id_: question for id_, _, _, question in turns if question is not None},
            {
                id_: turn
                for id_, type_, turn, _ in turns
                if turn is not None and type_ == "livekit:realtime"
            },
            below,
        )

    def dialogue(self, session_id: str) -> list[tuple[str, int, str]]:
        """``(type, started_us, result)`` of all turns of a call that have ended, in order."""
        found = self._as_json(
            "SELECT json_group_array(json_array(started_us, type, result)) FROM spans "
            "WHERE session_id = ? AND json_valid(result) "
            "AND type IN ('livekit:user_turn', 'livekit:assistant_turn')",
            (session_id,),
        )
        # Of two that began in the same microsecond the one that was kept first comes first.
        return [(type_, at, result) for at, type_, result in sorted(found, key=itemgetter(0))]

    # For push and doctor

    def backlog(self) -> dict[str, int]:
        one = self._connection.execute
        return {
            "calls": len(self.calls()),
            "unwanted": sum(not call.wanted for call in self.calls()),
            "spans": one(
                "SELECT (SELECT count(*) FROM otlp_spans WHERE error IS NULL) + (SELECT count(*) "
                "FROM spans WHERE status <> 'active' AND session_id NOT IN "
                "(SELECT session_id FROM otlp_calls))"
            ).fetchone()[0],
            "parked": one("SELECT count(*) FROM otlp_spans WHERE error IS NOT NULL").fetchone()[0],
            "parked_calls": 0,
        }

    def parked(self) -> list[tuple[str, str, int]]:
        return self._connection.execute(
            "SELECT s.type, o.error, count(*) FROM otlp_spans o JOIN spans s ON s.id = o.span_id "
            "WHERE o.error IS NOT NULL GROUP BY s.type, o.error ORDER BY 3 DESC LIMIT 20"
        ).fetchall()

    def rejected(self) -> list[tuple[int, str]]:
        """How many spans the backend dropped, by what it said."""
        return self._connection.execute(
            "SELECT sum(rejected), reason FROM otlp_calls WHERE rejected > 0 GROUP BY reason "
            "ORDER BY 1 DESC LIMIT 20"
        ).fetchall()

    def unpark(self) -> int:
        with self._writing() as connection:
            connection.execute(
                "UPDATE otlp_calls SET done = 0 WHERE session_id IN "
                "(SELECT session_id FROM otlp_spans WHERE error IS NOT NULL)"
            )
            return connection.execute(
                "UPDATE otlp_spans SET error = NULL WHERE error IS NOT NULL"
            ).rowcount


def _of(column: str, key: str) -> str:
    """A key of a JSON column. The column may be damaged, which would fail the whole query."""
    return f"CASE WHEN json_valid({column}) THEN json_extract({column}, '$.{key}') END"
