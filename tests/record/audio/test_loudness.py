"""Levels, audibility and the clock of the samples, on audio that is made here."""

import math

import numpy as np
import pytest
from livekit import rtc

from prefactor_agent.record.audio.agent_voice import AgentVoice
from prefactor_agent.record.audio.loudness import (
    SILENCE_DBFS,
    Audibility,
    mean_squares,
    to_dbfs,
    window_of,
)
from prefactor_agent.record.audio.user_voice import UserVoice
from prefactor_agent.record.spans.stream import AudioLevels

RATE = 16_000


def frame(samples: np.ndarray, rate: int = RATE) -> rtc.AudioFrame:
    data = np.clip(samples, -32768, 32767).astype(np.int16)
    return rtc.AudioFrame(data.tobytes(), rate, 1, len(data))


def squares(one: rtc.AudioFrame) -> list[float]:
    window = window_of(one.sample_rate, one.num_channels)
    return mean_squares([bytes(one.data)], window)[0]


def tone(seconds: float, dbfs: float, rate: int = RATE) -> np.ndarray:
    amplitude = 32768 * 10 ** (dbfs / 20) * math.sqrt(2)
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)


def noise(seconds: float, dbfs: float, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 32768 * 10 ** (dbfs / 20), int(seconds * RATE))


@pytest.mark.parametrize("dbfs", [-3, -20, -45, -60])
def test_the_level_of_a_tone_is_its_rms(dbfs: float) -> None:
    for square in squares(frame(tone(0.1, dbfs))):
        assert to_dbfs(square) == pytest.approx(dbfs, abs=0.4)


def test_digital_silence_has_the_lowest_level() -> None:
    assert [to_dbfs(square) for square in squares(frame(np.zeros(160)))] == [SILENCE_DBFS]


def test_full_scale_is_zero() -> None:
    square = np.where(np.arange(160) % 2, -32768.0, 32767.0)
    assert to_dbfs(squares(frame(square))[0]) == pytest.approx(0, abs=0.01)


def test_what_does_not_swing_is_no_sound() -> None:
    offset = to_dbfs(squares(frame(np.full(160, 2000.0)))[0])
    assert offset < -100


@pytest.mark.parametrize("floor", [-55, -45])
def test_steady_noise_is_known_from_its_first_moments(floor: float) -> None:
    audio = noise(4.5, floor)
    audio[2 * RATE : 3 * RATE] += tone(1.0, -22)
    assert [(round(begin, 1), round(end, 1)) for begin, end in heard(audio)] == [(2.0, 3.0)]


def test_noise_after_digital_silence_is_learned_anew() -> None:
    audio = np.concatenate([np.zeros(3 * RATE), noise(5.0, -55)])
    audio[5 * RATE : 6 * RATE] += tone(1.0, -22)
    begin, end = heard(audio)[-1]
    assert (round(begin, 1), round(end, 1)) == (5.0, 6.0)


def onset(*parts: np.ndarray, at_s: float) -> float | None:
    """When the sound began that is heard at a moment, in seconds."""
    audio = np.concatenate(parts)[: round(at_s * RATE)]
    voice, now = UserVoice(), 0
    for at in range(0, len(audio), 160):
        now = (at + 160) * 1_000_000_000 // RATE
        voice.hear(frame(audio[at : at + 160]), now)
    found = voice.recent_onset(now)
    return found / 1e9 if found is not None else None


