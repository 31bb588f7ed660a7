"""The words of a turn: what was heard, generated, spoken, and never spoken."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..journal.reader import StoredSpan
from .nodes import Node, Turn
from .values import listing, mappings, text

_MASKED = re.compile(r"<\d+ characters>")


def user_text(node: Node) -> str:
    """What the user was heard to say, also while they speak."""
    told = node.span.result.get("transcript")
    if isinstance(told, str):
        return told
    heard = []
    for span in node.spans("stt"):
        events = mappings(span.stream("events").get("event"))
        finals = [text(e.get("text")) for e in events if e.get("type") == "final_transcript"]
        # Of an utterance that goes on, the last guess at it.
        heard += finals or [text(event.get("text")) for event in events if event.get("text")][-1:]
    return " ".join(filter(None, heard))


def generated_text(node: Node) -> str:
    """What was generated for an answer, also of one that has not ended."""
    told = node.span.result.get("generated_text")
    if isinstance(told, str):
        return told
    return _streamed(node.spans("llm"), "output") or _streamed(node.spans("transcription"), "text")


def spoken_text(node: Node) -> str:
    return str(node.span.result.get("spoken_text") or "")


def unspoken_text(node: Node) -> str:
    """The rest of an answer that was broken off or dropped, which the caller never heard."""
    result = node.span.result
    if not result.get("interrupted") and node.span.status != "cancelled":
        return ""
    generated = generated_text(node)
    if _MASKED.fullmatch(generated):
        return ""  # the words are not in the trace
    # The two differ in their spaces, where an answer had several parts.
    position = 0
    for character in spoken_text(node):
        if character.isspace():
            continue
        while position < len(generated) and generated[position].isspace():
            position += 1
        if position >= len(generated) or generated[position] != character:
            return generated  # words were changed on their way to the voice
        position += 1
    return generated[position:].strip()


def cut_off(node: Node) -> bool:
    """Whether an answer was interrupted before all of it was heard: LiveKit also calls a speech
    interrupted that had been played to its end when the session closed."""
    result = node.span.result
    if not result.get("interrupted") or result.get("preemptive") == "dropped":
        return False
    segments = mappings(result.get("segments"))
    heard_out = segments and not any(segment.get("interrupted") for segment in segments)
    return not heard_out or bool(unspoken_text(node))


def interrupted(turn: Turn) -> bool:
    return any(map(cut_off, turn.answers))


def _streamed(spans: Iterable[StoredSpan], stream: str) -> str:
    return "".join(
        text(part) for span in spans for part in listing(span.stream(stream).get("text"))
    )
