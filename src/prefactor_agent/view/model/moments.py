"""The moments of a turn, from whichever of its spans has them.

Pure. Microseconds since the Unix epoch; ``None``: not known."""

from __future__ import annotations

from ...core.values import as_int, as_list, mapping, text
from ...stored.span import StoredSpan
from .calltree import CallTree
from .turns import Node, Turn

ENDS = {
    "audio": "speech_ended",
    "vad": "vad_estimate",
    "vad_end": "vad_ended",
    "transcript": "final_transcript",
    "commit": "committed",
    "text": "committed",
}
"""By what the beginning of a silence is based on, which moment of the user's turn that is."""


def user_ended(call: CallTree, turn: Turn) -> int | None:
    """When the caller's last sound ended, or their typed message came in."""
    basis = ""
    for answer in turn.answers:  # a latency, if there is one, says what it was reckoned from
        latency = mapping(answer.span.result.get("latency"))
        basis = basis or text(mapping(latency.get("basis")).get("from"))
    names = ("speech_ended", "vad_ended", "final_transcript", "committed")
    for name in (ENDS.get(basis, "speech_ended"), *names):
        if (moment := user_moment(call, turn, name)) is not None:
            return moment
    return turn.user.span.finished_us if turn.user is not None else None


def user_moment(call: CallTree, turn: Turn, name: str) -> int | None:
    """A moment of the user's turn, from the turn itself or as its answers have noted it."""
    own = call.moment(turn.user.span, name) if turn.user is not None else None
    noted = (call.moment(answer.span, f"user_{name}") for answer in turn.answers)
    return next((at for at in (own, *noted) if at is not None), None)


def heard_at(call: CallTree, node: Node) -> int:
    """Where a turn of one side stands in the conversation: where it began. But what came of a
    dialogue that a tool holds is said after it."""
    if any(tool.id in call.dialogue_starts for tool in node.spans("tool")):
        heard = (call.moment(node.span, "playback_started"), words_began(node))
        if known := [at for at in heard if at is not None]:
            return min(known)
    return node.span.started_us


def words_began(answer: Node) -> int | None:
    """When the first words of an answer came out as text."""
    texts = [first(span, "text") for span in answer.spans("transcription")]
    return min((at for at in texts if at is not None), default=None)


def first_token(span: StoredSpan) -> int | None:
    """When the first token of a request to the model came: text, or a tool call."""
    took = span.result.get("time_to_first_token_ms")
    if isinstance(took, int | float):
        return span.started_us + round(took * 1000)
    data = span.stream("output")
    rows = zip(as_list(data.get("offset_us")), as_list(data.get("size")), strict=False)
    offset = next((as_int(offset) for offset, size in rows if size), None)
    if offset is not None:
        return span.started_us + offset
    return first(span, "output") if span.result.get("tool_calls") else None


def first(span: StoredSpan, stream: str) -> int | None:
    """When the first chunk of a stream passed."""
    data = span.stream(stream)
    offset = as_int(data.get("first_us"))
    if offset is None:
        offset = as_int(next(iter(as_list(data.get("offset_us"))), None))
    return None if offset is None else span.started_us + offset
