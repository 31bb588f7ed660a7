"""Answers of which nothing is told but their latency, with round numbers."""

from __future__ import annotations

from typing import Any

from prefactor_agent.stored.span import StoredSpan


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
