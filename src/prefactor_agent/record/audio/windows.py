"""The levels of the latest audio, in windows of 10 ms: where in them a sound begins or ends, above
a level that is known only later."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import islice

from .clock import AudioClock
from .loudness import DIGITAL_DBFS, WINDOW_MS
from .sound import room_before

WINDOW_NS = WINDOW_MS * 1_000_000
CLICK_WINDOWS = 3
"""A lone sound shorter than this is a click, or the noise being uneven, and no voice."""
_KEPT = 300


class Windows:
    """The last three seconds.

    Args:
        clock: Says when the audio at a position was recorded.
    """

    __slots__ = ("_clock", "heard", "loud_until")

    def __init__(self, clock: AudioClock) -> None:
        self._clock = clock
        self.heard: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        """The position at which each window ended, and its level."""
        self.loud_until = 0
        """The position at which the last window ended that anybody could hear."""

    def end_moment(self, ended: int) -> int:
        """The moment at which audio ended that ends at this position. The audio behind it can have
        been recorded later."""
        return self._clock.moment(ended - 1) + 1

    def loudest_since(self, moment_ns: int) -> float | None:
        """The highest level of what ended after a moment; ``None``: nothing did."""
        end_moment = self.end_moment
        return max(
            (level for ended, level in self.heard if end_moment(ended) > moment_ns), default=None
        )

    def last_sound_above(self, threshold: float) -> int | None:
        """When the last sound above a level ended that is no click."""
        loud = 0
        found: int | None = None
        for ended, level in reversed(self.heard):
            if level <= threshold:
                loud, found = 0, None
                continue
            found = ended if found is None else found
            loud += 1
            if loud == CLICK_WINDOWS:
                return self.end_moment(found)
        return None

    def first_sound_since(self, since_ns: int, threshold: float, *, goes_on: bool) -> int | None:
        """When the first sound above a level began, at a moment or later.

        Args:
            goes_on: What is too short for a voice so far counts, if it comes last.
        """
        moment = self._clock.moment
        before = self._clock.earliest(since_ns) + WINDOW_NS
        if self.loud_until < before:
            return None  # most often nothing was heard
        loud, begun = 0, 0
        for ended, level in self.heard:
            if level <= threshold or ended < before:
                loud = 0
                continue
            begins = moment(ended - WINDOW_NS)
            if begins < since_ns:
                loud = 0
                continue
            loud += 1
            if loud == 1:
                begun = begins
            if loud == CLICK_WINDOWS:
                return begun
        return begun if loud and goes_on else None

    def voice_in(self, onset_ns: int) -> int:
        """When the voice began in the sound that began at ``onset_ns``. After digital silence (a
        muted microphone) the room is heard first, and is taken for sound because its level is not
        known yet."""
        heard = self.heard
        begun = self._clock.moments([ended - WINDOW_NS for ended, _ in heard])
        first = bisect_left(begun, onset_ns)
        if not 0 < first < len(heard) or heard[first - 1][1] >= DIGITAL_DBFS:
            return onset_ns
        room = room_before([level for _, level in islice(heard, first, None)])
        return begun[first + room] if room else onset_ns
