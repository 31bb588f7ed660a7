"""One clock for everything that is recorded.

Every time in a trace is read from the monotonic clock and turned into a date with one anchor, taken
when the process first imports this module. A wall clock that is stepped during a call (NTP, a
suspended machine) can therefore neither reorder spans nor make one negative.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter_ns as now_ns

from .forks import at_fork

__all__ = ["from_wall", "now_ns", "to_unix_us", "unix_us_to_rfc3339"]

_anchor_ns = 0


def _anchor() -> None:
    # The two reads are nanoseconds apart; the narrowest of a few pairs shuts out a descheduling.
    global _anchor_ns
    best: tuple[int, int] | None = None
    for _ in range(5):
        before = now_ns()
        wall = time.time_ns()
        width = now_ns() - before
        if best is None or width < best[0]:
            best = (width, wall - before - width // 2)
    assert best is not None
    _anchor_ns = best[1]


_anchor()
# A forked child shares the clock but may live long; it takes an anchor of its own.
at_fork(after_in_child=_anchor)


def to_unix_us(moment_ns: int) -> int:
    """The date of a monotonic moment, in whole microseconds since the Unix epoch."""
    return (moment_ns + _anchor_ns) // 1000


def from_wall(wall_s: float) -> int:
    """The monotonic moment of a date that LiveKit stamped with ``time.time()``, in nanoseconds.

    Measured backwards from now, on today's wall clock: right also after the clock was stepped, as
    long as the step did not fall between LiveKit's stamp and this call.
    """
    return now_ns() - int((time.time() - wall_s) * 1e9)


def unix_us_to_rfc3339(unix_us: int) -> str:
    """``2026-11-21T05:21:00.000001Z``: RFC 3339 in UTC, always with six digits."""
    seconds, micros = divmod(unix_us, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(8)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
