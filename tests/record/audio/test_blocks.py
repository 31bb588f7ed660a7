"""Levels that are worked out in blocks are, bit for bit, those of each frame when it passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import rtc

from prefactor_agent.core.guard import failures
from prefactor_agent.record.audio import block
from prefactor_agent.record.audio.agent_voice import AgentVoice
from prefactor_agent.record.audio.block import MOST_FRAMES
from prefactor_agent.record.audio.loudness import mean_squares, window_of
from prefactor_agent.record.audio.user_voice import UserVoice
from prefactor_agent.record.spans.stream import AudioLevels

MS = 1_000_000
START = 100_000 * MS


@dataclass(frozen=True)
class Stretch:
    """Some frames of one format, one after the other."""

    frames: int
    frame_ms: int
    rate: int
    channels: int
    odd: int
    """Samples that each frame has more than its length says."""
    level: int
    offset: int
    gap_ms: int
    late_ms: list[int]
    """How late the frames are, in turn."""
    ask: int
    """Something is asked after so many frames."""
    question: str


stretches = st.lists(
    st.builds(
        Stretch,
        frames=st.integers(1, 60),
        frame_ms=st.sampled_from([5, 10, 20, 20, 50, 200]),
        rate=st.sampled_from([8_000, 16_000, 16_000, 24_000, 44_100, 48_000]),
        channels=st.sampled_from([1, 1, 2]),
        odd=st.sampled_from([0, 0, 0, 1, 30]),
        level=st.sampled_from([0, 1, 30, 300, 8_000, 30_000]),
        offset=st.sampled_from([0, 0, 700, -20_000]),
        gap_ms=st.sampled_from([0, 0, 0, 30, 400, 5_000]),
        late_ms=st.lists(st.sampled_from([0, 0, 0, 1, 4, 8, 40, 300]), min_size=1, max_size=5),
        ask=st.integers(1, 60),
        question=st.sampled_from(["onset", "end", "places", "taken", "open", "close", "none"]),
    ),
    min_size=1,
    max_size=6,
)


def frames_of(played: list[Stretch]) -> list[tuple[rtc.AudioFrame, int, str]]:
    """Each frame, when it arrives, and what is asked after it."""
    noise, now, found = np.random.default_rng(1), START, []
    for one in played:
        now += one.gap_ms * MS
        samples = one.rate * one.frame_ms // 1_000 + one.odd
        arrived = 0
        for number in range(one.frames):
            now += samples * 1_000_000_000 // one.rate
            arrived = max(arrived, now + one.late_ms[number % len(one.late_ms)] * MS)
            wave = noise.normal(one.offset, one.level, samples * one.channels)
            data = np.clip(wave, -32_768, 32_767).astype(np.int16).tobytes()
            asked = one.question if number % one.ask == one.ask - 1 else "none"
            found.append((rtc.AudioFrame(data, one.rate, one.channels, samples), arrived, asked))
    return found


def mean_squares_of(frame: rtc.AudioFrame) -> list[float]:
    """The mean squares of one frame alone."""
    samples = np.frombuffer(bytes(frame.data), dtype=np.int16).astype(np.float32)
    window = max(1, frame.sample_rate * 10 // 1000) * frame.num_channels
    count = max(1, samples.size // window)
    ends = [*range(window, count * window, window), samples.size]
    found = []
    for begun, ended in zip([0, *ends], ends, strict=False):
        one = samples[begun:ended]
        mean = float(one.dot(np.ones(one.size, dtype=np.float32))) / one.size
        found.append(float(one.dot(one)) / one.size - mean * mean)
    return found


class Notes:
    """What a user's voice says when it is asked."""

    def __init__(self) -> None:
        self.voice = UserVoice(START)
        self.said: list[Any] = []
        self.voice.on_moved.append(lambda *moments: self.said.append(("moved", *moments)))
        self.levels: AudioLevels | None = None

    def ask(self, question: str, now: int) -> None:
        voice = self.voice
        if question == "onset":
            self.said.append(voice.recent_onset(now))
        elif question == "end":
            self.said.append(voice.end_of_speech(now))
        elif question == "places":
            self.said.append((voice.onset_ns, voice.heard_until_ns))
        elif question == "taken":
            voice.taken_until(now - 300 * MS)
        elif question == "open" and self.levels is None:
            self.levels = AudioLevels(now - 500 * MS)
            voice.refill(self.levels)
        elif question == "close":
            self.close()

    def close(self) -> None:
        self.voice.levels = None
        if self.levels is not None:
            self.said.append((self.levels.times, self.levels.items))
        self.levels = None


