"""The spans of a test as an indented tree, for people. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.values import mapping
from ..stored.span import StoredSpan
from ..view.model.turns import kind

_ORDER = ("stt", "llm", "tool", "tool_result", "transcription", "tts", "realtime")
"""Siblings below a turn run at the same time: their place is by type, so that two runs of one test
give the same tree."""
_LONG = 100


def children(spans: Sequence[StoredSpan]) -> dict[str | None, list[StoredSpan]]:
    """The spans below each span (below ``None``: the sessions), in an order that does not depend on
    which of two things that run together was faster."""
    by_id = {span.id: span for span in spans}
    below: dict[str | None, list[StoredSpan]] = defaultdict(list)
    for span in spans:
        known = span.parent_id if span.parent_id in by_id else None
        below[known if known or span.parent_id is None else span.session_id].append(span)

    def place(span: StoredSpan) -> tuple[Any, ...]:
        parent = by_id.get(span.parent_id or "")
        in_turn = parent is not None and kind(parent) in ("user_turn", "assistant_turn")
        rank = _ORDER.index(kind(span)) if in_turn and kind(span) in _ORDER else -1
        # The tools of one turn alternate with requests: calls and their results stay where they
        # were. A typed message begins with its answer: the question first.
        rank = 1 if rank == 2 else rank
        return rank, span.started_us, kind(span) != "user_turn"

    for siblings in below.values():
        siblings.sort(key=place)
    return below


def outline(spans: Sequence[StoredSpan]) -> list[str]:
    """One line a span: what it is, how it ended, what was said, how long it took."""
    below = children(spans)

    def walk(span: StoredSpan, before: str, mark: str, depth: str) -> Iterator[str]:
        yield f"{before}{mark}{_line(span)}"
        shown = [child for child in below[span.id] if kind(child) != "tool_result"]
        for child in shown:
            last = child is shown[-1]
            yield from walk(child, before + depth, "└ " if last else "├ ", "  " if last else "│ ")

    return [line for root in below[None] for line in walk(root, "", "", "")]


def _line(span: StoredSpan) -> str:
    what = {"tool": f"tool {span.name}"}.get(kind(span), kind(span).replace("_", " "))
    status = "" if span.status == "complete" else f" [{span.status}]"
    said = _words(span)
    took = span.duration_us
    time = "" if took is None or kind(span) == "error" else f"  ({took / 1000:,.0f} ms)"
    return f"{what}{status}{': ' if said else ''}{said}{time}"


def _words(span: StoredSpan) -> str:
    payload, result = span.payload, span.result
    match kind(span):
        case "session":
            return str(payload.get("agent_class", ""))
        case "assistant_turn":
            spoken, generated = result.get("spoken_text", ""), result.get("generated_text", "")
            said = _short(spoken)
            return said if spoken == generated else f"{said} (generated: {_short(generated)})"
        case "tool":
            return _call(span)
        case "error":
            message = " ".join(str(payload.get("message")).split())
            return f"{payload.get('source')}: {payload.get('error_type')}: {_cut(message)}"
        case "llm":
            return _request(span)
        case _:
            words = result.get("transcript", result.get("text", ""))
            return _short(words) if words else ""


def _call(span: StoredSpan) -> str:
    """A tool call: what went in, and what came out."""
    result = span.result
    given = ", ".join(f"{k}={v!r}" for k, v in mapping(span.payload.get("inputs")).items())
    error = mapping(result.get("error"))
    if error:
        end = f" raised {error.get('error_type')}: {error.get('message')}"
    else:
        output = mapping(result.get("outputs")).get("output")
        end = f" → {output!r}" if "outputs" in result else ""
    return f"({_cut(given)}){_cut(end)}"


def _request(span: StoredSpan) -> str:
    """A request to the LLM: its words, and the tools that it asked for."""
    calls = span.result.get("tool_calls") or ()
    asked = " ".join(f"calls {c.get('name')}({c.get('arguments')})" for c in calls)
    words = span.result.get("text") or "".join(map(str, span.stream("output").get("text", ())))
    return " ".join(filter(None, (_short(words) if words else "", _cut(asked))))


def _short(text: object) -> str:
    return f"“{_cut(str(text))}”"


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
