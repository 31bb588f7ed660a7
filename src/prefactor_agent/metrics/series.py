"""The series that Prometheus gets: the one table of their names, labels and buckets.

Names and units follow Prometheus's conventions: base units, ``_total`` for counters, and in place
of an age the time at which it began. ``docs/metrics.md`` explains them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Series(NamedTuple):
    """One metric with all of its labels."""

    name: str
    kind: Kind
    about: str
    """What it says, in one sentence: Prometheus's HELP."""
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets, in seconds; the last bucket has none."""


class Observation(NamedTuple):
    """Something that happened, or was measured."""

    series: str
    labels: tuple[str, ...]
    """The values of the labels, in the order of the series."""
    value: float
    """What a counter grows by, or a length in seconds."""


DEAD_AIR = "prefactor_dead_air_seconds"
STAGE = "prefactor_stage_seconds"
PICKUP = "prefactor_pickup_seconds"
TOOL = "prefactor_tool_seconds"
BARGE_IN = "prefactor_barge_in_seconds"
CALLS = "prefactor_calls_total"
TURNS = "prefactor_turns_total"
INTERRUPTIONS = "prefactor_interruptions_total"
UNANSWERED = "prefactor_unanswered_turns_total"
TOOL_CALLS = "prefactor_tool_calls_total"
ERRORS = "prefactor_errors_total"
LOST_SPANS = "prefactor_lost_spans_total"
TRACER_FAILURES = "prefactor_tracer_failures_total"
BACKLOG = "prefactor_backlog_spans"
OLDEST = "prefactor_backlog_oldest_timestamp_seconds"
PARKED = "prefactor_parked_spans"

_WAIT = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0)
"""Finest where a caller begins to notice a silence."""
_STAGE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_TOOL = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_BARGE_IN = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)

_H, _C, _G = Kind.HISTOGRAM, Kind.COUNTER, Kind.GAUGE
_TABLE = (
    Series(DEAD_AIR, _H, "Silence before an answer.", ("agent",), _WAIT),
    Series(STAGE, _H, "Part of a dead air spent on one stage.", ("agent", "stage"), _STAGE),
    Series(PICKUP, _H, "From the caller's arrival to the agent's first sound.", ("agent",), _WAIT),
    Series(TOOL, _H, "Duration of a tool call.", ("tool", "outcome"), _TOOL),
    Series(BARGE_IN, _H, "Agent audio played after the user began to interrupt.", (), _BARGE_IN),
    Series(CALLS, _C, "Calls that are over.", ("agent", "outcome")),
    Series(TURNS, _C, "Turns that are over.", ("agent", "role")),
    Series(INTERRUPTIONS, _C, "Turns of the agent that were interrupted.", ("agent",)),
    Series(UNANSWERED, _C, "Turns of the user that nobody answered.", ("agent",)),
    Series(TOOL_CALLS, _C, "Tool calls that are over.", ("tool", "outcome")),
    Series(ERRORS, _C, "Errors of models and of the agent's code.", ("agent", "source")),
    Series(LOST_SPANS, _C, "Spans that could not be kept.", ("agent",)),
    Series(TRACER_FAILURES, _C, "Failures of the tracer itself.", ("agent",)),
    Series(BACKLOG, _G, "Spans that wait to be delivered.", ("target",)),
    Series(OLDEST, _G, "When the span began to wait that has waited longest.", ("target",)),
    Series(PARKED, _G, "Spans that were refused.", ("target",)),
)
SERIES: Mapping[str, Series] = {series.name: series for series in _TABLE}
"""By name."""

OPEN_LABELS = frozenset({"agent", "tool", "source"})
"""The labels whose values programs choose."""
CLOSED_LABELS: Mapping[str, tuple[str, ...]] = {
    "outcome": ("complete", "failed", "cancelled", "lost"),
    "role": ("user", "agent"),
}
"""The values of the labels that are ours."""
MOST_VALUES = 50
"""The most values that such a label takes; what comes later is ``OTHER``. A name made anew for each
call would make the series grow without end."""
OTHER = "other"