@settings(max_examples=80, deadline=None)
@given(stretches)
def test_the_users_voice_says_the_same_as_if_each_frame_were_worked_out(
    played: list[Stretch],
) -> None:
    alone, together = Notes(), Notes()
    for frame, arrived, asked in frames_of(played):
        for notes in (alone, together):
            notes.voice.hear(frame, arrived)
        alone.voice.catch_up()
        for notes in (alone, together):
            notes.ask(asked, arrived)
    for notes in (alone, together):
        notes.close()
        notes.ask("places", 0)
    assert together.said == alone.said
    assert list(together.voice._windows.heard) == list(alone.voice._windows.heard)


@settings(max_examples=50, deadline=None)
@given(stretches)
def test_the_agents_voice_is_the_same_as_if_each_frame_were_worked_out(
    played: list[Stretch],
) -> None:
    alone, together = AudioLevels(START), AudioLevels(START)
    voices = AgentVoice(alone), AgentVoice(together)
    for frame, arrived, asked in frames_of(played):
        for voice in voices:
            voice.hear(frame, arrived)
        voices[0].catch_up()
        if asked != "none":
            assert voices[0].sound_begins_ns == voices[1].sound_begins_ns
            assert voices[0].sound_ends_ns == voices[1].sound_ends_ns
    together.complete()
    assert (alone.times, alone.items) == (together.times, together.items)
    for voice in voices:
        voice.settle()
    assert voices[0].sound_begins_ns == voices[1].sound_begins_ns
    assert voices[0].sound_ends_ns == voices[1].sound_ends_ns


@settings(max_examples=50, deadline=None)
@given(stretches)
def test_the_levels_of_many_frames_are_those_of_each(played: list[Stretch]) -> None:
    for one in played:
        frames = [frame for frame, _, _ in frames_of([one])]
        window = window_of(one.rate, one.channels)
        found = list(mean_squares([bytes(frame.data) for frame in frames], window))
        assert found == [mean_squares_of(frame) for frame in frames]


def quiet(ms: int = 20, rate: int = 16_000) -> rtc.AudioFrame:
    return rtc.AudioFrame.create(rate, 1, rate * ms // 1_000)


def test_a_frame_may_be_changed_as_soon_as_it_has_passed() -> None:
    levels = AudioLevels(0)
    voice, frame = AgentVoice(levels), quiet()
    voice.hear(frame, START)
    np.frombuffer(frame.data, dtype=np.int16)[:] = 9_000
    levels.complete()
    assert levels.items == [320 << 8 | 127]


@pytest.mark.parametrize("new", [UserVoice, lambda: AgentVoice(AudioLevels(0))])
def test_no_more_than_so_many_frames_wait_and_none_for_long(new: Callable[[], Any]) -> None:
    at_once, in_real_time = new(), new()
    for number in range(200):
        at_once.hear(quiet(), START)
        assert len(at_once._block) < MOST_FRAMES
        in_real_time.hear(quiet(), START + number * 20 * MS)
        assert len(in_real_time._block) <= 20  # 400 ms


def test_levels_that_cannot_be_worked_out_are_counted_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: Any) -> Any:
        raise LookupError("a defect of ours")

    voice = UserVoice()
    with monkeypatch.context() as broken:
        broken.setattr(block, "mean_squares", fails)
        voice.hear(quiet(), START)
        assert voice.onset_ns is None
    assert failures["voice.levels"] == 1
    assert not len(voice._block)
