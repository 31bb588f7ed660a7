"""What was read of a period, kept for a while, so that a choice among its calls reads nothing. Runs
on threads."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from ...stored.source import Place
from ..many.overview_calls import PeriodCalls
from ..model.digest import Wanted, digests
from .question import Question

KEPT = 3
"""Readings at most; the oldest is forgotten first."""
FRESH_S = 60.0
"""How long a reading is kept if nothing has changed: periods that end now go on."""
SHARE = 10
"""Or so many times as long as it took, if there are new calls: reading takes at most a tenth of the
time."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The calls of a period, as they were at a moment."""

    number: int
    """Each reading has another."""
    calls: PeriodCalls
    begin_us: int | None
    end_us: int | None
    """The period; ``None``: no bound."""
    now_us: int
    """When it was read, in microseconds since the Unix epoch."""
    version: int
    """Of what was read (:class:`.watch.Watch`)."""
    read_s: float
    """When that was by the clock that tells how much time passes."""
    took_s: float


class Readings:
    """Reads periods.

    Args:
        place: Where the calls are kept.
        version: What is another one when a call has changed.
        clock: Tells how much time passes, in seconds.
    """

    def __init__(
        self,
        place: Place,
        version: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place, self._version, self._clock = place, version, clock
        self._kept: dict[tuple[str, ...], Reading] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def of(self, question: Question) -> Reading:
        """The period that is asked for.

        Raises:
            SourceError: The calls cannot be read.
        """
        for kept in [*self._kept.values()]:
            if kept.number == question.reading:
                return kept
        now_us = time.time_ns() // 1000
        key = (question.period, question.begin, question.end)
        return self._read(key, *question.between(now_us), now_us)

    def before(self, reading: Reading, question: Question) -> Reading | None:
        """The period before; ``None``: there is none.

        Raises:
            SourceError: The calls cannot be read.
        """
        found = question.before(reading.now_us)
        if found is None:
            return None
        key = ("before", *map(str, found))
        return self._read(key, *found, reading.now_us)

    def _read(
        self, key: tuple[str, ...], begin_us: int | None, end_us: int | None, now_us: int
    ) -> Reading:
        with self._lock:  # whoever asks for the same meanwhile gets it, too
            kept = self._kept.pop(key, None)
            if kept is None or not self._is_fresh(kept):
                version, started = self._version(), self._clock()
                with closing(self._place.open()) as source:
                    calls = PeriodCalls(digests(source, Wanted(begin_us, end_us)))
                read = self._clock()
                kept = Reading(
                    next(self._numbers), calls, begin_us, end_us, now_us, version,
                    read, read - started,
                )  # fmt: skip
            self._kept[key] = kept
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
            return kept

    def _is_fresh(self, reading: Reading) -> bool:
        age = self._clock() - reading.read_s
        unchanged = reading.version == self._version() and age < FRESH_S
        return unchanged or age < reading.took_s * SHARE
