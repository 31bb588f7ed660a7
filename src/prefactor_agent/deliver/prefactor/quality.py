"""The quality of a call: a few numbers from its spans."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeGuard

from pydantic_core import from_json

from ...core.json import JSON

_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens")
_READ = {
    "livekit:session",
    "livekit:assistant_turn",
    "livekit:llm",
    "livekit:stt",
    "livekit:tts",
    "livekit:realtime",
}
"""The types whose results are read; spans of other types are only counted."""


def quality(spans: Iterable[tuple[str, str, str | None]]) -> JSON:
    """The quality payload of a call, from type, status and result (JSON) of each of its spans. What
    was not measured is absent."""
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    waits: list[float] = []
    judged: JSON = {}
    for type_, status, text in spans:
        result = _read(text) if type_ in _READ else {}
        if type_ == "livekit:session":
            judged = {**_judged(result), **_picked_up(result)}
        elif type_ == "livekit:user_turn":
            counts["user_turns"] += 1
        elif type_ == "livekit:assistant_turn":
            counts["assistant_turns"] += 1
            counts["interruptions"] += result.get("interrupted") is True
            latency: JSON = _object(result.get("latency"))
            if _is_number(perceived := latency.get("perceived_ms")):
                waits.append(perceived)
            # Without a budget nothing is over one, so the count is left out below.
            counts["turns_over_budget"] += bool(latency.get("over_budget"))
        elif type_ == "livekit:error":
            counts["errors"] += 1
        elif type_ == "livekit:tool" or type_.startswith("livekit:tool:"):
            counts["tool_calls"] += 1
            counts["tool_failures"] += status == "failed"
        elif type_ == "livekit:llm":
            _add_tokens(counts, result)
        elif type_ == "livekit:stt" and _is_number(result.get("audio_seconds")):
            seconds["user_speech_seconds"] += result["audio_seconds"]
        elif type_ in ("livekit:tts", "livekit:realtime"):
            if _is_number(result.get("audio_seconds")):
                seconds["agent_speech_seconds"] += result["audio_seconds"]
            _add_tokens(counts, result)  # of a realtime model
    payload: JSON = {
        name: counts[name]
        for name in (
            "user_turns",
            "assistant_turns",
            "interruptions",
            "tool_calls",
            "tool_failures",
            "errors",
        )
    }
    payload["turns"] = counts["user_turns"] + counts["assistant_turns"]
    payload |= {name: counts[name] for name in _TOKENS if name in counts}
    if counts["turns_over_budget"]:
        payload["turns_over_budget"] = counts["turns_over_budget"]
    payload |= {name: round(value, 3) for name, value in seconds.items()}
    if waits:
        payload["perceived_latency_median_ms"] = round(statistics.median(waits), 3)
        payload["perceived_latency_worst_ms"] = round(max(waits), 3)
    return payload | judged


def _add_tokens(counts: Counter[str], result: JSON) -> None:
    usage = _object(result.get("token_usage"))
    for name in _TOKENS:
        if _is_number(value := usage.get(name)):
            counts[name] += int(value)


def _judged(session: JSON) -> JSON:
    """The outcome, and how many judges said what: LiveKit counts a ``maybe`` as a half."""
    judged: JSON = {}
    if session.get("outcome") in ("success", "fail"):
        judged["outcome"] = session["outcome"]
    evaluations = session.get("evaluations")
    if isinstance(evaluations, list) and evaluations:
        verdicts = [_object(one).get("verdict") for one in evaluations]
        points = sum({"pass": 1.0, "maybe": 0.5}.get(str(one), 0.0) for one in verdicts)
        judged["evaluations"] = len(verdicts)
        judged["evaluation_score"] = round(points / len(verdicts), 3)
    return judged


def _picked_up(session: JSON) -> JSON:
    """The pickup, where the agent was heard before the caller."""
    pickup = _object(session.get("pickup"))
    by_agent = _object(pickup.get("basis")).get("to") != "caller"
    return {"pickup_ms": pickup["ms"]} if by_agent and _is_number(pickup.get("ms")) else {}


def _read(text: str | None) -> JSON:
    try:
        return _object(from_json(text)) if text else {}
    except ValueError:  # damaged in the journal: the other spans still count
        return {}


def _object(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
