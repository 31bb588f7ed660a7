"""A recorded call as a test looks at it: the tree as text, and what holds of every tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from prefactor_agent.core import guard
from prefactor_agent.core.span import Span, Status

from .memory_sink import MemorySink

JSON = dict[str, Any]

_ORDER = ("stt", "llm", "tool", "transcription", "tts")
"""Siblings below a turn run at the same time: their place in the outline is by type."""


class Recorder(MemorySink):
    """Notes each put as it was at that moment, as the journal's thread would see it."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: Counter[str] = Counter()
        """How often each span was put with a terminal status."""
        self._known: dict[str, tuple[int, Status, int | None]] = {}
        """By id: which object it was, and how it ended."""

    def put(self, span: Span) -> None:
        super().put(span)
        known = self._known.get(span.id)
        self._known[span.id] = id(span), span.status, span.finished_ns
        if known is not None and known[0] != id(span):  # more is known of it, nothing else is new
            assert known[1:] == (span.status, span.finished_ns)
        elif not span.open:
            self.ends[span.id] += 1


def of(sink: MemorySink, type_: str) -> list[JSON]:
    """The spans of a type, which is named without its ``livekit:``, as plain data."""
    return [sink.plain(span) for span in sink.of(f"livekit:{type_}")]


def short(span: JSON) -> str:
    return str(span["type"]).removeprefix("livekit:")


def words(span: JSON) -> str:
    """What was said, heard, called or returned."""
    result, kind = span["result"] or {}, short(span)
    if kind == "assistant_turn":
        spoken = result.get("spoken_text", "")
        generated = result.get("generated_text", spoken)
        return spoken if spoken == generated else f"{spoken} / {generated}"
    if kind == "error":
        return f"{span['payload']['source']}: {span['payload']['message']}"
    if kind == "handoff":
        return f"{span['payload']['from']} to {span['payload']['to']}"
    if kind.startswith("tool"):
        return str(result.get("outcome", ""))
    return str(result.get("transcript", result.get("text", "")))


def line(span: JSON) -> str:
    kind = short(span)
    name = f"{kind} {span['name']}" if kind == "tool_result" else kind
    status = "" if span["status"] == "complete" else f" [{span['status']}]"
    said = words(span)
    return f"{name}{status}" + (f": {said}" if said else "")


def outline(sink: MemorySink) -> list[str]:
    """The tree, one line a span, indented by two blanks a level."""
    spans = sink.as_dicts()
    lines: list[str] = []

    def place(span: JSON) -> tuple[int, int, bool]:
        kind = short(span).split(":")[0]
        rank = next((i for i, name in enumerate(_ORDER) if name == kind), -1)
        below_a_turn = rank >= 0 and short(by_id[span["parent_id"]]).endswith("turn")
        # A typed turn begins with the speech that answers it: the question first.
        return (rank if below_a_turn else -1, span["started_us"], kind != "user_turn")

    def empty(span: JSON) -> bool:
        # Older versions hand a reply that is only a tool call on to these nodes too.
        mute = short(span) in ("transcription", "tts") and span["status"] == "complete"
        return mute and not words(span)

    def walk(parent: str | None, depth: int) -> None:
        for span in sorted((s for s in spans if s["parent_id"] == parent), key=place):
            if empty(span):
                continue
            lines.append("  " * depth + line(span))
            walk(span["id"], depth + 1)

    by_id = {span["id"]: span for span in spans}
    walk(None, 0)
    return lines


def check(sink: MemorySink, *, failures: Iterable[str] = ()) -> list[JSON]:
    """What must be true of every call that is over, whatever happened in it."""
    spans = sink.as_dicts()
    by_id = {span["id"]: span for span in spans}
    assert set(guard.failures) == set(failures), guard.failures
    assert spans, "nothing was recorded"
    for span in spans:
        told = f"{line(span)} of {span['session_id']}"
        assert span["status"] in ("complete", "failed", "cancelled"), f"{told} is still open"
        assert span["finished_us"] >= span["started_us"], told
        if isinstance(sink, Recorder):
            assert sink.ends[span["id"]] == 1, f"{told} ended {sink.ends[span['id']]} times"
        result = span["result"] or {}
        moments = list(result.get("moments_us", {}).values())
        assert moments == sorted(moments), told
        for name, chunks in span["chunks"].items():
            lengths = {column: len(values) for column, values in chunks.items()}
            assert len(set(lengths.values())) <= 1, f"{told}, {name}: {lengths}"
        if span["parent_id"] is None:
            assert short(span) == "session", told
            assert span["session_id"] == span["id"]
            continue
        parent = by_id[span["parent_id"]]
        assert parent["session_id"] == span["session_id"], told
        assert parent["started_us"] <= span["started_us"], f"{told} began before its parent"
        assert span["finished_us"] <= parent["finished_us"], f"{told} ended after its parent"
    for status in ("complete", "failed", "cancelled"):
        word = {"complete": "completed"}.get(status, status)
        told_status = {
            (s["result"] or {}).get("status", word) for s in spans if s["status"] == status
        }
        assert told_status <= {word}
    return spans


def moments(span: JSON) -> JSON:
    found: JSON = span["result"]["moments_us"]
    return found


def in_order(span: JSON, *names: str) -> None:
    """These moments of a turn were all seen, and in this order."""
    seen = moments(span)
    assert not [name for name in names if name not in seen], f"{names} among {seen}"
    times = [seen[name] for name in names]
    assert times == sorted(times), seen
