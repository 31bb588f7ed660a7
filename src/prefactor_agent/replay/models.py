"""The models' side of a recorded call: what each was asked and what it answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..core.values import mapping, mappings
from ..stored.span import StoredSpan
from ..view.model.calltree import CallTree
from .asked import asked_in
from .format import Audio, Call, Failure, Request, Speech
from .streams import Words, audio_of

_USUAL_RATE = 24_000
"""LiveKit's usual sample rate, for a voice that failed before its first sound."""


def requests(call: CallTree, words: Words, turn_at: Callable[[int], int]) -> Iterator[Request]:
    """The LLM requests that have ended, in the order in which the agent made them.

    Args:
        turn_at: The number of the user's turn at a moment (microseconds since the Unix epoch).
    """
    dropped = {
        span.id for turn in call.turns for node in turn.dropped for span in node.spans("llm")
    }
    spans = [span for span in _by_time(call, "llm") if span.finished_us is not None]
    for number, span in enumerate(spans, start=1):
        name = f"LLM request {number}"
        result, inputs = span.result, mapping(span.payload.get("inputs"))
        if span.payload.get("truncated") or result.get("truncated"):
            words.lack(name)
        asked = asked_in(inputs.get("messages") or ())
        for one in asked:
            words.whole(f"the input of {name}", one.text)
        yield Request(
            number=number,
            turn=turn_at(span.started_us),
            asked=asked,
            output=words.pieces(name, span, "output"),
            tool_calls=tuple(_tool_calls(name, span, words)),
            usage=mapping(result.get("usage")) or None,
            failed=_failure(span),
            optional=span.id in dropped or span.status == "cancelled",
        )


def speeches(call: CallTree, words: Words) -> Iterator[Speech]:
    """The TTS requests that gave audio or failed, in the order in which the agent made them."""
    for number, span in enumerate(_by_time(call, "tts"), start=1):
        audio, failed = audio_of(span), _failure(span)
        if span.finished_us is not None and (audio is not None or failed is not None):
            given = words.pieces(f"TTS request {number}", span, "text")
            yield Speech(given=given, audio=audio or Audio(sample_rate=_USUAL_RATE), failed=failed)


def _by_time(call: CallTree, kind: str) -> list[StoredSpan]:
    return sorted(call.spans(kind), key=lambda span: span.started_us)


def _tool_calls(name: str, span: StoredSpan, words: Words) -> Iterator[Call]:
    for call in mappings(span.result.get("tool_calls")):
        yield Call(
            call_id=str(call.get("call_id")),
            name=str(call.get("name")),
            arguments=words.whole(name, call.get("arguments", "")),
        )


def _failure(span: StoredSpan) -> Failure | None:
    error = mapping(span.result.get("error"))
    if span.status != "failed" or not error:
        return None
    return Failure(error_type=str(error.get("error_type")), message=str(error.get("message")))
