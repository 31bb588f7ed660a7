"""Rows of calls as delivery gives them to the mapping, put together in memory: what the queries of
the journal must give, too."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prefactor_agent.deliver.otlp.rows import Around, EndedSpan, Said
from support.memory_sink import MemorySink

MODELS = ("livekit:llm", "livekit:realtime")
TURNS = ("livekit:user_turn", "livekit:assistant_turn")


class _Span(NamedTuple):
    id: str
    session_id: str
    parent_id: str | None
    type: str
    name: str
    status: str
    started_us: int
    finished_us: int | None
    payload: str
    result: str | None
    streams: dict[str, list[str]]


def of_sink(sink: MemorySink) -> list[EndedSpan]:
    """The spans that a test's sink has, in the order in which they began."""
    return _ended(
        [
            _Span(
                **{
                    **{key: value for key, value in span.items() if key != "chunks"},
                    "payload": json.dumps(span["payload"]),
                    "result": None if span["result"] is None else json.dumps(span["result"]),
                    "streams": {
                        name: [json.dumps(columns)]
                        for name, columns in span["chunks"].items()
                        if columns
                    },
                }
            )
            for span in sink.as_dicts()
        ]
    )


def of_journal(path: Path) -> list[EndedSpan]:
    """The spans of all calls in a journal, in the order in which they began."""
    connection = sqlite3.connect(path)
    streams: dict[str, dict[str, list[str]]] = {}
    for id_, name, columns in connection.execute(
        "SELECT span_id, stream, columns FROM chunks ORDER BY rowid"
    ):
        streams.setdefault(id_, {}).setdefault(name, []).append(columns)
    rows = connection.execute(
        "SELECT id, session_id, parent_id, type, name, status, started_us, finished_us, payload,"
        " result FROM spans ORDER BY started_us, rowid"
    ).fetchall()
    connection.close()
    return _ended([_Span(*row, streams.get(row[0], {})) for row in rows])


def _ended(spans: Sequence[_Span]) -> list[EndedSpan]:
    return [
        EndedSpan(**{**span._asdict(), "around": _around(span, spans)})
        for span in spans
        if span.finished_us is not None
    ]


def _around(span: _Span, spans: Sequence[_Span]) -> Around:
    call = [one for one in spans if one.session_id == span.session_id]
    by_id = {one.id: one for one in call}
    root = by_id.get(span.session_id)
    turn = span
    if span.type == "livekit:realtime":
        turn = by_id.get(span.parent_id or "", span)
    question = by_id.get(str(_object(turn.result).get("user_turn_id")))
    agent = None if root is None else _object(root.payload).get("agent_name")
    if span.type in ("livekit:session", "livekit:assistant_turn"):
        for one in call:
            before = one.finished_us is not None and one.finished_us <= span.started_us
            if one.type == "livekit:handoff" and before and span.type != "livekit:session":
                agent = _object(one.payload).get("to", agent)
    else:
        agent = None
    rates = None if root is None else _object(root.payload).get("rates")
    is_turn = span.type in ("livekit:assistant_turn", "livekit:realtime")
    return Around(
        session_started_us=None if root is None else root.started_us,
        agent=agent,
        rates=json.dumps(rates) if rates is not None and span.type in MODELS else None,
        question=question.result if is_turn and question is not None else None,
        turn=turn.result if span.type == "livekit:realtime" else None,
        errors=tuple(
            one.payload for one in call if one.type == "livekit:error" and one.parent_id == span.id
        ),
        dialogue=tuple(
            Said(one.type, one.started_us, one.result or "{}")
            for one in call
            if one.type in TURNS and one.finished_us is not None
        )
        if span.type == "livekit:session"
        else (),
    )


def _object(text: str | None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text or "{}")
    return found
