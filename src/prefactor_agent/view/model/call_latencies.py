"""Works out the silences of a call as statistics count them: see :mod:`.latencies`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...conversation import totals
from . import stagenames
from .calltree import CallTree
from .gaps import longest_gap
from .latencies import CallLatencies, PickupLatency, TurnLatency
from .pickup import pickup_of
from .silences import silences
from .unanswered import unanswered_of


def call_latencies(session_id: str, call: CallTree) -> CallLatencies:
    """The silences of a call."""
    found = in_columns(session_id, latencies(call), pickup_latency(call))
    left = unanswered_of(call)
    return replace(found, unanswered=left.count if left is not None else None)


def in_columns(
    session_id: str, turns: Sequence[TurnLatency], pickup: PickupLatency | None
) -> CallLatencies:
    """The silences of a call, from its answered turns one by one."""
    names = sorted({name for turn in turns for name in turn.stages}, key=stagenames.place)
    return CallLatencies(
        session_id=session_id,
        turn=[turn.turn for turn in turns],
        answer=[turn.answer for turn in turns],
        begins_us=[turn.begins_us for turn in turns],
        perceived_ms=[turn.perceived_ms for turn in turns],
        over_budget=[turn.over_budget for turn in turns],
        gap_ms=[turn.gap_ms for turn in turns],
        stages={name: [turn.stages.get(name) for turn in turns] for name in names},
        pickup=pickup,
    )


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
