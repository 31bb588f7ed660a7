"""The user's voice: when it could be heard, and how loud it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from ...core.guard import guarded
from ..spans.stream import UNABSORBED, AudioLevels
from .block import Block
from .clock import AudioClock
from .loudness import LEAST_DBFS, SILENCE_DBFS, Audibility, pack, to_dbfs
from .windows import CLICK_WINDOWS, WINDOW_NS, Windows

_PAUSE_NS = 500_000_000
"""Silence after which the next sound is a new stretch of speech (words lie closer together)."""
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


class _Before(NamedTuple):
    """What was heard before a stretch of audio that can prove to go on without a gap."""

    ended_ns: int
    onset_ns: int | None
    heard_until_ns: int | None
    run: int
    run_ns: int


class UserVoice:
    """The user's voice on its way into the STT node or the realtime model, on the clock of its
    samples.

    Frames are looked at block by block, and whenever somebody asks: what is told is what it would
    be if each were looked at as it passes. Only ``on_moved`` is called a little later, before
    anything that is told can depend on it. Used on the event loop only.

    Args:
        session_id: Whose voice it is.
    """

    def __init__(self, since_ns: int = 0, session_id: str | None = None) -> None:
        self.session_id = session_id
        self._since_ns = since_ns
        self._taken = False
        self._clock = AudioClock()
        self._block = Block(self._work_out)
        self.hear = self._block.add
        """Called with each frame that passes, and when it arrived."""
        self._audibility = Audibility()
        self._recent: deque[tuple[int, int]] = deque()
        """The position of each frame, and its size and level."""
        self._run = 0
        self._run_ns = 0
        self._floor = 0.0
        self._windows = Windows(self._clock)
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
        self._sample_rate: int | None = None
        self._channels: int | None = None
        self._first_arrived_ns: int | None = None

    def catch_up(self) -> None:
        """Look at what has passed. Whoever reads what ``on_moved`` may change asks for it."""
        if len(self._block):
            self._work_out()

    @guarded("voice.levels")
    def _work_out(self) -> None:
        clock, place = self._clock, self._place
        for (_, samples, rate, channels, arrived_ns), squares in self._block.take():
            duration = samples * 1_000_000_000 // rate
            self._channels = channels
            if rate != self._sample_rate:
                self._first_arrived_ns = self._first_arrived_ns or arrived_ns
                samples = self._other_rate(samples, rate)
            position = clock.position
            padding = duration > _PADDING_NS and self._is_padding(duration, squares)
            begun = clock.advance(arrived_ns, duration, padding=padding)
            if clock.began or clock.moves:
                self._follow_clock(begun)
            self._ended_ns = begun + duration
            if not padding:  # it says nothing of the room
                place(position, begun, duration, squares)
            packed = pack(samples, squares)
            self._recent.append((position, packed))
            if position - self._recent[0][0] > _KEPT_NS:
                self._recent.popleft()
            if self._levels is not None:
                self._record(self._levels, begun, arrived_ns, packed)

    @property
    def sample_rate(self) -> int | None:
        """The rate in which ``levels`` counts samples, whatever rate they come at."""
        self.catch_up()
        return self._sample_rate

    @property
    def channels(self) -> int | None:
        """The channels of the latest frame."""
        self.catch_up()
        return self._channels

    @property
    def first_arrived_ns(self) -> int | None:
        """When the first audio came. Of a session that is over, any thread may ask."""
        return self._first_arrived_ns

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

    def _place(self, position: int, begun: int, duration: int, squares: list[float]) -> None:
        """Look where in a frame there is sound."""
        audibility, windows = self._audibility, self._windows
        hear = audibility.hear
        last = len(squares) - 1
        for index, square in enumerate(squares):
            offset = index * WINDOW_NS
            length = duration if index == last else offset + WINDOW_NS
            level = to_dbfs(square)
            audible = hear(level)
            windows.heard.append((position + length, level))
            if level > LEAST_DBFS and position + length > windows.loud_until:
                windows.loud_until = position + length
            if (floor := audibility.floor) != self._floor:
                if floor > self._floor + _LEARNED_DB:
                    self._reconsider(audibility.goes_on_above)
                self._floor = floor
            if not audible:
                self._run = 0
                continue
            self._run += 1
            if self._run == 1:
                self._run_ns = begun + offset
            until = self._heard_until_ns
            if until is not None and begun + offset - until <= _RING_NS:
                self._heard_until_ns = begun + length
            elif self._run >= CLICK_WINDOWS:
                if until is None or self._run_ns - until > _PAUSE_NS:
                    self._onset_ns = self._run_ns
                self._heard_until_ns = begun + length

    def _record(self, levels: AudioLevels, begun: int, arrived_ns: int, packed: int) -> None:
        """Add the latest frame to what is recorded of an utterance."""
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
        self.catch_up()
        if levels is self._levels:
            return
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

    def _is_padding(self, duration: int, squares: list[float]) -> bool:
        """Whether a frame is silence that LiveKit added: longer than the frames of the input."""
        if to_dbfs(max(squares)) > SILENCE_DBFS:
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
            room = self._windows.loudest_since(now - 2 * _STILL_NS)
            if room is not None:
                self._reconsider(room + _ABOVE_ROOM_DB)
        return self._heard_until_ns

    def _reconsider(self, threshold: float) -> None:
        """The noise turned out to be louder than was known: find the last sound above it."""
        ended = self._windows.last_sound_above(threshold)
        if ended is not None:
            self._heard_until_ns = ended

    def taken_until(self, moment_ns: int) -> None:
        """A turn was committed whose last sound ended then. Who goes on after a pause too short to
        begin a new stretch of sound begins a new turn all the same, and not before that."""
        self.catch_up()
        self._since_ns = max(self._since_ns, moment_ns)
        self._taken = True

    def recent_onset(self, now: int) -> int | None:
        """When the sound that is (or was just) heard began, if that is not too long ago. What the
        caller said before the session began, and was kept for it, began with the session."""
        self.catch_up()
        until = self._heard_until_ns
        if until is not None and now - until >= _RECENT_NS and not self._is_new_run():
            return None
        self._leave_out_room()
        return self._last_onset()

    def _leave_out_room(self) -> None:
        """Move the beginning of the present sound past the room that is heard before the voice."""
        if self._is_new_run():
            self._run_ns = self._windows.voice_in(self._run_ns)
        elif self._onset_ns is not None:
            self._onset_ns = self._windows.voice_in(self._onset_ns)

    def _last_onset(self) -> int | None:
        # A new run is too short for a voice so far; but who asks has heard one.
        onset = self._run_ns if self._is_new_run() else self._onset_ns
        if onset is None or onset > self._since_ns:
            return onset
        if not self._taken:
            return self._since_ns
        # The first sound behind that of the last turn, if there is one.
        return self._windows.first_sound_since(
            self._since_ns, self._audibility.goes_on_above, goes_on=self._run > 0
        )

    def _is_new_run(self) -> bool:
        until = self._heard_until_ns
        return self._run > 0 and (until is None or self._run_ns - until > _PAUSE_NS)

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
        clock, joined = self._clock, None
        for since, by in clock.moves:
            if self._stretch_ns >= since:
                self._stretch_ns += by
        if self._before is not None and self._stretch_ns - self._before.ended_ns <= _RING_NS:
            joined, self._before = self._before, None
        if joined is None and not any(self._is_moved(since) for since, _ in clock.moves):
            self._move_recorded()
            clock.moves.clear()
            return  # most often: what moved is neither the end nor the beginning of a sound
        before = self._last_onset(), self._heard_until_ns
        for since, by in clock.moves:
            if self._onset_ns is not None and self._onset_ns >= since:
                self._onset_ns += by
            if self._heard_until_ns is not None and self._heard_until_ns > since:
                self._heard_until_ns += by
            if self._taken and self._since_ns > since:
                self._since_ns += by
            if self._run_ns >= since:
                self._run_ns += by
        self._move_recorded()
        clock.moves.clear()
        if joined is not None:
            self._join(joined)
        for seemed, moment in zip(before, (self._last_onset(), self._heard_until_ns), strict=True):
            if seemed is not None and moment is not None and seemed != moment:
                for listener in self.on_moved:
                    listener(seemed, moment)

    def _is_moved(self, since: int) -> bool:
        """Whether anything that is told of a sound lies at or after a moment."""
        onset, until = self._onset_ns, self._heard_until_ns
        return (
            (onset is not None and onset >= since)
            or (until is not None and until > since)
            or (self._taken and self._since_ns > since)
            or self._run_ns >= since
        )

    def _move_recorded(self) -> None:
        if self._levels is not None:
            for since, by in self._clock.moves:
                if abs(by) > _SEEN_NS:
                    _move_times(self._levels.times, since, by)

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

    def _other_rate(self, samples: int, rate: int) -> int:
        """The samples of a frame that comes at another rate than those before, in the rate that is
        counted in."""
        counted = self._sample_rate
        if counted is None or self._levels is None:
            if counted is not None:
                self._recent = deque(
                    (position, ((packed >> 8) * rate // counted) << 8 | packed & 0xFF)
                    for position, packed in self._recent
                )
            self._sample_rate = rate
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
