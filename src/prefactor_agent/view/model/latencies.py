"""The silences before the answers of a call, as statistics count them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...conversation import totals
from ...stored.span import StoredSpan
from .calltree import CallTree, build
from .gaps import longest_gap
from .silences import silences


class TurnLatency(NamedTuple):
    """The silence before one answer."""

    session_id: str
    turn: int
    """The number of the turn in its call."""
    begins_us: int
    """Microseconds since the Unix epoch."""
    perceived_ms: float
    stages: Mapping[str, float]
    """How long each stage took, in milliseconds; one that came more than once counts with its
    sum."""
    over_budget: bool = False
    gap_ms: float | None = None
    """The longest silence inside the answer."""


def latencies(call: CallTree) -> list[TurnLatency]:
    """The answered turns of a call."""
    return [
        TurnLatency(
            session_id=silence.answer.span.session_id,
            turn=silence.turn.number,
            begins_us=silence.begins_us,
            perceived_ms=silence.ms,
            stages=totals((stage.name, stage.ms) for stage in silence.stages),
            over_budget=bool(silence.over_budget),
            gap_ms=gap.ms if (gap := longest_gap(silence.turn)) is not None else None,
        )
        for silence in silences(call).all
    ]


def turns_of(spans: Iterable[StoredSpan]) -> list[TurnLatency]:
    """The answered turns among the spans of one or more calls, call by call."""
    calls: dict[str, list[StoredSpan]] = defaultdict(list)
    for span in spans:
        calls[span.session_id].append(span)
    return [turn for call in calls.values() for turn in latencies(build(call))]
