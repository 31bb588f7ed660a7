"""Frames that have passed, and are looked at a little later, together.

In a call a frame passes every 10 to 50 ms, and everything that is done in between throws our code
and NumPy's out of the processor's caches: working out one frame alone takes ten times as long as
one of many. So when a frame passes, only a copy of its samples is kept (they may be changed in
place as soon as it has passed), and the frame itself, whose rate and channels cannot change. All
else waits until a block is full or somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from ..livekit.private import samples_of
from .loudness import mean_squares, window_of

if TYPE_CHECKING:
    from livekit import rtc

LONGEST_NS = 400_000_000
"""How long the first frame of a block waits for the others, if more frames come."""
MOST_FRAMES = 48

Passed = tuple[bytes, int, int, int, int]
"""A frame that has passed: its 16-bit samples, how many each channel has, the sample rate, the
channels, and when it arrived."""
_format = itemgetter(2, 3)


class Block:
    """The frames that wait.

    Args:
        when_full: Called when no more should wait: it takes them.
    """

    __slots__ = ("_until_ns", "_waiting", "_when_full")

    def __init__(self, when_full: Callable[[], object]) -> None:
        self._when_full = when_full
        self._until_ns = 0
        self._waiting: list[tuple[rtc.AudioFrame, bytes, int]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, frame: rtc.AudioFrame, arrived_ns: int) -> None:
        """Keep a frame that just passed."""
        waiting = self._waiting
        if not waiting:
            self._until_ns = arrived_ns + LONGEST_NS
        waiting.append((frame, bytes(samples_of(frame)), arrived_ns))
        if arrived_ns >= self._until_ns or len(waiting) >= MOST_FRAMES:
            self._when_full()

    def take(self) -> list[tuple[Passed, list[float]]]:
        """Each frame, and the mean squares of its windows of 10 ms. The block is empty afterwards,
        whatever becomes of it."""
        waiting, self._waiting = self._waiting, []
        found: list[tuple[Passed, list[float]]] = []
        passed = (
            (samples, one.samples_per_channel, one.sample_rate, one.num_channels, arrived_ns)
            for one, samples, arrived_ns in waiting
        )
        for (rate, channels), alike in groupby(passed, _format):
            frames = list(alike)
            samples = [frame[0] for frame in frames]
            found += zip(frames, mean_squares(samples, window_of(rate, channels)), strict=True)
        return found
