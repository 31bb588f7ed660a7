"""The silences of a call, before its answers and before its first sound, as statistics count
them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...conversation import totals
from ...stored.span import StoredSpan
from .calltree import CallTree, build
from .gaps import longest_gap
from .pickup import pickup_of
from .silences import silences


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


class CallLatencies(NamedTuple):
    """The silences of one call."""

    turns: Sequence[TurnLatency]
    pickup: PickupLatency | None = None


def pickup_latency(call: CallTree) -> PickupLatency | None:
    """The pickup of a call; ``None``: it has none, or the caller spoke first."""
    found = pickup_of(call)
    if found is None or not found.answered:
        return None
    return PickupLatency(found.ms, totals((stage.name, stage.ms) for stage in found.stages))


def latencies(call: CallTree) -> list[TurnLatency]:
    """The answered turns of a call."""
    return [
        TurnLatency(
            session_id=silence.answer.span.session_id,
            turn=silence.turn.number,
            answer=silence.answer.span.id,
            begins_us=silence.begins_us,
            perceived_ms=silence.ms,
            stages=totals((stage.name, stage.ms) for stage in silence.stages),
            over_budget=bool(silence.over_budget),
            gap_ms=gap.ms if (gap := longest_gap(silence.turn)) is not None else None,
        )
        for silence in silences(call).all
    ]


def latencies_of(spans: Iterable[StoredSpan]) -> list[CallLatencies]:
    """The silences among the spans of one or more calls, call by call."""
    calls: dict[str, list[StoredSpan]] = defaultdict(list)
    for span in spans:
        calls[span.session_id].append(span)
    trees = map(build, calls.values())
    return [CallLatencies(latencies(call), pickup_latency(call)) for call in trees]
