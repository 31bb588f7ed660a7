"""The silences of a call, before its answers and before its first sound, as statistics count them.
They are worked out in :mod:`.call_latencies`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.json import JSON


class TurnLatency(NamedTuple):
    """The silence before one answer."""

    session_id: str
    turn: int
    """The number of the turn in its call."""
    answer: str
    """The id of the speech that ended it."""
    begins_us: int
    """Microseconds since the Unix epoch."""
    perceived_ms: float
    stages: Mapping[str, float]
    """How long each stage took, in milliseconds; one that came more than once counts with its
    sum."""
    over_budget: bool = False
    gap_ms: float | None = None
    """The longest silence inside the answer."""


class PickupLatency(NamedTuple):
    """The silence before the agent's first sound, where that came before the caller's."""

    ms: float
    stages: Mapping[str, float]
    """As those of a turn."""


@dataclass(frozen=True, slots=True)
class CallLatencies:
    """The silences of one call. What is told of its answered turns stands in columns, which have an
    entry for each of them: so many calls are read and added up in little time."""

    session_id: str
    turn: Sequence[int] = ()
    answer: Sequence[str] = ()
    begins_us: Sequence[int] = ()
    perceived_ms: Sequence[float] = ()
    over_budget: Sequence[bool] = ()
    gap_ms: Sequence[float | None] = ()
    stages: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    """By stage, in the order in which they happen; ``None``: the turn has none of it."""
    pickup: PickupLatency | None = None
    unanswered: int | None = None
    """Questions that nobody answered, which have no silence; ``None``: it is not known."""

    @property
    def turns(self) -> list[TurnLatency]:
        """The answered turns, one by one."""
        columns = zip(
            self.turn, self.answer, self.begins_us, self.perceived_ms, self.over_budget,
            self.gap_ms, strict=True,
        )  # fmt: skip
        return [
            TurnLatency(
                self.session_id, number, answer, begins_us, perceived_ms,
                {n: ms for n, of in self.stages.items() if (ms := of[index]) is not None},
                over_budget, gap_ms,
            )
            for index, (number, answer, begins_us, perceived_ms, over_budget, gap_ms) in enumerate(
                columns
            )
        ]  # fmt: skip

    def as_json(self) -> JSON:
        """The columns of the turns, as a digest keeps them."""
        return {
            "turn": self.turn,
            "answer": self.answer,
            "begins_us": self.begins_us,
            "perceived_ms": self.perceived_ms,
            "over_budget": self.over_budget,
            "gap_ms": self.gap_ms,
            "stages": self.stages,
        }
