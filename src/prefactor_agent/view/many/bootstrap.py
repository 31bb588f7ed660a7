"""How sure a difference is: a bootstrap interval, the same for the same values each time.

Calls are drawn, not turns: the turns of one call have its line, its caller and its language in
common, and an interval that takes them for independent is too narrow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Statistic = Callable[[Floats, Counts], float]
"""Of values in ascending order and how often each counts (one value at least once)."""

CONFIDENCE = 95
"""Per cent of intervals that hold the true difference."""
LEAST_CALLS, LEAST_VALUES = 10, 20
"""Of each side, below which an interval would say more than is known."""
LEAST_EVENTS = 5
"""Of both sides together, that a share needs: turns that were interrupted and turns that were not.
Resampling 0 of 20 says 0 each time, which is not sure at all."""
_RESAMPLES = 1_000
_LEAST_RESAMPLES = 200
_WORK = 20_000_000
"""Values that may be looked at for one interval of each side: of a hundred thousand turns fewer
resamples are drawn, as there is less to tell apart."""
_SEED = 20_240_229


class Interval(NamedTuple):
    """Where a difference lies, with :data:`CONFIDENCE`."""

    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether all of it lies on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The values of one side, in ascending order, and which call each is of (0, 1, 2 …)."""

    values: Floats
    of_call: Counts
    calls: int
    """How many calls have a value."""

    @classmethod
    def of(cls, values: Floats, calls: Counts) -> Sample:
        """
        Args:
            calls: The number of the call that each value is of. The draws follow the order of these
                numbers; a call without a value does not count.
        """
        numbers, of_call = np.unique(calls, return_inverse=True)
        order = np.argsort(values, kind="stable")
        return cls(values[order], of_call[order].astype(np.int64), len(numbers))

    @property
    def count(self) -> int:
        return len(self.values)

    def statistic(self, statistic: Statistic) -> float | None:
        """``None``: there are no values."""
        return statistic(self.values, np.ones_like(self.of_call)) if self.count else None

    def resampled(self, statistic: Statistic, resamples: int, seed: int) -> Floats:
        """The statistic of as many samples as are asked for, each of as many calls as there are,
        drawn with replacement."""
        draw = np.random.default_rng([_SEED, seed])
        found = np.empty(resamples)
        for index in range(resamples):
            drawn = draw.integers(0, self.calls, self.calls)
            times = np.bincount(drawn, minlength=self.calls)
            found[index] = statistic(self.values, times[self.of_call])
        return found


def median(values: Floats, times: Counts) -> float:
    """As :func:`prefactor_agent.conversation.median`."""
    upto = np.cumsum(times)
    total = int(upto[-1])
    ranks = np.array([(total + 1) // 2, total // 2 + 1])
    lower, upper = values[np.searchsorted(upto, ranks)]
    return float(lower + upper) / 2


def p95(values: Floats, times: Counts) -> float:
    """As :func:`prefactor_agent.conversation.percentile` of 95."""
    upto = np.cumsum(times)
    rank = -(-int(upto[-1]) * 95 // 100)
    return float(values[np.searchsorted(upto, rank)])


def share(values: Floats, times: Counts) -> float:
    """Of ones among zeros and ones."""
    return float(values @ times) / int(times.sum())


def interval(
    before: Sample, after: Sample, statistic: Statistic, resamples: int | None = None
) -> Interval | None:
    """The bootstrap interval (percentile method) of a difference, ``after`` less ``before``.

    Args:
        resamples: Default: as many as their sizes allow.

    Returns:
        ``None``: there are too few of something: see :data:`LEAST_CALLS`, :data:`LEAST_VALUES` and
        :data:`LEAST_EVENTS`.
    """
    if min(before.calls, after.calls) < LEAST_CALLS:
        return None
    if min(before.count, after.count) < LEAST_VALUES:
        return None
    if statistic is share:
        ones = int(before.values.sum() + after.values.sum())
        if min(ones, before.count + after.count - ones) < LEAST_EVENTS:
            return None
    if resamples is None:
        largest = max(before.count, after.count)
        resamples = max(_LEAST_RESAMPLES, min(_RESAMPLES, _WORK // largest))
    differences = after.resampled(statistic, resamples, 1) - before.resampled(
        statistic, resamples, 0
    )
    tail = (100 - CONFIDENCE) / 2
    low, high = np.percentile(differences, [tail, 100 - tail])
    return Interval(float(low), float(high))
