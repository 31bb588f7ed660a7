"""The parts of a call's tree: a span with what is below it, and a turn of both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..journal.reader import StoredSpan

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
    """What the user said (or typed) and what the agent answered; either may be missing."""

    number: int
    """1, 2, 3 … in the order of time."""
    user: Node | None
    answers: tuple[Node, ...]
    dropped: tuple[Node, ...] = ()
    """Answers that were begun before the user had finished, and thrown away."""
    inside: StoredSpan | None = None
    """The tool that this turn of a dialogue is part of (an AgentTask that a tool runs)."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (*((self.user,) if self.user else ()), *self.answers, *self.dropped)

    @property
    def started_us(self) -> int:
        return min(node.span.started_us for node in self.nodes)

    def spans(self, *kinds: str) -> list[StoredSpan]:
        found = [span for node in self.nodes for span in node.spans(*kinds)]
        return sorted(found, key=lambda span: span.started_us)
