"""``prefactor-agent export --format chrome-trace``: the call as a trace that Perfetto and
``chrome://tracing`` open.

The JSON form of the Trace Event Format: lanes are threads, spans are complete events (``X``),
chunks are instant events (``i``), the loudness of both voices are counters (``C``). Times are
microseconds from the beginning of the call. Events of one thread have to lie inside each other or
apart; spans of one kind that overlap otherwise get a lane each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ...core.clock import unix_us_to_rfc3339
from ...core.json import JSON
from ...core.values import agent_of, as_int, as_list, mapping, text
from ...stored.span import StoredSpan
from ..model.calltree import CallTree, build, known_until
from ..model.silences import silences
from ..model.sounds import SILENCE_DBFS, Sound, heard, played
from ..model.turns import kind, spoken_text, user_text

_PROCESS = 1
_LANES = {
    # In the order in which they are shown, with what each kind of span is called.
    "session": "Call",
    "user_turn": "Caller",
    "assistant_turn": "Agent",
    "silence": "Dead air",
    "state": "States",
    "stt": "STT",
    "llm": "LLM",
    "realtime": "Realtime",
    "tts": "TTS",
    "transcription": "Transcription",
    "tool": "Tools",
    "handoff": "Handoffs",
    "error": "Errors",
    "other": "Other",
}
_ROWS = 100
"""Threads that one kind of span can have."""
_APART_US = 60_000
"""Audio that comes later than this after what came before was preceded by a pause."""


def chrome_trace(spans: Sequence[StoredSpan]) -> JSON:
    """A call in the Trace Event Format."""
    call = build(spans)
    session = call.session
    agent = agent_of(session.payload) if session else "call"
    session_id = spans[0].session_id if spans else ""
    return {
        "traceEvents": [
            _named("process_name", 0, name=f"{agent} {session_id}"),
            *_span_events(call),
            *_silence_events(call),
            *_loudness(call),
        ],
        "displayTimeUnit": "ms",
        "otherData": {
            "session_id": session_id,
            "started_at": unix_us_to_rfc3339(call.started_us),
        },
    }


def _named(what: str, thread: int, **arguments: Any) -> JSON:
    return {"ph": "M", "pid": _PROCESS, "tid": thread, "name": what, "args": arguments}


def _span_events(call: CallTree) -> Iterator[JSON]:
    lanes: dict[str, list[StoredSpan]] = defaultdict(list)
    for span in call.spans_by_time:
        if kind(span) != "tool_result":  # says what its tool's span says, and has no length
            lanes[kind(span) if kind(span) in _LANES else "other"].append(span)
    titles = dict(_titles(call))
    for lane, members in lanes.items():
        rows: list[list[int]] = []
        for span in members:
            before = len(rows)
            row = _row(rows, span.started_us, max(known_until(span), span.started_us))
            if len(rows) > before:
                yield from _lane(lane, row)
            thread = _thread(lane, row)
            yield _span_event(call, span, thread, titles.get(span.id) or _title(span))
            yield from _chunks(call, span, thread)


def _titles(call: CallTree) -> Iterator[tuple[str, str]]:
    """Turns are called by their words."""
    for turn in call.turns:
        if turn.user is not None:
            yield turn.user.span.id, f"{turn.number}: {user_text(turn.user)[:80]}"
        for node in (*turn.answers, *turn.dropped):
            yield node.span.id, f"{turn.number}: {spoken_text(node)[:80]}"


def _title(span: StoredSpan) -> str:
    if kind(span) == "error":
        return text(span.payload.get("error_type")) or "error"
    return span.name or kind(span)


def _row(rows: list[list[int]], begun: int, ended: int) -> int:
    """The first row in which a span lies apart from the others or inside of them. A row holds the
    ends of what is open in it."""
    for index, open_ends in enumerate(rows):
        while open_ends and open_ends[-1] <= begun:
            open_ends.pop()
        if not open_ends or ended <= open_ends[-1]:
            open_ends.append(ended)
            return index
    rows.append([ended])
    return len(rows) - 1


def _thread(lane: str, row: int) -> int:
    return list(_LANES).index(lane) * _ROWS + min(row, _ROWS - 1) + 1


def _lane(lane: str, row: int) -> Iterator[JSON]:
    thread = _thread(lane, row)
    name = _LANES[lane] + (f" ({row + 1})" if row else "")
    yield _named("thread_name", thread, name=name)
    yield _named("thread_sort_index", thread, sort_index=thread)


def _span_event(call: CallTree, span: StoredSpan, thread: int, title: str) -> JSON:
    result = {key: value for key, value in span.result.items() if key != "streams"}
    arguments = {"id": span.id, "status": span.status, "payload": span.payload, "result": result}
    us = max(known_until(span) - span.started_us, 0)
    return _complete(thread, span.type, title, call.at(span), us, arguments)


def _complete(thread: int, category: str, name: str, at_us: int, us: int, arguments: JSON) -> JSON:
    return {
        "ph": "X",
        "pid": _PROCESS,
        "tid": thread,
        "cat": category,
        "name": name,
        "ts": at_us,
        "dur": us,
        "args": arguments,
    }


def _chunks(call: CallTree, span: StoredSpan, thread: int) -> Iterator[JSON]:
    for name, stream in mapping(span.result.get("streams")).items():
        data = mapping(stream)
        columns = {key: as_list(data.get(key)) for key in ("size", "text", "event", "dbfs")}
        for index, offset in enumerate(as_list(data.get("offset_us"))):
            if (at := as_int(offset)) is None:
                continue
            yield {
                "ph": "i",
                "s": "t",
                "pid": _PROCESS,
                "tid": thread,
                "cat": f"{span.type}.{name}",
                "name": name,
                "ts": call.at(span) + at,
                "args": {key: of[index] for key, of in columns.items() if index < len(of)},
            }


def _silence_events(call: CallTree) -> Iterator[JSON]:
    found, thread = silences(call).all, _thread("silence", 0)
    if found:
        yield from _lane("silence", 0)
    for silence in found:
        at, left = silence.begins_us - call.started_us, silence.us
        turn = {"turn": silence.turn.number}
        yield _complete(thread, "silence", "dead air", at, left, turn)
        for stage in silence.stages:
            # Rounded stages must not reach out of the silence that they are in.
            us = min(round(stage.ms * 1000), left)
            name = {"stage": stage.name}
            yield _complete(thread, "silence.stage", stage.label, at, us, name)
            at, left = at + us, left - us


def _loudness(call: CallTree) -> Iterator[JSON]:
    for span in call.spans("stt"):
        yield from _curve(call, "caller dBFS", heard(span))
    for turn in call.turns:
        for answer in turn.answers:
            yield from _curve(call, "agent dBFS", played(call, answer)[1])


def _curve(call: CallTree, name: str, sounds: Sequence[Sound]) -> Iterator[JSON]:
    """A counter holds its value until it gets another: it ends at silence."""

    def at(moment_us: int, dbfs: int) -> JSON:
        return {
            "ph": "C",
            "pid": _PROCESS,
            "name": name,
            "ts": moment_us - call.started_us,
            # A counter is drawn from 0 up.
            "args": {"above silence": dbfs - SILENCE_DBFS},
        }

    before: int | None = None
    for sound in sounds:
        if before is not None and sound.started_us - before > _APART_US:
            yield at(before, SILENCE_DBFS)
        yield at(sound.started_us, sound.dbfs)
        before = sound.ended_us
    if before is not None:
        yield at(before, SILENCE_DBFS)
