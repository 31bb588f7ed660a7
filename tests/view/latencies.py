"""Answers of which nothing is recorded but their latency, with round numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model.call_latencies import call_latencies
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.latencies import CallLatencies


def turn(call: str, index: int, *, over: bool = False, **stages: float) -> StoredSpan:
    names = [(name.replace("__", ":"), ms) for name, ms in stages.items()]
    latency: dict[str, Any] = {
        "perceived_ms": sum(stages.values()),
        "stages": [{"name": name, "ms": ms} for name, ms in names],
        "basis": {"from": "audio", "to": "audio"},
    }
    if over:
        latency["over_budget"] = {"perceived": 1.5}
    return span(
        call, "livekit:assistant_turn", {"turn_index": index}, {"latency": latency}, at=index
    )


def span(
    call: str, type_: str, payload: dict[str, Any], result: dict[str, Any], at: int = 0
) -> StoredSpan:
    own = f"{call}-{payload.get('turn_index')}"
    return StoredSpan(own, call, call, type_, type_, "complete", at, at + 1, payload, result)


SPANS = [
    turn("a", 2, vad=500, llm_ttft=300),
    turn("a", 4, vad=500, llm_ttft=100, tool__look_up=1400, over=True),
    turn("b", 2, vad=700, llm_ttft=200),
    span("b", "livekit:user_turn", {}, {}),
    span("b", "livekit:assistant_turn", {"turn_index": 1}, {"spoken_text": "Hello."}),
]


def latencies_of(spans: Iterable[StoredSpan]) -> list[CallLatencies]:
    """The silences among the spans of one or more calls, call by call."""
    calls: dict[str, list[StoredSpan]] = defaultdict(list)
    for one in spans:
        calls[one.session_id].append(one)
    return [call_latencies(session_id, build(of)) for session_id, of in calls.items()]
