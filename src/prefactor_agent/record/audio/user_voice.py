"""The user's voice: when it could be heard, and how loud it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ...core.guard import guarded
from ..spans.stream import UNABSORBED, AudioLevels
from .block import Block
from .clock import AudioClock
from .loudness import SILENCE_DBFS, WINDOW_MS, Audibility, pack, to_dbfs

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
_RECENT_NS = 2_000_000_000
"""A detector needs some hundred milliseconds of speech, and an STT its time on top."""
_KEPT_NS = 10_000_000_000
_PADDING_NS = 150_000_000
"""The silence that LiveKit adds (see clock.py) comes in frames longer than this."""
_SEEN_NS = 1_000_000
"""What moves by less stays where it was recorded."""
_UNFED = 500
"""Frames that wait, at most, until it is known when they were recorded."""


@dataclass(slots=True)
class _Before:
    """What was heard before a stretch of audio that can prove to go on without a gap."""

    ended_ns: int
    onset_ns: int | None
    heard_until_ns: int | None
    run: int
    run_ns: int


_Frame = tuple[int, int, int, int, int]
"""A frame that has passed: its position, when it began, its length, its samples in the rate that is
counted in, and when it arrived."""


class UserVoice:
    """The user's voice on its way into the STT node or the realtime model, on the clock of its
    samples.

    The clock goes on with each frame; the levels are worked out block by block, before the clock
    changes and whenever somebody asks: what is told is what it would be if each were worked out as
    it passes. Used on the event loop only.

    Args:
        session_id: Whose voice it is.
    """

    def __init__(self, since_ns: int = 0, session_id: str | None = None) -> None:
        self.session_id = session_id
        self._since_ns = since_ns
        self._taken = False
        self._clock = AudioClock(self.catch_up)
        self._block: Block[_Frame] = Block()
        self._audibility = Audibility()
        self._recent: deque[tuple[int, int]] = deque()
        """The position of each frame, and its size and level."""
        self._run = 0
        self._run_ns = 0
        self._floor = 0.0
        self._heard: deque[tuple[int, float]] = deque(maxlen=300)
        """The position at which each window ended, and its level."""
        self._loud_until = 0
        """The position at which the last window ended that anybody could hear."""
        self._frame_ns = 0
        """The length of the longest frame that was no padding, where frames are long."""
        self._ended_ns = 0
        self._stretch_ns = 0
        self._before: _Before | None = None
        self._levels: AudioLevels | None = None
        self._unfed = 0
        self.on_moved: list[Callable[[int, int], object]] = []
        """Called with two moments when the sound that seemed to begin, or to end, at the first
        proves to have begun, or ended, at the second."""
        self._onset_ns: int | None = None
        self._heard_until_ns: int | None = None
        self.sample_rate: int | None = None
        """The rate in which ``levels`` counts samples, whatever rate they come at."""
        self.channels: int | None = None
        self.first_arrived_ns: int | None = None
        """When the first audio came."""

    def hear(self, frame: rtc.AudioFrame, arrived_ns: int) -> None:
        """One frame passed."""
        data, block, clock = bytes(frame.data), self._block, self._clock
        samples, rate = frame.samples_per_channel, frame.sample_rate
        duration = samples * 1_000_000_000 // rate
        if rate != block.sample_rate or frame.num_channels != block.channels:
            self.catch_up()
            block.sample_rate, block.channels = rate, frame.num_channels
            self.channels = frame.num_channels
        if rate != self.sample_rate:
            self.first_arrived_ns = self.first_arrived_ns or arrived_ns
            samples = self._other_rate(frame)
        position = clock.position
        padding = duration > _PADDING_NS and self._is_padding(duration, data)
        begun = clock.advance(arrived_ns, duration, padding=padding)
        if clock.began or clock.moves:
            self._follow_clock(begun)
        self._ended_ns = begun + duration
        if block.add(data, arrived_ns, (position, begun, duration, samples, arrived_ns)):
            self.catch_up()

    def catch_up(self) -> None:
        """Work out the levels of what has passed."""
        if len(self._block):
            self._work_out()

    @guarded("voice.levels")
    def _work_out(self) -> None:
        for frame, squares in self._block.take():
            self._place(frame, squares)

    @property
    def onset_ns(self) -> int | None:
        """When the present (or last) stretch of sound began."""
        self.catch_up()
        return self._onset_ns

    @property
    def heard_until_ns(self) -> int | None:
        """When the last audible sound ended."""
        self.catch_up()
        return self._heard_until_ns

    def _place(self, frame: _Frame, squares: list[float]) -> None:
        position, begun, duration, samples, arrived_ns = frame
        hear = self._audibility.hear
        last = len(squares) - 1
        for index, square in enumerate(squares):
            offset = index * _WINDOW_NS
            length = duration if index == last else offset + _WINDOW_NS
            level = to_dbfs(square)
            audible = hear(level)
            self._heard.append((position + length, level))
            if level > Audibility.LEAST_DBFS:
                self._loud_until = max(self._loud_until, position + length)
            if self._audibility.floor > self._floor + _LEARNED_DB:
                self._reconsider(self._audibility.goes_on_above)
            self._floor = self._audibility.floor
            if not audible:
                self._run = 0
                continue
            at = begun + offset
            self._run += 1
            if self._run == 1:
                self._run_ns = at
            until = self._heard_until_ns
            if until is not None and at - until <= _RING_NS:
                self._heard_until_ns = begun + length
            elif self._run >= _CLICK_WINDOWS:
                if until is None or self._run_ns - until > _PAUSE_NS:
                    self._onset_ns = self._run_ns
                self._heard_until_ns = begun + length
        packed = pack(samples, squares)
        recent = self._recent
        recent.append((position, packed))
        if position - recent[0][0] > _KEPT_NS:
            recent.popleft()
        levels = self._levels
        if levels is None:
            return
        settles_ns = self._clock.settles_ns
        if self._unfed or arrived_ns < settles_ns:
            self._unfed += 1
            if arrived_ns >= settles_ns or self._unfed > _UNFED:
                self._feed(levels)
            return
        levels.times.append(begun)
        levels.items.append(packed)
        if len(levels.items) >= UNABSORBED:
            levels.absorb()

    @property
    def levels(self) -> AudioLevels | None:
        """Where the frames are recorded while an utterance is open. A frame gets there once it is
        settled when it was recorded."""
        return self._levels

    @levels.setter
    def levels(self, levels: AudioLevels | None) -> None:
        if levels is self._levels:
            return
        self.catch_up()
        if self._levels is not None:
            self._feed(self._levels)
        self._levels = levels
        self._unfed = 0

    def refill(self, audio: AudioLevels) -> None:
        """Record into a stream that begins in the past: the frames since then, and those to
        come."""
        self.catch_up()
        self.levels = audio
        audio.sample_rate, audio.channels = self.sample_rate, self.channels
        moment = self._clock.moment
        self._unfed = sum(moment(position) >= audio.started_ns for position, _ in self._recent)
        if self._unfed and self._ended_ns >= self._clock.settles_ns:
            self._feed(audio)

    def _is_padding(self, duration: int, data: bytes) -> bool:
        """Whether a frame is silence that LiveKit added: longer than the frames of the input."""
        if to_dbfs(max(self._block.mean_squares(data))) > SILENCE_DBFS:
            self._frame_ns = max(self._frame_ns, duration)
        return duration > self._frame_ns

    def _feed(self, levels: AudioLevels) -> None:
        recent, moment = self._recent, self._clock.moment
        for position, packed in islice(recent, max(0, len(recent) - self._unfed), None):
            # It began with a sound, which a frame that was more on time may move by a little.
            levels.times.append(max(moment(position), levels.started_ns))
            levels.items.append(packed)
        self._unfed = 0
        if len(levels.items) >= UNABSORBED:
            levels.absorb()

    def frames_since(self, since_ns: int) -> list[tuple[int, int]]:
        """The frames of the last seconds that begin at a moment or later: when each begins, and its
        size and level (see :func:`.loudness.pack`)."""
        self.catch_up()
        begun = self._clock.moments([position for position, _ in self._recent])
        frames = zip(begun, self._recent, strict=True)
        return [(at, packed) for at, (_, packed) in frames if at >= since_ns]

    def end_of_speech(self, now: int) -> int | None:
        """When the last audible sound ended, asked at a moment at which a VAD hears no speech."""
        self.catch_up()
        until = self._heard_until_ns
        if until is not None and now - until < _STILL_NS:
            # Something is still heard: what there is now is the room, whatever was taken for it.
            since = now - 2 * _STILL_NS
            room = [level for ended, level in self._heard if self._end_moment(ended) > since]
            if room:
                self._reconsider(max(room) + _ABOVE_ROOM_DB)
        return self._heard_until_ns

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
                self._heard_until_ns = self._end_moment(found)
                return

    def _end_moment(self, ended: int) -> int:
        """The moment at which audio ended that ends at this position. The audio behind it can have
        been recorded later."""
        return self._clock.moment(ended - 1) + 1

    def taken_until(self, moment_ns: int) -> None:
        """A turn was committed whose last sound ended then. Who goes on after a pause too short to
        begin a new stretch of sound begins a new turn all the same, and not before that."""
        self._since_ns = max(self._since_ns, moment_ns)
        self._taken = True

    def recent_onset(self, now: int) -> int | None:
        """When the sound that is (or was just) heard began, if that is not too long ago. What the
        caller said before the session began, and was kept for it, began with the session."""
        self.catch_up()
        until = self._heard_until_ns
        if until is not None and now - until >= _RECENT_NS and not self._is_new_run():
            return None
        return self._last_onset()

    def _last_onset(self) -> int | None:
        # A new run is too short for a voice so far; but who asks has heard one.
        onset = self._run_ns if self._is_new_run() else self._onset_ns
        if onset is None or onset > self._since_ns:
            return onset
        return self._sound_after_taken() if self._taken else self._since_ns

    def _is_new_run(self) -> bool:
        until = self._heard_until_ns
        return self._run > 0 and (until is None or self._run_ns - until > _PAUSE_NS)

    def _sound_after_taken(self) -> int | None:
        """When the first sound behind that of the last turn began, if there is one."""
        threshold, moment = self._audibility.goes_on_above, self._clock.moment
        loud, begun = 0, 0
        before = self._clock.earliest(self._since_ns) + _WINDOW_NS
        if self._loud_until < before:
            return None  # asked at each move of the clock: most often nothing was heard
        for ended, level in self._heard:
            if level <= threshold or ended < before:
                loud = 0
                continue
            begins = moment(ended - _WINDOW_NS)
            if begins < self._since_ns:
                loud = 0
                continue
            loud += 1
            if loud == 1:
                begun = begins
            if loud == _CLICK_WINDOWS:
                return begun
        return begun if loud and self._run else None

    def _follow_clock(self, begun: int) -> None:
        """A new stretch of audio begins, or some audio proved to be recorded at another moment."""
        clock = self._clock
        if clock.began:
            clock.began = False
            self._before = _Before(
                self._ended_ns, self._onset_ns, self._heard_until_ns, self._run, self._run_ns
            )
            self._run = 0
            self._stretch_ns = begun
        if clock.moves:
            self._move()

    def _move(self) -> None:
        clock, before = self._clock, (self._last_onset(), self._heard_until_ns)
        for since, by in clock.moves:
            if self._onset_ns is not None and self._onset_ns >= since:
                self._onset_ns += by
            if self._heard_until_ns is not None and self._heard_until_ns > since:
                self._heard_until_ns += by
            if self._taken and self._since_ns > since:
                self._since_ns += by
            if self._run_ns >= since:
                self._run_ns += by
            if self._stretch_ns >= since:
                self._stretch_ns += by
            if self._levels is not None and abs(by) > _SEEN_NS:
                _move_times(self._levels.times, since, by)
        clock.moves.clear()
        if self._before is not None and self._stretch_ns - self._before.ended_ns <= _RING_NS:
            self._join(self._before)
            self._before = None
        for seemed, moment in zip(before, (self._last_onset(), self._heard_until_ns), strict=True):
            if seemed is not None and moment is not None and seemed != moment:
                for listener in self.on_moved:
                    listener(seemed, moment)

    def _join(self, before: _Before) -> None:
        """There was no gap before the present stretch: a sound that went on across is one."""
        begins, until = self._stretch_ns, before.heard_until_ns
        onset = self._onset_ns
        if before.run:
            if self._run and self._run_ns == begins:
                self._run, self._run_ns = self._run + before.run, before.run_ns
            if onset == begins:
                onset = before.run_ns
        if onset is not None and until is not None and until < onset <= until + _PAUSE_NS:
            onset = before.onset_ns
        self._onset_ns = onset

    def _other_rate(self, frame: rtc.AudioFrame) -> int:
        """The samples of a frame that comes at another rate than those before, in the rate that is
        counted in."""
        samples, rate, counted = frame.samples_per_channel, frame.sample_rate, self.sample_rate
        if counted is None or self._levels is None:
            if counted is not None:
                self._recent = deque(
                    (position, ((packed >> 8) * rate // counted) << 8 | packed & 0xFF)
                    for position, packed in self._recent
                )
            self.sample_rate = rate
            return samples
        return samples * counted // rate


def _move_times(times: list[int], since: int, by: int) -> None:
    """Move the times from ``since`` on. Another thread may take times from the front meanwhile."""
    for back in range(1, len(times) + 1):
        try:
            if times[-back] < since:
                return
            times[-back] += by
        except IndexError:
            return
