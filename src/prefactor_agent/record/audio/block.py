"""Frames that have passed, and whose loudness is worked out a little later, together.

In a call a frame passes every 10 to 50 ms, and everything that is done in between throws NumPy's
code out of the processor's caches: working out one frame alone takes ten times as long as one of
many. So a copy of its samples waits (a frame may be changed in place as soon as it has passed),
with what is known of its place, until a block is full or somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from .loudness import mean_squares, window_of

LONGEST_NS = 200_000_000
"""How long the first frame of a block waits for the others, if more frames come."""
MOST_FRAMES = 32

Note = TypeVar("Note")


class Block(Generic[Note]):
    """The frames that wait, all in one format, each with a note."""

    __slots__ = ("_notes", "_samples", "_until_ns", "channels", "sample_rate")

    def __init__(self) -> None:
        self.sample_rate = 0
        self.channels = 0
        self._until_ns = 0
        self._samples: list[bytes] = []
        self._notes: list[Note] = []

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, samples: bytes, arrived_ns: int, note: Note) -> bool:
        """Keep a frame; returns whether the block is full."""
        waiting = self._samples
        if not waiting:
            self._until_ns = arrived_ns + LONGEST_NS
        self._notes.append(note)
        waiting.append(samples)
        return arrived_ns >= self._until_ns or len(waiting) >= MOST_FRAMES

    def take(self) -> Iterator[tuple[Note, list[float]]]:
        """Each frame's note, and the mean squares of its windows. The block is empty afterwards,
        whatever becomes of it."""
        notes, samples = self._notes, self._samples
        self._notes, self._samples = [], []
        return zip(notes, mean_squares(samples, self._window), strict=True)

    def mean_squares(self, samples: bytes) -> list[float]:
        """Those of one frame of this format, at once."""
        return next(mean_squares([samples], self._window))

    @property
    def _window(self) -> int:
        return window_of(self.sample_rate, self.channels)
