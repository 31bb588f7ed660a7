"""Gathers what a span of OpenTelemetry says of spans of the journal: their own rows, what passed
through their streams, and the little that other spans say."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from ...core.span import SpanType
from ...journal.ended import Ended, EndedSpans, Turns
from .rows import Around, EndedSpan, Said

_MODELS = frozenset({SpanType.LLM, SpanType.REALTIME})


class Gathering:
    """One call's. Used by one thread.

    Raises (:meth:`gather`):
        StorageError
    """

    def __init__(self, todo: EndedSpans, session_id: str) -> None:
        self._todo, self._session_id = todo, session_id
        self._started_us, self._agent, self._rates = todo.beginning(session_id)

    def gather(self, rows: Sequence[Ended]) -> list[EndedSpan]:
        """These spans of the call, ready to be encoded."""
        ids = [row.id for row in rows]
        streams = self._todo.streams(ids)
        turns = self._todo.around(self._session_id, ids)
        turning = any(row.type == SpanType.ASSISTANT_TURN for row in rows)
        handoffs = self._todo.handoffs(self._session_id) if turning else []
        return [
            EndedSpan(
                row.id,
                self._session_id,
                row.parent_id,
                row.type,
                row.name,
                row.status,
                row.started_us,
                row.finished_us,
                row.payload,
                row.result,
                streams.get(row.id, {}),
                self._around(row, turns, handoffs),
            )
            for row in rows
        ]

    def _around(self, row: Ended, turns: Turns, handoffs: list[tuple[int, str | None]]) -> Around:
        agent: str | None = None
        dialogue: tuple[Said, ...] = ()
        if row.type == SpanType.SESSION:
            agent = self._agent
            dialogue = tuple(Said(*turn) for turn in self._todo.dialogue(self._session_id))
        elif row.type == SpanType.ASSISTANT_TURN:
            before = bisect_right([at for at, _ in handoffs], row.started_us)
            agent = handoffs[before - 1][1] if before else self._agent
        return Around(
            session_started_us=self._started_us,
            agent=agent,
            rates=self._rates if row.type in _MODELS else None,
            question=turns.questions.get(row.id),
            turn=turns.parents.get(row.id),
            errors=tuple(turns.errors.get(row.id, ())),
            dialogue=dialogue,
        )
