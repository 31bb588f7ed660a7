"""Calls as the tracer records them: spans of every kind, put through a sink."""

from __future__ import annotations

from typing import Any

from prefactor_agent.core.span import Sink, Span, SpanType, Status
from prefactor_agent.record.spans.stream import Stream
from prefactor_agent.record.spans.tree import SpanTree

USAGE = {"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50}


def begin_call(sink: Sink, **payload: Any) -> SpanTree:
    call = SpanTree(sink)
    call.announce(
        {
            "name": "livekit-session",
            "type": "livekit:session",
            "agent_class": "Clerk",
            "metadata": {},
            **payload,
        }
    )
    return call


def end_call(call: SpanTree, status: Status = Status.COMPLETE) -> None:
    call.end(call.root, status, {"status": "completed", "close_reason": "user_initiated"})


def user_turn(call: SpanTree, index: int, text: str) -> Span:
    turn = call.begin(SpanType.USER_TURN, "user_turn", None, {"turn_index": index})
    stt = call.begin(SpanType.STT, "stt", turn, {"model_name": "hear-1"})
    call.end(stt, Status.COMPLETE, {"transcript": text, "audio_seconds": 1.5})
    call.end(turn, Status.COMPLETE, {"status": "completed", "transcript": text})
    return turn


def llm(call: SpanTree, parent: Span, text: str = "It is open until six.") -> Span:
    import time

    stream = Stream(time.perf_counter_ns())
    span = call.begin(
        SpanType.LLM,
        "llm",
        parent,
        {
            "model_name": "think-1",
            "inputs": {"messages": [], "ai": {"model": {"id": "think-1"}}},
        },
        streams={"output": stream},
    )
    for word in text.split(" "):
        stream.add(word + " ")
    call.end(
        span,
        Status.COMPLETE,
        {
            "text": text,
            "finish_reason": "stop",
            "ai": {"finishReason": "stop"},
            "token_usage": USAGE,
        },
    )
    return span


def tool(call: SpanTree, parent: Span, name: str = "opening_hours", *, fails: bool = False) -> Span:
    type_ = f"livekit:tool:{name}"
    span = call.begin(type_, name, parent, {"tool_name": name, "inputs": {"day": "monday"}})
    status = Status.FAILED if fails else Status.COMPLETE
    result: dict[str, Any] = {"outcome": "returned", "outputs": {"output": "9 to 6"}}
    if fails:
        result = {
            "outcome": "exception",
            "error": {"error_type": "ValueError", "message": "no such day"},
        }
    told = call.begin(SpanType.TOOL_RESULT, name, span, {"tool_name": name})
    call.end(told, status, result)
    call.end(span, status, result)
    return span


def assistant_turn(call: SpanTree, index: int, *, tools: int = 1) -> Span:
    turn = call.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {"turn_index": index})
    llm(call, turn)
    for _ in range(tools):
        tool(call, turn)
    tts = call.begin(SpanType.TTS, "tts", turn, {"model_name": "say-1"})
    call.end(tts, Status.COMPLETE, {"text": "It is open.", "audio_seconds": 2.0})
    call.end(
        turn,
        Status.COMPLETE,
        {
            "status": "completed",
            "spoken_text": "It is open.",
            "interrupted": index % 2 == 0,
            "latency": {"perceived_ms": 700.0 + index},
        },
    )
    return turn


def whole_call(sink: Sink, turns: int = 2, **payload: Any) -> SpanTree:
    call = begin_call(sink, **payload)
    for index in range(turns):
        user_turn(call, 2 * index + 1, f"question {index}")
        assistant_turn(call, 2 * index + 2)
    end_call(call)
    return call


SPANS_PER_TURN = 7
"""Of :func:`whole_call`; and one for the session."""
