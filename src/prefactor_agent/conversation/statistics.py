"""Figures over many turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..core.json import JSON
from .measure import Latency
from .split import totals


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: always one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    # The standard library's would cost each agent's start a millisecond, to import it.
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def summarize(latencies: Sequence[Latency]) -> JSON | None:
    """What is said of a whole call; ``None``: nobody waited for an answer that was heard. An agent
    that spoke while the user still did ended no silence, and is not counted."""
    latencies = [latency for latency in latencies if latency.perceived_us > 0]
    if not latencies:
        return None
    perceived = [latency.perceived_us / 1000 for latency in latencies]
    took = totals(stage for latency in latencies for stage in latency.stages)
    slowest = max(took, key=lambda name: took[name], default=None)
    over = sum(bool(latency.over_budget) for latency in latencies)
    return {
        "turns": len(perceived),
        "median_ms": round(median(perceived), 3),
        "p95_ms": percentile(perceived, 95),
        "worst_ms": max(perceived),
        **({"slowest_stage": slowest} if slowest else {}),
        **({"over_budget": over} if over else {}),
    }
