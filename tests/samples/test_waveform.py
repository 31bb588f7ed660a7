"""The dead air read off a waveform that has noise in it, or an offset."""

import numpy as np
import pytest
from samples.offline.waveform import Samples, silences

RATE = 48_000
SILENCE = 1.0, 0.7
"""When it begins, and how long it is."""


def voice(begins: float, ends: float, *, offset: float = 0.0, noise: float = 0.0) -> Samples:
    """A voice of 2.5 s with an offset, through a high pass of 3 Hz as an encoder has it: the offset
    fades when it ends."""
    times = np.arange(round(2.5 * RATE)) / RATE
    speaks = (begins <= times) & (times < ends)
    sound = np.where(speaks, 3_000 * np.sin(2 * np.pi * 300 * times), 0.0)
    fades = np.where(times >= ends, np.exp(-2 * np.pi * 3 * (times - ends)), 0.0)
    sound += offset * (speaks + fades)
    sound += np.random.default_rng(1).normal(0.0, noise, len(times)) if noise else 0.0
    return sound.astype(np.int16)


@pytest.mark.parametrize("noise", [0.0, 10.0, 60.0])
@pytest.mark.parametrize("offset", [0.0, 800.0, -800.0])
def test_a_silence_is_as_long_as_nothing_swings(offset: float, noise: float) -> None:
    begins, lasts = SILENCE
    caller = voice(0.3, begins, offset=offset, noise=noise)
    agent = voice(begins + lasts, 2.2, noise=noise)
    assert silences(caller, agent, RATE) == [pytest.approx(SILENCE, abs=0.004)]
