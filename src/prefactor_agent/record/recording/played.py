"""The agent's voice on its way into a recording: what of it was played, and when.

A frame that the agent's output was given is not heard yet: a voice is made faster than it is
played, waits while the agent pauses for the caller, and is thrown away where it is interrupted.
The same facts say here when it was heard as say it in the trace (see
:class:`prefactor_agent.conversation.Playout` and ``view/model/sounds.py``): when playback started,
which frames came too late to be played without a gap, when the output had run dry, the pauses, and
how much had been played when it was over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .track import Samples, Track, mono

MOST_NS = 300_000_000_000
"""How much of the agent may wait to be played. A voice that is further ahead than this is not
recorded to its end."""


@dataclass(eq=False, slots=True)
class _Frame:
    samples: Samples
    rate: int
    arrived_ns: int

    @property
    def ns(self) -> int:
        return len(self.samples) * 1_000_000_000 // self.rate


@dataclass(eq=False, slots=True)
class _Segment:
    """A stretch of audio that was handed to the output as a whole."""

    frames: deque[_Frame] = field(default_factory=deque)
    whole: bool = False
    """Nothing more comes of it."""
    cut: bool = False
    """Too much of it waited: its end is not kept."""
    head_ns: int | None = None
    """When what was played so far ended; ``None``: it does not play yet."""
    played_ns: int = 0
    pauses: list[tuple[int, int | None]] = field(default_factory=list)
    waits: list[tuple[int, int]] = field(default_factory=list)
    """How much had been played when the output ran dry, and when it went on."""
    ended_ns: int | None = None
    limit_ns: int | None = None
    """How much of it was played in all; ``None``: nobody has said so."""


class PlayedAudio:
    """The frames that the agent's output was given, until they were played."""

    def __init__(self) -> None:
        self._segments: deque[_Segment] = deque()
        self._waiting_ns = 0
        self.dropped_ns = 0
        """How much was not kept, because too much waited."""

    # What happens, in its order

    def add(self, frame: Any, arrived_ns: int) -> None:
        """The output was given a frame."""
        added = _Frame(mono(frame), frame.sample_rate, arrived_ns)
        latest = self._segments[-1] if self._segments else None
        if latest is None or latest.whole:
            if latest is not None and latest.head_ns is None:
                self._remove(latest)  # it was dropped before any of it was played
            self._segments.append(latest := _Segment())
        if latest.cut or self._waiting_ns + added.ns > MOST_NS:
            latest.cut = True
            self.dropped_ns += added.ns
            return
        latest.frames.append(added)
        self._waiting_ns += added.ns

    def flush(self) -> None:
        """The output was told that a segment is whole."""
        if self._segments:
            self._segments[-1].whole = True

    def started(self, at: int) -> None:
        """A segment begins to be played."""
        waiting = [one for one in self._segments if one.head_ns is None]
        if waiting:
            waiting[0].head_ns = at

    def paused(self, at: int) -> None:
        segment = self._playing()
        if segment is not None and not (segment.pauses and segment.pauses[-1][1] is None):
            segment.pauses.append((at, None))

    def resumed(self, at: int) -> None:
        segment = self._playing()
        if segment is not None and segment.pauses and segment.pauses[-1][1] is None:
            segment.pauses[-1] = segment.pauses[-1][0], at

    def waited(self, at: int, position_s: float) -> None:
        """The output had nothing to play, and goes on now.

        Args:
            position_s: How much of the segment it had played, in seconds.
        """
        if (segment := self._playing()) is not None:
            segment.waits.append((round(position_s * 1e9), at))

    def finished(self, at: int, position_s: float | None) -> None:
        """No more of a segment is played.

        Args:
            position_s: How much of it was, in seconds.
        """
        if (segment := self._playing()) is not None:
            segment.whole, segment.ended_ns = True, at
            segment.limit_ns = round(position_s * 1e9) if position_s is not None else None

    def _playing(self) -> _Segment | None:
        playing = (one for one in self._segments if one.head_ns is not None)
        return next((one for one in playing if one.ended_ns is None), None)

    @property
    def first_ns(self) -> int | None:
        """When the first frame that waits began to be played."""
        return self._segments[0].head_ns if self._segments else None

    # What was heard of it

    def place(self, track: Track, index: Callable[[int], float], until_ns: int) -> None:
        """Put on the track what was played before a moment.

        Args:
            index: From a moment to a position on the track.
        """
        for segment in list(self._segments):
            if segment.head_ns is None:
                break
            self._play(segment, track, index, until_ns)
            if segment.ended_ns is not None and segment.ended_ns <= until_ns:
                self._remove(segment)

    def _play(
        self, segment: _Segment, track: Track, index: Callable[[int], float], until_ns: int
    ) -> None:
        if segment.ended_ns is not None:
            until_ns = min(until_ns, segment.ended_ns)
        while segment.frames:
            at = segment.head_ns
            assert at is not None
            at, pause = _after_pauses(segment, at)
            frame = segment.frames[0]
            came, further = _after_waits(segment)
            if at is not None and segment.played_ns:
                at, pause = _after_pauses(segment, max(at, frame.arrived_ns, came))
            if at is None or at >= until_ns:
                return
            segment.head_ns = at
            ns = min(frame.ns, until_ns - at, pause - at, further)
            if segment.limit_ns is not None:
                ns = min(ns, segment.limit_ns - segment.played_ns)
            count = len(frame.samples) if ns == frame.ns else ns * frame.rate // 1_000_000_000
            if count <= 0:
                if ns == pause - at:  # less than a sample before a pause
                    segment.head_ns = pause
                    continue
                return
            track.place(index(at), frame.samples[:count], frame.rate)
            frame.samples = frame.samples[count:]
            played = count * 1_000_000_000 // frame.rate
            segment.head_ns, segment.played_ns = at + played, segment.played_ns + played
            self._waiting_ns -= played
            if not len(frame.samples):
                segment.frames.popleft()

    def _remove(self, segment: _Segment) -> None:
        self._waiting_ns = max(0, self._waiting_ns - sum(frame.ns for frame in segment.frames))
        self._segments.remove(segment)


_NEVER = 1 << 63
_SAME_NS = 1_000_000


def _after_waits(segment: _Segment) -> tuple[int, int]:
    """When what is played next had come to the output, as far as it told, and how much of the
    segment is played before it waits again."""
    came, further, played = 0, _NEVER, segment.played_ns
    for place, at in segment.waits:
        if place > played + _SAME_NS:
            further = place - played
            break
        came = max(came, at + played - place)
    return came, further


def _after_pauses(segment: _Segment, at: int) -> tuple[int | None, int]:
    """When a segment plays on that would at a moment, and when it pauses next; ``None``: it is not
    known when it goes on."""
    for since, until in segment.pauses:
        if at < since:
            return at, since
        if until is None:
            return None, _NEVER
        at = max(at, until)
    return at, _NEVER
