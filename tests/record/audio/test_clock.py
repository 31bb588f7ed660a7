"""The clock of the samples, and what is known of a voice after any gap or burst."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import rtc

from prefactor_agent.record.audio.clock import GAP_NS, AudioClock
from prefactor_agent.record.audio.user_voice import UserVoice
from prefactor_agent.record.spans.stream import AudioLevels

MS = 1_000_000
TOLERANCE = 10 * MS
START = 100_000 * MS


@dataclass
class Line:
    """A microphone that records at known moments, and what carries its frames to the agent."""

    now: int = START
    rate: int = 16_000
    frame_ms: int = 20
    frames: list[tuple[int, rtc.AudioFrame]] = field(default_factory=list)
    """When each frame arrives, in that order."""
    sounds: list[tuple[int, int]] = field(default_factory=list)
    """When each sound really began and ended."""

    def records(
        self, ms: int, *, level: float = 0.0, late: list[int], held_until: int = 0, pace: float = 0
    ) -> None:
        """Record for so long.

        Args:
            late: How late the frames arrive, in turn, in milliseconds.
            held_until: No frame arrives before that moment.
            pace: The least time between two frames, in lengths of a frame.
        """
        begun = self.now
        for number in range(ms // self.frame_ms):
            samples = self.rate * self.frame_ms // 1000
            self.now += samples * 1_000_000_000 // self.rate
            delay = late[number % len(late)] * MS if late else 0
            after = self.frames[-1][0] + int(pace * self.frame_ms * MS) if self.frames else 0
            arrives = max(self.now + delay, held_until, after)
            self.frames.append((arrives, square(samples, self.rate, level)))
        if level and self.now > begun:
            self.sounds.append((begun, self.now))

    def heard_by(self, voice: UserVoice) -> None:
        for arrives, frame in self.frames:
            voice.hear(frame, arrives)


def square(samples: int, rate: int, level: float) -> rtc.AudioFrame:
    wave = np.where(np.arange(samples) * 1000 // rate % 2 == 0, level, -level)
    return rtc.AudioFrame(wave.astype(np.int16).tobytes(), rate, 1, samples)


@dataclass(frozen=True)
class Scene:
    """Something that happens to the line, and a sound after it."""

    gap_ms: int
    """Nothing is recorded: hold, mute, another track."""
    held_ms: int
    """What is recorded does not arrive at first, and then at once."""
    frame_ms: int
    rate: int
    late: list[int]
    before_ms: int
    """The silence before the sound."""
    sound_ms: int
    pace: float
    """How fast what was held arrives, as a part of real time."""
    behind_ms: int
    """How late all of it is until after the sound, beside that."""
    added_ms: int
    """Silence that LiveKit adds before the gap, all at once."""


lateness = st.lists(st.integers(0, 40), max_size=4).map(lambda late: [*late, *[0] * 9])
"""A late frame holds up those behind it; the ninth is on time. Where audio was said of which every
frame is late cannot be known."""
scenes = st.builds(
    Scene,
    gap_ms=st.one_of(st.just(0), st.integers(0, 200), st.integers(0, 9_000)),
    held_ms=st.one_of(st.just(0), st.integers(0, 4_000)),
    frame_ms=st.sampled_from([10, 20, 50]),
    rate=st.sampled_from([8_000, 16_000, 24_000, 44_100, 48_000]),
    late=lateness,
    before_ms=st.integers(0, 400),
    sound_ms=st.integers(200, 900),
    pace=st.sampled_from([0, 0, 0.01, 0.1, 0.5]),
    behind_ms=st.one_of(st.just(0), st.integers(0, 1_000)),
    added_ms=st.sampled_from([0, 0, 500, 2_000]),
)


def play(line: Line, scene: Scene) -> None:
    if scene.added_ms and line.frames:
        arrives, size = line.frames[-1][0], min(scene.added_ms, 500)
        for _ in range(scene.added_ms // size):
            line.frames.append((arrives, square(line.rate * size // 1000, line.rate, 0.0)))
    line.rate, line.frame_ms = scene.rate, scene.frame_ms
    line.now += scene.gap_ms * MS
    held_until = line.now + scene.held_ms * MS
    comes: dict[str, Any] = {"late": scene.late, "held_until": held_until, "pace": scene.pace}
    behind = {**comes, "late": [scene.behind_ms + late for late in scene.late]}
    line.records(scene.before_ms, **behind)
    line.records(scene.sound_ms, level=8_000, **behind)
    line.records(1_200 + 2 * scene.behind_ms + 2 * scene.held_ms, **comes)


@settings(max_examples=100, deadline=None)
@given(st.lists(scenes, min_size=1, max_size=4))
def test_sound_is_placed_where_it_was_said_after_any_gap_or_burst(played: list[Scene]) -> None:
    line, voice = Line(), UserVoice()
    line.records(400, late=[0])
    for scene in played:
        play(line, scene)
        line.heard_by(voice)
        line.frames.clear()
        begun, ended = line.sounds[-1]
        assert voice.onset_ns is not None
        assert voice.heard_until_ns is not None
        assert abs(voice.onset_ns - begun) <= TOLERANCE, "begin"
        assert abs(voice.heard_until_ns - ended) <= TOLERANCE, "end"


@settings(max_examples=50, deadline=None)
@given(st.lists(scenes, min_size=1, max_size=3))
def test_every_frame_reaches_the_stream_that_is_open_once_and_in_its_time(
    played: list[Scene],
) -> None:
    line, voice = Line(), UserVoice()
    line.records(400, late=[0])
    line.heard_by(voice)
    line.frames.clear()
    levels = AudioLevels(line.now)
    voice.refill(levels)
    for scene in played:
        play(line, scene)
    line.heard_by(voice)
    voice.levels = None
    added = [frame for _, frame in line.frames if not np.any(frame.data)]
    assert len(levels.items) == len(line.frames)
    assert all(later >= time - TOLERANCE for time, later in pairwise(levels.times))
    loud = [at for at, item in zip(levels.times, levels.items, strict=True) if item & 0xFF < 100]
    assert len(loud) == len(line.frames) - len(added)
    counted = sum(item >> 8 for item in levels.items) / 16_000
    assert counted == pytest.approx(sum(frame.duration for _, frame in line.frames), rel=1e-3)
    frame_ns = max(scene.frame_ms for scene in played) * MS
    sounds = iter(line.sounds)
    begun, ended = next(sounds)
    for at in loud:
        while at > ended + GAP_NS + frame_ns:
            begun, ended = next(sounds)
        assert begun - GAP_NS <= at <= ended + GAP_NS


@pytest.mark.parametrize("held_ms", [80, 300, 700, 3_000])
@pytest.mark.parametrize("said_ms", [10, 20, 400])
def test_a_burst_does_not_cut_the_speech_in_which_it_comes(said_ms: int, held_ms: int) -> None:
    line, voice = Line(frame_ms=10), UserVoice()
    line.records(400, late=[0])
    line.records(said_ms, level=8_000, late=[0])
    held_until = line.now + held_ms * MS
    line.records(300, level=8_000, late=[0], held_until=held_until)
    line.records(1_000 + held_ms, late=[0], held_until=held_until)
    line.heard_by(voice)
    assert voice.onset_ns == line.sounds[0][0]
    assert voice.heard_until_ns == line.sounds[1][1]


def test_speech_goes_on_after_a_short_hold_and_begins_anew_after_a_long_one() -> None:
    for hold_ms, sound in ((300, 0), (3_000, 1)):
        line, voice = Line(), UserVoice()
        line.records(400, late=[0])
        line.records(400, level=8_000, late=[0])
        line.now += hold_ms * MS
        line.records(400, level=8_000, late=[0])
        line.records(600, late=[0])
        line.heard_by(voice)
        assert voice.onset_ns == line.sounds[sound][0]
        assert voice.heard_until_ns == line.sounds[1][1]


@pytest.mark.parametrize("after_ms", [0, 30, 300, 3_000])
@pytest.mark.parametrize("until_ms", [0, 30, 300, 3_000])
def test_silence_that_livekit_adds_moves_nothing(after_ms: int, until_ms: int) -> None:
    """``commit_user_turn`` some time after the input was disabled, and the user speaks again."""
    line, voice = Line(), UserVoice()
    line.records(400, late=[0])
    line.records(300, level=8_000, late=[0])
    line.now += after_ms * MS
    for _ in range(10):
        line.frames.append((line.now, square(3_200, 16_000, 0.0)))
    line.heard_by(voice)
    assert (voice.onset_ns, voice.heard_until_ns) == line.sounds[0]
    line.frames.clear()
    line.now += until_ms * MS
    line.records(600, late=[0])
    line.records(300, level=8_000, late=[0])
    line.heard_by(voice)
    assert (voice.onset_ns, voice.heard_until_ns) == line.sounds[1]


def test_long_frames_of_silence_that_were_recorded_are_counted() -> None:
    line, voice = Line(frame_ms=200), UserVoice()
    line.records(1_000, level=8_000, late=[0])
    held_until = line.now + 2_000 * MS
    line.records(1_000, late=[0], held_until=held_until)
    line.records(400, level=8_000, late=[0], held_until=held_until)
    line.records(1_000, late=[0], held_until=held_until)
    line.heard_by(voice)
    assert (voice.onset_ns, voice.heard_until_ns) == line.sounds[1]


def test_what_was_recorded_before_the_session_ends_when_it_arrives() -> None:
    line, voice = Line(), UserVoice()
    line.records(300, late=[0], held_until=START + 2_000 * MS)
    line.records(600, level=8_000, late=[0], held_until=START + 2_000 * MS)
    line.records(1_100, late=[0], held_until=START + 2_000 * MS)
    line.records(1_000, late=[0])
    line.heard_by(voice)
    assert (voice.onset_ns, voice.heard_until_ns) == line.sounds[0]


def test_a_part_of_what_was_held_up_ends_when_it_arrives() -> None:
    """The line stood still for three seconds, and the last of them came through."""
    line, voice = Line(), UserVoice()
    line.records(1_000, late=[0])
    line.now += 2_000 * MS
    held_until = line.now + 1_000 * MS
    line.records(300, late=[0], held_until=held_until)
    line.records(300, level=8_000, late=[0], held_until=held_until)
    line.records(1_000, late=[0], held_until=held_until)
    line.heard_by(voice)
    assert (voice.onset_ns, voice.heard_until_ns) == line.sounds[0]


@pytest.mark.parametrize("late_ms", [70, 90, 300, 1_000])
def test_a_line_that_is_behind_for_a_while_and_catches_up_was_never_cut(late_ms: int) -> None:
    """A busy loop keeps all frames waiting: longer than a burst, and from within the speech on."""
    line, voice = Line(), UserVoice()
    line.records(600, late=[0])
    line.records(300, level=8_000, late=[0])
    line.records(300, level=8_000, late=[late_ms])
    line.records(600, late=[late_ms])
    line.records(1_500, late=[0])
    line.heard_by(voice)
    assert voice.onset_ns == line.sounds[0][0]
    assert voice.heard_until_ns == line.sounds[1][1]


def test_a_slow_sample_clock_is_followed() -> None:
    """A microphone whose 16 kHz are 200 ppm too few, over a call of five minutes."""
    voice, at = UserVoice(), START
    quiet, loud = square(320, 16_000, 0.0), square(320, 16_000, 8_000.0)
    for number in range(15_000):
        at += 20_004_000
        voice.hear(loud if number % 500 > 450 else quiet, at)
        if number % 500 == 499:
            assert voice.heard_until_ns is not None
            assert abs(voice.heard_until_ns - at) <= TOLERANCE


def test_frames_are_placed_by_their_samples_not_by_their_arrival() -> None:
    clock = AudioClock()
    lateness = [0, 3, 40, 1, 0, 25, 2, 0, 0, 5]
    placed = [
        clock.advance((number + 1) * 10 * MS + late * MS, 10 * MS)
        for number, late in enumerate(lateness)
    ]
    assert placed == [number * 10 * MS for number in range(len(lateness))]


def test_a_stream_that_stood_still_is_placed_anew_at_once() -> None:
    clock = AudioClock()
    for number in range(100):
        clock.advance((number + 1) * 10 * MS, 10 * MS)
    muted = 5_000 * MS
    for number in range(100, 400):
        placed = clock.advance(muted + (number + 1) * 10 * MS, 10 * MS)
        assert placed == muted + number * 10 * MS


def test_a_clock_remembers_so_many_gaps_and_no_more() -> None:
    clock = AudioClock()
    for number in range(1_000):
        clock.advance(number * 1_000 * MS, 10 * MS)
    assert clock.moment(clock.position) == 999_000 * MS
    assert len(clock._stretches) < 50


def test_moments_of_many_positions_are_those_of_each() -> None:
    """In one piece, and across a gap of a second."""
    clock = AudioClock()
    positions = []
    for index in range(40):
        positions.append(clock.position)
        late = 1_000_000_000 if index >= 20 else 0
        clock.advance(index * 50_000_000 + late, 50_000_000)
    for some in (positions[:10], positions[30:], positions, []):
        assert clock.moments(some) == [clock.moment(position) for position in some]
