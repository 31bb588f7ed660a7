"""When the journal is written: what begins or ends soon after, words a little later, loudness about
once a second. The thread sleeps until the first of these is due."""

from __future__ import annotations

import contextlib
import threading
import time

WORDS = 2.5
"""Flush intervals after which the words of an open span are written at the latest."""
LEVELS = 6.0
"""Flush intervals after which the loudness of an open span is written at the latest. It waits for
four more until it is worked out (record/audio/block.py): a second in all."""
_LONGEST_S = 3600.0
"""One wait of the thread: a lock takes no infinite one."""


class Schedule:
    """The next time at which the thread has something to do.

    The event loop calls :meth:`put` and nothing else; that neither waits nor, if the thread wakes
    soon enough anyway, wakes it. A span is added to the queue before :meth:`put` is called, and the
    thread calls :meth:`rest` before it looks into the queue: so one of the two sees it.

    Args:
        interval: Seconds after which what begins or ends is written.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due = 0.0
        self._levels_taken = float("-inf")
        self._alarm = threading.Lock()  # taken while the thread sleeps; released to wake it
        self._alarm.acquire()

    # On the event loop

    def put(self) -> None:
        """A span is in the queue."""
        wanted = time.monotonic() + self._interval
        if wanted < self._due:
            self._due = wanted
            self._ring()

    # Anywhere

    def hurry(self) -> None:
        """Have the thread work at once."""
        self._due = 0.0
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is awake
            self._alarm.release()

    # On the thread

    def rest(self, *, words: bool = False, levels: bool = False, idle: float | None = None) -> None:
        """Plan the next round after one.

        Args:
            words: A span with a stream of words is open.
            levels: A span with a stream of loudness is open.
            idle: Seconds after which there is something else to do.
        """
        now = time.monotonic()
        due = float("inf") if idle is None else now + idle
        if words:
            due = min(due, now + WORDS * self._interval)
        if levels:
            due = min(due, self._levels_taken + LEVELS * self._interval)
        self._due = due

    def soon(self) -> None:
        """Something was put since the last round, or could not be written in it."""
        self._due = min(self._due, time.monotonic() + self._interval)

    def wait(self) -> None:
        """Sleep until something is due."""
        while (left := self._due - time.monotonic()) > 0:
            self._alarm.acquire(timeout=min(left, _LONGEST_S))

    def takes_levels(self, *, everything: bool) -> bool:
        """Whether this round writes loudness: not before two thirds of the time that it may wait,
        so that it goes with what is written anyway.

        Args:
            everything: This round writes all that there is.
        """
        now = time.monotonic()
        if not everything and now - self._levels_taken < LEVELS * self._interval * 2 / 3:
            return False
        self._levels_taken = now
        return True