@pytest.mark.parametrize("level", [-58, -55, -48])
@pytest.mark.parametrize("lead", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("loud", [-28, -20, -12])
def test_who_was_muted_begins_with_the_voice_and_not_with_the_room(
    level: float, lead: float, loud: float
) -> None:
    """A key is pressed, or a microphone turned on again, a moment before the first word."""
    room = noise(lead + 1.0, level)
    room[round(lead * RATE) :] += tone(1.0, loud)
    assert onset(np.zeros(2 * RATE), room, at_s=2.2 + lead) == pytest.approx(2 + lead, abs=0.011)


@pytest.mark.parametrize("level", [-55, -48])
@pytest.mark.parametrize("lead", [0.2, 0.5])
def test_the_silence_that_livekit_adds_makes_no_room_unknown(level: float, lead: float) -> None:
    """A key is pressed three times. Each time it is let go, LiveKit adds two seconds of silence at
    once (``commit_user_turn``), and no audio comes until it is pressed again."""
    voice, now, begun = UserVoice(), 0, []
    for press in range(3):
        room, pressed = noise(lead + 0.8, level, seed=press), now
        room[round(lead * RATE) : round((lead + 0.5) * RATE)] += tone(0.5, -20)
        for at in range(0, len(room), 160):
            now += 10_000_000
            voice.hear(frame(room[at : at + 160]), now)
            if at == round((lead + 0.3) * RATE):
                begun.append(((voice.recent_onset(now) or 0) - pressed) / 1e9)
        for _ in range(10):
            voice.hear(frame(np.zeros(RATE // 5)), now)
        voice.taken_until(voice.heard_until_ns or 0)
        now += 3_000_000_000
    assert begun == [pytest.approx(lead, abs=0.011)] * 3


@pytest.mark.parametrize(
    "beginning",
    [tone(0.1, -20), tone(0.1, -48), noise(0.1, -45), noise(0.1, -35)],
    ids=["loud", "soft", "a soft consonant", "a consonant"],
)
def test_a_voice_that_comes_out_of_digital_silence_begins_with_its_first_sound(
    beginning: np.ndarray,
) -> None:
    voice = np.concatenate([beginning, tone(1.0, -20)])
    assert onset(np.zeros(2 * RATE), voice, at_s=2.4) == pytest.approx(2.0, abs=0.011)


@pytest.mark.parametrize("floor", [-70, -55, -48])
@pytest.mark.parametrize("known", [True, False])
def test_where_speech_ended_is_found_also_in_noise_that_is_not_known_yet(
    floor: float, known: bool
) -> None:
    """The room is heard from one second into the speech on, or from the start."""
    audio = noise(5.6, floor)
    audio[3 * RATE : 5 * RATE] += tone(2.0, -22)
    if not known:
        audio[: 4 * RATE] = 0
    voice = UserVoice()
    for at in range(0, len(audio), 320):
        voice.hear(frame(audio[at : at + 320]), (at + 320) * 1_000_000_000 // RATE)
    ended = voice.end_of_speech(5_600_000_000)
    assert ended is not None
    assert ended / 1e9 == pytest.approx(5.0, abs=0.011)


def test_a_voice_that_is_there_from_the_start_is_heard_from_the_start() -> None:
    assert heard(tone(2.0, -20)) == [(0.0, 2.0)]
    voice = AgentVoice(AudioLevels(0))
    voice.hear(frame(tone(0.5, -35)), 0)
    assert (voice.sound_begins_ns, voice.sound_ends_ns) == (0, 500_000_000)


def test_a_lost_packet_does_not_make_the_noise_audible() -> None:
    audio = noise(8, -50)
    audio[2 * RATE : 2 * RATE + 640] = 0
    assert not [begin for begin, _ in heard(audio) if begin > 3.0]


@pytest.mark.parametrize(("samples", "windows"), [(160, 1), (100, 1), (480, 3), (500, 3), (0, 0)])
def test_a_frame_is_measured_in_windows_of_ten_milliseconds(samples: int, windows: int) -> None:
    assert len(squares(frame(np.ones(samples)))) == windows


def heard(audio: np.ndarray) -> list[tuple[float, float]]:
    """The audible stretches of some audio in seconds, joined over gaps of less than 200 ms."""
    audibility = Audibility()
    stretches: list[tuple[float, float]] = []
    for number, square in enumerate(squares(frame(audio))):
        if audibility.hear(to_dbfs(square)):
            at = number * 0.01
            if stretches and at - stretches[-1][1] < 0.2:
                stretches[-1] = (stretches[-1][0], at + 0.01)
            else:
                stretches.append((at, at + 0.01))
    return stretches


@pytest.mark.parametrize("floor", [None, -70])
def test_speech_is_told_from_the_floor(floor: float | None) -> None:
    """A burst of sound at -22 dBFS after two seconds of room, in rooms of several kinds."""
    room = np.zeros(int(4.5 * RATE)) if floor is None else noise(4.5, floor)
    audio = room.copy()
    audio[2 * RATE : 3 * RATE] += tone(1.0, -22)
    begins, ends = heard(audio)[-1]
    assert begins == pytest.approx(2.0, abs=0.021)
    assert ends == pytest.approx(3.0, abs=0.021)
