"""The objects that a test reads: calls, turns, tool calls, latency. Made by ``trace.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from ..stored.span import StoredSpan

T = TypeVar("T")


class NamedSequence(Sequence[T]):
    """A tuple whose ``IndexError`` says what there is."""

    def __init__(self, items: Sequence[T], noun: str) -> None:
        self._items = tuple(items)
        self._noun = noun

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        try:
            return self._items[index]
        except IndexError:
            raise IndexError(
                f"there is no {self._noun} {index}: {_count(len(self), self._noun)} in the trace"
            ) from None

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._items))}]"


@dataclass(frozen=True)
class Failed:
    """An error, or what made a tool call fail."""

    type: str
    """Name of the exception."""
    message: str
    source: str = ""
    """The class of the component, or the node or tool."""
    recoverable: bool | None = None
    """LiveKit tries again; ``None``: not known."""
    span: StoredSpan | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class ToolCall:
    """One call of a ``@traced_tool``."""

    name: str
    input: Mapping[str, Any]
    """The validated arguments."""
    result: Any
    """What it returned; ``None`` if it raised, or runs."""
    outcome: str
    """``returned``, ``handoff``, ``tool_error``, ``exception`` … (docs/trace-format.md); empty
    while it runs."""
    error: Failed | None
    duration_ms: float | None
    span: StoredSpan = field(repr=False, compare=False)


class Tools(Sequence[ToolCall]):
    """The tool calls of a turn, in order; by name where a tool was called once."""

    def __init__(self, calls: Sequence[ToolCall]) -> None:
        self._calls = tuple(calls)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each call, in order."""
        return tuple(call.name for call in self._calls)

    def all(self, name: str) -> tuple[ToolCall, ...]:
        """Every call of one tool."""
        return tuple(call for call in self._calls if call.name == name)

    @overload
    def __getitem__(self, key: str | int) -> ToolCall: ...

    @overload
    def __getitem__(self, key: slice) -> tuple[ToolCall, ...]: ...

    def __getitem__(self, key: str | int | slice) -> ToolCall | tuple[ToolCall, ...]:
        """
        Raises:
            LookupError: No such call, or the tool was called more than once.
        """
        if not isinstance(key, str):
            return self._calls[key]
        found = self.all(key)
        if not found:
            called = ", ".join(self.names) or "none"
            raise LookupError(f"the tool {key!r} was not called in this turn; called: {called}")
        if len(found) > 1:
            raise LookupError(
                f"the tool {key!r} was called {len(found)} times in this turn: "
                f"use tools.all({key!r})"
            )
        return found[0]

    def __contains__(self, key: object) -> bool:
        return key in self.names if isinstance(key, str) else key in self._calls

    def __iter__(self) -> Iterator[ToolCall]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._calls))}]"


@dataclass(frozen=True)
class Latency:
    """The dead air before the answer, in milliseconds (docs/latency.md)."""

    perceived_ms: float
    stages: Mapping[str, float]
    """By name, in order; they sum to ``perceived_ms``."""
    over_budget: Mapping[str, float] = field(default_factory=dict)
    """By name, in seconds: what took longer than its budget."""

    @property
    def slowest(self) -> str:
        """The stage that took longest."""
        return max(self.stages, key=lambda name: self.stages[name], default="")


@dataclass(frozen=True)
class Pickup:
    """The silence before the first sound, in milliseconds (docs/latency.md)."""

    ms: float
    stages: Mapping[str, float]
    """By name, in order; they sum to ``ms``."""
    caller_first: bool = False
    """The caller spoke before the agent did."""


@dataclass(frozen=True)
class User:
    """The user's side of a turn. False, and without words, where the agent spoke first."""

    text: str = ""
    """What was heard, as the agent got it."""
    modality: str = ""
    """``audio`` or ``text``."""
    language: str | None = None
    span: StoredSpan | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        return self.span is not None


@dataclass(frozen=True)
class Assistant:
    """The agent's side of a turn. False, and without words, where there was no answer."""

    text: str = ""
    """What was said: of an interrupted answer, what the caller can have heard."""
    generated: str = ""
    """All that was generated."""
    interrupted: bool = False
    interrupted_by: str | None = None
    """``user`` or ``program``."""
    playback_s: float | None = None
    """Seconds that were played."""
    dropped: tuple[str, ...] = ()
    """Preemptive answers that were thrown away."""
    spans: tuple[StoredSpan, ...] = field(default=(), repr=False, compare=False)
    """Its ``livekit:assistant_turn`` spans: an answer can have several speeches."""

    def __bool__(self) -> bool:
        return bool(self.spans)


@dataclass(frozen=True)
class Turn:
    """A question with its answer; either side can be missing (a greeting, no answer)."""

    number: int
    """1, 2, 3 … within its call."""
    user: User
    assistant: Assistant
    tools: Tools
    latency: Latency | None
    """The dead air after the question; ``None``: there was none, or it was not measured."""
    errors: NamedSequence[Failed]
    spans: tuple[StoredSpan, ...] = field(repr=False, compare=False)
    """All spans of the turn, in the order in which they began."""
    unanswered: bool = False
    """Nobody answered the question (docs/latency.md)."""


@dataclass(frozen=True)
class Call:
    """One ``AgentSession``."""

    agent: str
    """Class of its first agent."""
    status: str
    close_reason: str | None
    """LiveKit's word; ``None`` while it runs."""
    turns: NamedSequence[Turn]
    errors: NamedSequence[Failed]
    spans: tuple[StoredSpan, ...] = field(repr=False, compare=False)
    pickup: Pickup | None = None
    """From the caller's arrival to the agent's first sound (in a test without a room, from the
    start of the session); ``None``: the agent did not greet."""
    unanswered: int | None = None
    """How many questions nobody answered; ``None``: an older version recorded it."""


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
