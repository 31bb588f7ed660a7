"""Where a voice of the agent's begins, whatever its audio begins with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import rtc

from prefactor_agent.record.audio.agent_voice import KEPT_WINDOWS, AgentVoice
from prefactor_agent.record.spans.stream import AudioLevels

RATE = 24_000
Audio = npt.NDArray[np.float64]


def amplitude(dbfs: float) -> float:
    return float(32_768 * 10 ** (dbfs / 20))


def hiss(seconds: float, dbfs: float, seed: int = 1) -> Audio:
    return np.random.default_rng(seed).normal(0, amplitude(dbfs), round(seconds * RATE))


def hum(seconds: float, dbfs: float) -> Audio:
    at = np.arange(round(seconds * RATE)) / RATE
    return amplitude(dbfs) * np.sqrt(2) * np.sin(2 * np.pi * 120 * at)


def breath(seconds: float, dbfs: float) -> Audio:
    """Swells and fades; ``dbfs`` is its loudest."""
    count = round(seconds * RATE)
    return hiss(seconds, dbfs) * np.sin(np.pi * np.arange(count) / count)


def nothing(seconds: float) -> Audio:
    return np.zeros(round(seconds * RATE))


def click(dbfs: float) -> Audio:
    return np.concatenate([nothing(0.05), hiss(0.008, dbfs), nothing(0.092)])


def speech(seconds: float, dbfs: float, seed: int = 2) -> Audio:
    """Syllables: sound whose level goes up and down by 15 dB, with gaps between words."""
    count = round(seconds * RATE)
    at = np.arange(count) / RATE
    swing = 10 ** (-15 * (np.sin(2 * np.pi * 4 * at) < -0.6) / 20)
    word = (at % 0.7) < 0.6
    return hiss(seconds, dbfs, seed) * swing * word


def heard(audio: Audio, frame_ms: int = 20, rate: int = RATE) -> AgentVoice:
    voice = AgentVoice(AudioLevels(0))
    data = np.clip(audio, -32_768, 32_767).astype(np.int16)
    step = rate * frame_ms // 1_000
    for at in range(0, len(data), step):
        part = data[at : at + step]
        voice.hear(rtc.AudioFrame(part.tobytes(), rate, 1, len(part)), at * 1_000_000_000 // rate)
    return voice


def begins(audio: Audio, frame_ms: int = 20) -> float | None:
    """How far into the audio the voice begins, in seconds."""
    at = heard(audio, frame_ms).sound_begins_ns
    return at / 1e9 if at is not None else None


LEADS: dict[str, Audio] = {
    "digital silence": nothing(0.5),
    "hiss below what is heard": hiss(0.5, -65),
    "hiss": hiss(0.5, -55),
    "hiss about 40 dB below the voice": hiss(0.5, -53),
    "loud hiss": hiss(0.5, -45),
    "short hiss": hiss(0.2, -50),
    "long hiss": hiss(4.0, -50),
    "hum": hum(0.5, -50),
    "silence, then hiss": np.concatenate([nothing(0.3), hiss(0.4, -50)]),
    "hiss with a click": np.concatenate([hiss(0.3, -50), hiss(0.01, -25), hiss(0.3, -50)]),
    "a click": click(-20),
    "a soft breath": np.concatenate([breath(0.3, -56), nothing(0.1)]),
    "a soft breath in a room": np.concatenate([hiss(0.2, -62), breath(0.3, -56), hiss(0.1, -62)]),
}


@pytest.mark.parametrize("frame_ms", [10, 20, 50])
@pytest.mark.parametrize("lead", LEADS)
def test_a_voice_begins_where_it_speaks(lead: str, frame_ms: int) -> None:
    audio = np.concatenate([LEADS[lead], speech(2.0, -12)])
    assert begins(audio, frame_ms) == pytest.approx(len(LEADS[lead]) / RATE, abs=0.0101)


def test_a_voice_that_begins_at_once_has_no_leading_silence() -> None:
    for level in (-12, -30, -45):
        assert begins(speech(2.0, level)) == 0
        assert begins(hiss(2.0, level)) == 0, "however even it is"


@pytest.mark.parametrize("level", [-12, -30, -40])
def test_a_soft_consonant_belongs_to_the_voice(level: float) -> None:
    audio = np.concatenate([nothing(0.2), hiss(0.1, level - 15), speech(1.0, level)])
    assert begins(audio) == pytest.approx(0.2)


def test_a_breath_that_is_loud_enough_is_heard() -> None:
    """Less than 40 dB below the voice, and no steady noise: it ends the silence."""
    audio = np.concatenate([nothing(0.2), breath(0.3, -35), nothing(0.1), speech(1.0, -12)])
    at = begins(audio)
    assert at is not None
    assert 0.2 <= at < 0.25


def test_a_soft_word_is_no_room() -> None:
    soft = hiss(0.3, -32)
    assert begins(np.concatenate([soft, nothing(0.2), speech(1.0, -12)])) == 0


def test_the_noise_under_a_voice_is_not_its_end() -> None:
    audio = hiss(3.0, -45)
    audio[RATE : 2 * RATE] += hiss(1.0, -14, seed=5)
    voice = heard(audio)
    assert voice.sound_begins_ns == pytest.approx(1_000_000_000, abs=10_000_000)
    assert voice.sound_ends_ns == pytest.approx(2_000_000_000, abs=10_000_000)


def test_what_is_known_so_far_is_told_and_told_better_later() -> None:
    voice = AgentVoice(AudioLevels(0))
    soft = rtc.AudioFrame(hiss(0.5, -50).astype(np.int16).tobytes(), RATE, 1, RATE // 2)
    loud = rtc.AudioFrame(hiss(0.5, -12).astype(np.int16).tobytes(), RATE, 1, RATE // 2)
    assert voice.sound_begins_ns is None
    voice.hear(soft, 0)
    assert voice.sound_begins_ns == 0
    voice.hear(loud, 0)
    assert voice.sound_begins_ns == 500_000_000


@pytest.mark.parametrize("audio", [nothing(1.0), hiss(1.0, -70), nothing(0)])
def test_what_cannot_be_heard_has_no_beginning(audio: Audio) -> None:
    voice = heard(audio)
    assert (voice.sound_begins_ns, voice.sound_ends_ns) == (None, None)


def test_a_very_short_sound_is_heard() -> None:
    assert begins(np.concatenate([nothing(0.1), hiss(0.01, -20)])) == pytest.approx(0.1)


def test_a_long_speech_keeps_the_levels_of_its_beginning_only() -> None:
    voice = heard(np.concatenate([hiss(0.5, -50), speech(20.0, -12), nothing(1.0)]))
    assert voice.sound_begins_ns == pytest.approx(500_000_000, abs=10_000_000)
    assert voice.sound_ends_ns == pytest.approx(20.5e9, abs=0.2e9)
    assert len(voice._kept) <= KEPT_WINDOWS


def test_a_voice_behind_a_very_long_silence_is_found() -> None:
    voice = heard(np.concatenate([nothing(25.0), hiss(0.5, -50), speech(1.0, -12)]))
    assert voice.sound_begins_ns == pytest.approx(25.5e9, abs=10_000_000)
    assert len(voice._kept) <= KEPT_WINDOWS


def test_a_voice_that_is_over_keeps_what_was_found_and_no_levels() -> None:
    for audio in (np.concatenate([hiss(0.5, -50), speech(1.0, -12)]), nothing(0.5)):
        voice = heard(audio)
        found = voice.sound_begins_ns, voice.sound_ends_ns
        voice.settle()
        voice.settle()
        assert (voice.sound_begins_ns, voice.sound_ends_ns) == found
        assert not voice._kept


@settings(max_examples=100, deadline=None)
@given(
    level=st.integers(-32, -6),
    snr=st.integers(20, 60),
    lead_ms=st.integers(20, 150).map(lambda tens: tens * 10),
    silence_ms=st.integers(0, 50).map(lambda tens: tens * 10),
    under=st.booleans(),
    frame_ms=st.sampled_from([10, 20, 50, 100]),
    seed=st.integers(0, 1_000),
)
def test_room_tone_of_any_level_before_a_voice_is_silence(
    level: int, snr: int, lead_ms: int, silence_ms: int, under: bool, frame_ms: int, seed: int
) -> None:
    """Noise that is steady until the voice comes, 20 dB or more below it."""
    lead, silence = lead_ms / 1_000, silence_ms / 1_000
    said = speech(1.5, level, seed)
    if under:
        said = said + hiss(1.5, level - snr, seed + 1)
    audio = np.concatenate([nothing(silence), hiss(lead, level - snr, seed + 2), said])
    assert begins(audio, frame_ms) == pytest.approx(silence + lead, abs=0.0101)
