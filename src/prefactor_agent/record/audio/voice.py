"""The two voices on the axis of time: when each could be heard."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..spans.stream import UNABSORBED, AudioLevels
from .loudness import WINDOW_MS, Audibility, AudioClock, mean_squares, to_dbfs

if TYPE_CHECKING:
    from livekit import rtc

_WINDOW_NS = WINDOW_MS * 1_000_000
_PAUSE_NS = 500_000_000
"""Silence after which the next sound is a new stretch of speech (words lie closer together)."""
_CLICK_WINDOWS = 3
"""A lone sound shorter than this is a click, or the noise being uneven, and no voice."""
_LEARNED_DB = 3.0
_STILL_NS = 100_000_000
_ABOVE_ROOM_DB = 2.0
_RING_NS = 60_000_000
"""This close to a voice anything audible belongs to it."""
_KEPT_NS = 10_000_000_000
LATE_KEPT = 500


class UserVoice:
    """The user's voice as it enters the STT node, on the clock of its samples."""

    def __init__(self, since_ns: int = 0) -> None:
        self._since_ns = since_ns
        self._clock = AudioClock()
        self._audibility = Audibility()
        self._recent: deque[tuple[int, int]] = deque()
        self._run = 0
        self._run_ns = 0
        self._floor = 0.0
        self._heard: deque[tuple[int, float]] = deque(maxlen=300)
        self.levels: AudioLevels | None = None
        """Where the frames are noted while an utterance is open."""
        self.onset_ns: int | None = None
        """When the present (or last) stretch of sound began."""
        self.heard_until_ns: int | None = None
        """When the last audible sound ended."""
        self.sample_rate: int | None = None
        self.channels: int | None = None

    def hear(self, frame: rtc.AudioFrame, arrived_ns: int) -> None:
        samples, rate = frame.samples_per_channel, frame.sample_rate
        self.sample_rate, self.channels = rate, frame.num_channels
        duration = samples * 1_000_000_000 // rate
        begun = self._clock.advance(arrived_ns, duration)
        squares = mean_squares(frame)
        hear = self._audibility.hear
        last = len(squares) - 1
        for index, square in enumerate(squares):
            at = begun + index * _WINDOW_NS
            ended = begun + duration if index == last else at + _WINDOW_NS
            level = to_dbfs(square)
            audible = hear(level)
            self._heard.append((ended, level))
            if self._audibility.floor > self._floor + _LEARNED_DB:
                self._reconsider(self._audibility.goes_on_above)
            self._floor = self._audibility.floor
            if not audible:
                self._run = 0
                continue
            self._run += 1
            if self._run == 1:
                self._run_ns = at
            until = self.heard_until_ns
            if until is not None and at - until <= _RING_NS:
                self.heard_until_ns = ended
            elif self._run >= _CLICK_WINDOWS:
                if until is None or self._run_ns - until > _PAUSE_NS:
                    self.onset_ns = self._run_ns
                self.heard_until_ns = ended
        packed = pack(samples, squares)
        recent = self._recent
        recent.append((begun, packed))
        if begun - recent[0][0] > _KEPT_NS:
            recent.popleft()
        levels = self.levels
        if levels is not None:
            levels.times.append(begun)
            levels.items.append(packed)
            if len(levels.items) >= UNABSORBED:
                levels.absorb()

    def end_of_speech(self, now: int) -> int | None:
        """When the last audible sound ended, asked at a moment at which a VAD hears no speech."""
        until = self.heard_until_ns
        if until is not None and now - until < _STILL_NS:
            # Something is still heard: what there is now is the room, whatever was taken for it.
            room = [level for ended, level in self._heard if now - ended < 2 * _STILL_NS]
            if room:
                self._reconsider(max(room) + _ABOVE_ROOM_DB)
        return self.heard_until_ns

    def _reconsider(self, threshold: float) -> None:
        """The noise turned out to be louder than was known: find the last sound above it."""
        loud = 0
        found: int | None = None
        for ended, level in reversed(self._heard):
            if level <= threshold:
                loud, found = 0, None
                continue
            found = ended if found is None else found
            loud += 1
            if loud == _CLICK_WINDOWS:
                self.heard_until_ns = found
                return

    def taken_until(self, moment_ns: int) -> None:
        """A turn was committed whose last sound ended then. Who goes on after a pause too short to
        begin a new stretch of sound begins a new turn all the same, and not before that."""
        self._since_ns = max(self._since_ns, moment_ns)

    def recent_onset(self, now: int) -> int | None:
        """When the sound that is (or was just) heard began, if that is not too long ago. What the
        caller said before the session began, and was kept for it, began with the session."""
        onset = self._recent_onset(now)
        return max(onset, self._since_ns) if onset is not None else None

    def _recent_onset(self, now: int) -> int | None:
        until = self.heard_until_ns
        if self._run and (until is None or self._run_ns - until > _PAUSE_NS):
            # Too short for a voice so far; but who asks has heard one.
            return self._run_ns
        if self.onset_ns is None or until is None:
            return None
        # A detector needs some hundred milliseconds of speech, and an STT its time on top.
        return self.onset_ns if now - until < 2_000_000_000 else None

    def refill(self, audio: AudioLevels) -> None:
        """Give a stream that begins in the past the frames since then."""
        audio.sample_rate, audio.channels = self.sample_rate, self.channels
        for begun, packed in self._recent:
            if begun >= audio.started_ns:
                audio.times.append(begun)
                audio.items.append(packed)


class AgentVoice:
    """The agent's voice as it leaves one TTS call: levels, and where in it the sound begins and
    ends."""

    def __init__(self, levels: AudioLevels) -> None:
        self._levels = levels
        # A synthetic voice has no room around it, and may begin without a moment of silence.
        self._audibility = Audibility(loudest_floor=-70.0)
        self._position_ns = 0
        self._latest_ns: int | None = None
        self.late: list[tuple[int, int]] = []
        """The frames that came later, against their place in the audio, than all before them: that
        place, and the arrival less it (see :class:`prefactor_agent.conversation.Playout`)."""
        self.sound_begins_ns: int | None = None
        """How far into the audio the first audible sound is: the leading silence of the voice."""
        self.sound_ends_ns: int | None = None

    def hear(self, frame: rtc.AudioFrame, arrived_ns: int) -> int:
        levels = self._levels
        samples, rate = frame.samples_per_channel, frame.sample_rate
        if levels.sample_rate is None:
            levels.sample_rate, levels.channels = rate, frame.num_channels
        squares = mean_squares(frame)
        hear, position = self._audibility.hear, self._position_ns
        began = arrived_ns - position
        if self._latest_ns is None or began > self._latest_ns:
            self._latest_ns = began
            if len(self.late) < LATE_KEPT:
                self.late.append((position, began))
        for index, square in enumerate(squares):
            if hear(to_dbfs(square)):
                at = position + index * _WINDOW_NS
                if self.sound_begins_ns is None:
                    self.sound_begins_ns = at
                self.sound_ends_ns = at + _WINDOW_NS
        self._position_ns = position + samples * 1_000_000_000 // rate
        return pack(samples, squares)


def pack(samples: int, squares: list[float]) -> int:
    """``samples << 8 | -level``: the level of the whole frame in whole dBFS."""
    if not squares:
        return samples << 8 | 127
    mean = squares[0] if len(squares) == 1 else sum(squares) / len(squares)
    return samples << 8 | -round(to_dbfs(mean))
