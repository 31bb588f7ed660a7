"""The caller's voice on its way into a recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ..audio.clock import AudioClock
from .track import Samples, Track, mono

_PADDING_NS = 150_000_000
"""The silence that LiveKit adds comes in frames longer than this, see ``audio/clock.py``."""
MOST_NS = 30_000_000_000
"""How much of the caller may wait to be written."""


class _Piece(NamedTuple):
    position: int
    """On the clock of the samples, in nanoseconds."""
    samples: Samples
    rate: int


class HeardAudio:
    """The frames that an STT or a realtime model was given, until they are written. They lie where
    the trace has them: on the clock of their samples (:mod:`..audio.clock`), which can move what
    has passed for as long as it waits here."""

    def __init__(self) -> None:
        self._clock = AudioClock()
        self._waiting: deque[_Piece] = deque()
        self._longest_ns = 0
        self._ended_ns: int | None = None
        self._ended_before_ns: int | None = None
        """When the audio before the present stretch ended."""

    def add(self, frame: Any, arrived_ns: int) -> None:
        """One frame passed."""
        samples, rate, clock = mono(frame), frame.sample_rate, self._clock
        duration = len(samples) * 1_000_000_000 // rate
        padding = False
        if duration > _PADDING_NS:
            if samples.any():
                self._longest_ns = max(self._longest_ns, duration)
            padding = duration > self._longest_ns
        position = clock.position
        begun = clock.advance(arrived_ns, duration, padding=padding)
        if clock.began:
            self._ended_before_ns = self._ended_ns
        clock.began = False
        clock.moves.clear()
        if not padding:
            self._ended_ns = begun + duration
            self._waiting.append(_Piece(position, samples, rate))
            while clock.position - self._waiting[0].position > MOST_NS:
                self._waiting.popleft()

    def settled_ns(self, now: int) -> int | None:
        """Up to which moment all that was heard is here; ``None``: there was no frame yet. What
        comes after a gap can prove to belong into it, if the frames behind it follow in a burst:
        then they were held up."""
        if now < self._clock.settles_ns and self._ended_before_ns is not None:
            return self._ended_before_ns
        return self._ended_ns

    @property
    def first_ns(self) -> int | None:
        """When the first frame began that waits."""
        return self._clock.moment(self._waiting[0].position) if self._waiting else None

    def place(self, track: Track, index: Callable[[int], float], until_ns: int) -> None:
        """Put on the track what was heard before a moment.

        Args:
            index: From a moment to a position on the track.
        """
        moment, waiting = self._clock.moment, self._waiting
        while waiting and (at := moment(waiting[0].position)) < until_ns:
            piece = waiting.popleft()
            track.place(index(at), piece.samples, piece.rate)
