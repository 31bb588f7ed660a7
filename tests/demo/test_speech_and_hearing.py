"""The synthetic voice, and that the recognizer understands it word for word."""

import asyncio

import numpy as np
import pytest

from prefactor_agent.demo.hearing import Hearing
from prefactor_agent.demo.script import sentences
from prefactor_agent.demo.speech import Sound, speak


@pytest.fixture(scope="module")
def hearing() -> Hearing:
    return Hearing(sentences())


def line(sound: Sound, noise_dbfs: float = -70.0) -> Sound:
    """The sound as a telephone line carries it: quieter, in noise, with silence around it."""
    margin = sound.rate // 2
    level = 32768 * 10 ** (noise_dbfs / 20)
    noisy = np.random.default_rng(1).normal(0.0, level, len(sound.samples) + 2 * margin)
    noisy[margin:-margin] += sound.samples * 0.6
    return Sound(noisy.astype(np.int16), sound.rate)


@pytest.mark.parametrize("sentence", sentences())
def test_hears_a_clean_recording(hearing: Hearing, sentence: str):
    assert hearing.transcribe(speak(sentence)) == sentence


@pytest.mark.parametrize("sentence", sentences())
@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_hears_what_was_said(hearing: Hearing, sentence: str, rate: int):
    assert hearing.transcribe(line(speak(sentence, rate=195).trimmed().at(rate))) == sentence


def test_hears_nothing_in_noise(hearing: Hearing):
    assert hearing.transcribe(line(Sound(np.zeros(16_000, dtype=np.int16), 16_000))) == ""


def test_a_sound_of_no_length_has_no_words(hearing: Hearing):
    assert hearing.transcribe(Sound(np.zeros(0, dtype=np.int16), 16_000)) == ""


def test_resampling_keeps_the_length():
    sound = speak("Hello there.")
    assert sound.rate == 22_050
    for rate in (16_000, 24_000, 48_000):
        assert sound.at(rate).seconds == pytest.approx(sound.seconds, abs=0.02)


def test_trimming_takes_silence_off_and_leading_silence_is_added():
    trimmed = speak("Hello there.").trimmed()
    assert abs(int(trimmed.samples[0])) > 200
    assert abs(int(trimmed.samples[-1])) > 200
    later = trimmed.after_silence(0.15)
    assert later.seconds == pytest.approx(trimmed.seconds + 0.15, abs=0.001)
    assert not later.samples[: int(0.15 * later.rate)].any()


def test_an_unknown_voice_is_named():
    with pytest.raises(ValueError, match="nobody"):
        speak("Hello.", voice="nobody")


async def test_many_threads_get_their_own_words():
    """espeak-ng keeps one global state; callers from several threads must not mix."""
    texts = ["One.", "A rather longer sentence, to take more time.", "Three and four."] * 4
    alone = [speak(text).seconds for text in texts]
    together = await asyncio.gather(*(asyncio.to_thread(speak, text) for text in texts))
    assert [sound.seconds for sound in together] == pytest.approx(alone, rel=0.05)
