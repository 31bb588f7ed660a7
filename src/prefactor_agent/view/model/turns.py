"""The parts of a call's tree: a span with what is below it, and a turn of both sides with its
words: what was heard, generated, spoken, and never spoken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...core.placeholders import SIZE_OF_TEXT
from ...core.values import as_list, mappings, text
from ...stored.span import StoredSpan

TURNS = frozenset({"user_turn", "assistant_turn"})


def kind(span: StoredSpan) -> str:
    """``tool`` for ``livekit:tool:look_up``, ``llm`` for ``livekit:llm``."""
    return span.type.removeprefix("livekit:").split(":", 1)[0]


@dataclass(frozen=True, slots=True)
class Node:
    """A span with what is below it, in the order in which it began."""

    span: StoredSpan
    children: tuple[Node, ...] = ()

    def within(self) -> Iterator[StoredSpan]:
        """This span and all below it, save the turns of a dialogue nested in a tool."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node.span
            waiting += [child for child in reversed(node.children) if kind(child.span) not in TURNS]

    def spans(self, *kinds: str) -> list[StoredSpan]:
        return [span for span in self.within() if kind(span) in kinds]


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller said (or typed) and what the agent answered; either may be missing."""

    number: int
    """1, 2, 3 … in the order of time."""
    user: Node | None
    answers: tuple[Node, ...]
    dropped: tuple[Node, ...] = ()
    """Answers that were begun before the caller had finished, and thrown away."""
    inside: StoredSpan | None = None
    """The tool that this turn of a dialogue is part of (an AgentTask that a tool runs)."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (*((self.user,) if self.user else ()), *self.answers, *self.dropped)

    @property
    def started_us(self) -> int:
        return min(node.span.started_us for node in self.nodes)

    @property
    def interrupted(self) -> bool:
        return any(map(cut_off, self.answers))

    def spans(self, *kinds: str) -> list[StoredSpan]:
        found = [span for node in self.nodes for span in node.spans(*kinds)]
        return sorted(found, key=lambda span: span.started_us)


def typed(node: Node) -> bool:
    """Whether the caller typed the turn: it has no sound."""
    return node.span.payload.get("modality") == "text"


def thrown_away(node: Node) -> bool:
    """Whether an answer was begun before the caller had finished, and then not used."""
    return node.span.result.get("preemptive") == "dropped"


def not_taken(node: Node) -> bool:
    """Whether what the caller said was given up, and never taken as a turn."""
    return kind(node.span) == "user_turn" and node.span.status == "cancelled"


def unfinished(node: Node) -> bool:
    """Whether a speech has not ended, or never did: its process was killed."""
    return node.span.status == "active" or bool(node.span.result.get("lost_end"))


def user_text(node: Node) -> str:
    """What the caller was heard to say, also while they speak."""
    transcript = node.span.result.get("transcript")
    if isinstance(transcript, str):
        return transcript
    heard = []
    for span in node.spans("stt"):
        events = mappings(span.stream("events").get("event"))
        finals = [text(e.get("text")) for e in events if e.get("type") == "final_transcript"]
        # An utterance that goes on has only interim transcripts: the last of them.
        heard += finals or [text(event.get("text")) for event in events if event.get("text")][-1:]
    return " ".join(filter(None, heard))


def generated_text(node: Node) -> str:
    """What was generated for an answer, also of one that has not ended."""
    recorded = node.span.result.get("generated_text")
    if isinstance(recorded, str):
        return recorded
    return _streamed(node.spans("llm"), "output") or _streamed(node.spans("transcription"), "text")


def spoken_text(node: Node) -> str:
    return str(node.span.result.get("spoken_text") or "")


def unspoken_text(node: Node) -> str:
    """The rest of an answer that was broken off or dropped, which the caller never heard."""
    result = node.span.result
    if not result.get("interrupted") and node.span.status != "cancelled":
        return ""
    generated = generated_text(node)
    if SIZE_OF_TEXT.fullmatch(generated):
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
    if not result.get("interrupted") or thrown_away(node):
        return False
    segments = mappings(result.get("segments"))
    heard_out = segments and not any(segment.get("interrupted") for segment in segments)
    return not heard_out or bool(unspoken_text(node))


def _streamed(spans: Iterable[StoredSpan], stream: str) -> str:
    return "".join(
        text(part) for span in spans for part in as_list(span.stream(stream).get("text"))
    )
