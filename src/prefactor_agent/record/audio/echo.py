"""Whether the agent's own voice is heard again in the caller's: by their loudness curves alone.

An echo (a loudspeaker and a microphone without echo cancelling) follows the voice with one delay
and one attenuation for as long as it lasts, so the caller's curve is the agent's, later and
quieter. Two people who speak at the same time have curves of their own. What is compared are levels
in dB, since a factor of loudness is a constant there, which correlation does not see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .loudness import SILENCE_DBFS

WINDOW_MS = 20
MOST_DELAY_MS = 1_000
"""An echo that comes later is none of a call: the way there and back takes less."""
LEAST_MS = 2_500
"""What is compared has to be this long: a few syllables look alike."""
LEAST_CORRELATION = 0.8
_APART = 0.15
"""By how much the best delay has to be better than any that is far from it: what is alike at every
delay is a rhythm, or a noise that comes and goes."""
_NEAR_MS = 200
_DEEPEST_DB = 35.0
"""Below the loudest of a curve, levels are taken for silence."""
_DIGITAL_DBFS = -100.0
_LEAST_SPREAD_DB = 3.0
"""What is as loud all the time is no voice."""

Levels = npt.NDArray[np.float64]
Frame = tuple[int, int, float]
"""When a frame begins and how long it lasts, in microseconds from the beginning of what is
compared, and its level in dBFS."""


class Echo(NamedTuple):
    """An echo of the agent's voice in the caller's."""

    delay_ms: int
    """How much later it is heard, in steps of ``WINDOW_MS``: what the sound took to the caller and
    back."""
    attenuation_db: float
    """How much quieter it is; negative where the caller's gain makes it louder."""
    correlation: float
    """Of the two curves, 1 at most."""


def curve(frames: Iterable[Frame]) -> Levels:
    """Frames as levels in windows of ``WINDOW_MS``, from 0 on: power is averaged, and a window
    without sound is digital silence."""
    found = list(frames)
    count = max((int((at + us) / 1000 / WINDOW_MS) for at, us, _ in found), default=0)
    power = np.zeros(count)
    filled = np.zeros(count)
    for at, us, level in found:
        first, last = max(0, at // (WINDOW_MS * 1000)), (at + us) // (WINDOW_MS * 1000)
        last = max(last, first + 1)
        power[first:last] += 10.0 ** (level / 10.0)
        filled[first:last] += 1
    levels = np.full(count, float(SILENCE_DBFS))
    some = filled > 0
    levels[some] = 10.0 * np.log10(np.maximum(power[some] / filled[some], 10.0**-12.7))
    return levels


def find_echo(agent: Levels, user: Levels) -> Echo | None:
    """The echo of the agent's voice in the caller's; ``None``: there is none to be seen.

    Args:
        agent: Levels of what was played, in windows of ``WINDOW_MS``.
        user: Levels of what came in, from the same moment on; longer by the echo's delay.
    """
    least = LEAST_MS // WINDOW_MS
    agent = _smoothed(agent)
    if agent.size < least or user.size < least:
        return None
    voice, heard = _raised(agent), _raised(_smoothed(user))
    there = user > _DIGITAL_DBFS  # LiveKit sends zeros while it warms up the cancelling of echo
    delays = range(min(MOST_DELAY_MS // WINDOW_MS, user.size - least) + 1)
    matches = np.array([_correlation(voice, heard, there, delay) for delay in delays])
    best = int(matches.argmax())
    near = _NEAR_MS // WINDOW_MS
    far = np.concatenate([matches[: max(0, best - near)], matches[best + near + 1 :]])
    if matches[best] < LEAST_CORRELATION or matches[best] - far.max(initial=-1.0) < _APART:
        return None
    size = min(agent.size, user.size - best)
    loud = voice[:size] >= np.sort(voice[:size])[size // 2]
    loud &= there[best : best + size]
    quieter = np.sort((agent[:size] - _smoothed(user)[best : best + size])[loud])
    return Echo(
        best * WINDOW_MS,
        round(float(quieter[quieter.size // 2]), 1),
        round(float(matches[best]), 3),
    )


def _correlation(voice: Levels, heard: Levels, there: npt.NDArray[np.bool_], delay: int) -> float:
    """Pearson's, of the voice with what was heard so many windows later; -1: too little of it."""
    size = min(voice.size, heard.size - delay)
    both = there[delay : delay + size]
    one, other = voice[:size][both], heard[delay : delay + size][both]
    if one.size < LEAST_MS // WINDOW_MS:
        return -1.0
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt(one.dot(one) * other.dot(other)))
    least = _LEAST_SPREAD_DB**2 * one.size
    return float(one.dot(other)) / spread if spread > least else -1.0


def _raised(levels: Levels) -> Levels:
    """Levels with all that is far below the loudest brought to one depth."""
    return np.asarray(np.maximum(levels, levels.max(initial=SILENCE_DBFS) - _DEEPEST_DB))


def _smoothed(levels: Levels) -> Levels:
    """Levels over three windows: frames of a room are 50 ms long, whatever the window."""
    if levels.size < 3:
        return levels
    power = 10.0 ** (levels / 10.0)
    mean = np.convolve(np.pad(power, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
    return np.asarray(10.0 * np.log10(mean))
