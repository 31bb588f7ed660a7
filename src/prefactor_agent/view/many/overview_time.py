"""Dead air and pickup over time: the same figures of each hour, day or week."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ...conversation.stages import PERCEIVED, PICKUP
from .bootstrap import Counts
from .gathered import Several, Values, joined
from .stats import Line, line_of

STEPS = tuple(
    timedelta(**step)
    for step in (
        *({"minutes": 5}, {"minutes": 15}, {"hours": 1}, {"hours": 3}, {"hours": 6}),
        *({"days": 1}, {"days": 7}, {"days": 28}, {"days": 364}),
    )
)
MOST = 45
"""Buckets at most; of years there may be more."""
_MONDAY = datetime(2001, 1, 1)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The calls that began in a part of the period. Moments are microseconds since the epoch."""

    begins_us: int
    ends_us: int
    calls: int
    dead_air: Line | None
    """``None``: no answer ended one."""
    pickup: Line | None


def spans_of(first_us: int, last_us: int) -> list[int]:
    """The moments that part a period into at most :data:`MOST` buckets of one length: hours, days,
    weeks from Monday, in the reader's own time zone. The first is not after ``first_us``, the last
    is after ``last_us``. (A day on which clocks are changed is longer or shorter.)"""
    first, last = datetime.fromtimestamp(first_us / 1e6), datetime.fromtimestamp(last_us / 1e6)
    step = next((one for one in STEPS if (last - first) / one <= MOST - 1), STEPS[-1])
    moment = _MONDAY + (first - _MONDAY) // step * step
    edges = [moment]
    while edges[-1] <= last:
        edges.append(edges[-1] + step)
    # What the clock says twice, or never, is one moment.
    return sorted({round(edge.astimezone().timestamp() * 1e6) for edge in edges})


def over_time(calls: Several, edges: Sequence[int]) -> list[Bucket]:
    """The figures of each bucket.

    Args:
        edges: As of :func:`spans_of`.
    """
    numbers = np.array([number for one in calls for number in one.calls], np.int64)
    started = np.array([moment for one in calls for moment in one.started_us], np.int64)
    bucket = np.searchsorted(np.asarray(edges), started, side="right") - 1
    of_number = np.zeros(int(numbers.max(initial=-1)) + 1, np.int64)
    of_number[numbers] = bucket
    count = len(edges) - 1
    counts = np.bincount(bucket, minlength=count)
    lines = [
        list(_lines(name, [one[name] for one in each if name in one], of_number, count))
        for name, each in (
            (PERCEIVED, [one.dead_air for one in calls]),
            (PICKUP, [one.pickup for one in calls]),
        )
    ]
    return [
        Bucket(begins, ends, int(calls_then), dead_air, pickup)
        for begins, ends, calls_then, dead_air, pickup in zip(
            edges, edges[1:], counts, *lines, strict=False
        )
    ]


def _lines(
    name: str, parts: Sequence[Values], of_number: Counts, count: int
) -> Iterator[Line | None]:
    values, calls = joined(parts)
    bucket = of_number[calls]
    order = np.lexsort((values, bucket))
    ends = np.cumsum(np.bincount(bucket, minlength=count))
    for some in np.split(values[order], ends[:-1]):
        yield line_of(name, some.tolist()) if len(some) else None
