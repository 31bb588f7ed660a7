"""Whether the agent's own voice is heard again in the caller's: by their loudness curves alone.

An echo (a loudspeaker and a microphone without echo cancelling) follows the voice with one delay
and one attenuation for as long as it lasts, so the caller's curve is the agent's, later and
quieter. Two people who speak at the same time have curves of their own. What is compared are levels
in dB, since a factor of loudness is a constant there, which correlation does not see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .loudness import DIGITAL_DBFS, LEAST_DBFS, SILENCE_DBFS
from .loudness import WINDOW_MS as FINE_MS

WINDOW_MS = 20
_WINDOW_US = WINDOW_MS * 1000
_PER_WINDOW = WINDOW_MS // FINE_MS
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


def curve(frames: Sequence[Frame]) -> Levels:
    """Frames as levels in windows of ``WINDOW_MS``, from 0 on: power is averaged, and a window
    without sound is digital silence."""
    if not frames:
        return np.zeros(0)
    begins, lasts, levels = np.asarray(frames, dtype=np.float64).T
    first = np.maximum(begins // _WINDOW_US, 0).astype(np.int64)
    last = np.maximum(((begins + lasts) // _WINDOW_US).astype(np.int64), first + 1)
    size = last - first
    # Which windows each frame is in: 4, 5, 6 of one, 6, 7 of the next.
    window = np.repeat(last - np.cumsum(size), size) + np.arange(size.sum())
    power = np.bincount(window, weights=np.repeat(10.0 ** (levels / 10.0), size))
    return _to_dbfs(power / np.maximum(np.bincount(window), 1))


def halved(levels: Levels) -> Levels:
    """Levels of windows of 10 ms as levels of ``WINDOW_MS``."""
    whole = levels[: levels.size // _PER_WINDOW * _PER_WINDOW]
    return _to_dbfs((10.0 ** (whole / 10.0)).reshape(-1, _PER_WINDOW).mean(axis=1))


def find_echo(agent: Levels, user: Levels) -> Echo | None:
    """The echo of the agent's voice in the caller's; ``None``: there is none to be seen.

    Args:
        agent: Levels of what was played, in windows of ``WINDOW_MS``.
        user: Levels of what came in, from the same moment on; longer by the echo's delay.
    """
    least = LEAST_MS // WINDOW_MS
    if agent.size < least or user.size < least or user.max() < LEAST_DBFS:
        return None
    agent, heard = _smoothed(agent), _smoothed(user)
    there = user > DIGITAL_DBFS  # LiveKit sends zeros while it warms up the cancelling of echo
    matches = _correlations(_raised(agent), _raised(heard), there)
    best = int(matches.argmax())
    near = _NEAR_MS // WINDOW_MS
    far = np.concatenate([matches[: max(0, best - near)], matches[best + near + 1 :]])
    if matches[best] < LEAST_CORRELATION or matches[best] - far.max(initial=-1.0) < _APART:
        return None
    size = min(agent.size, user.size - best)
    loud = agent[:size] >= np.sort(agent[:size])[size // 2]
    loud &= there[best : best + size]
    quieter = np.sort((agent[:size] - heard[best : best + size])[loud])
    return Echo(
        best * WINDOW_MS,
        round(float(quieter[quieter.size // 2]), 1),
        round(float(matches[best]), 3),
    )


def _correlations(voice: Levels, heard: Levels, there: npt.NDArray[np.bool_]) -> Levels:
    """Pearson's correlation of the voice with what was heard 0, 1, 2 … windows later, over the
    windows that are ``there``; -1 where there is too little of it."""
    delays = MOST_DELAY_MS // WINDOW_MS
    behind = max(0, voice.size + delays - heard.size)
    weight = np.pad(there.astype(np.float64), (0, behind))[: voice.size + delays]
    heard = np.pad(heard, (0, behind))[: voice.size + delays]
    # Both around 0, so that the sums below lose nothing.
    voice, heard = voice - voice.mean(), (heard - heard[weight > 0].mean()) * weight
    ones = np.ones(voice.size)
    count = np.maximum(np.correlate(weight, ones), 1.0)
    one, other = np.correlate(weight, voice) / count, np.correlate(heard, ones) / count
    spread_of_one = np.correlate(weight, voice * voice) / count - one * one
    spread_of_other = np.correlate(heard * heard, ones) / count - other * other
    spread = np.sqrt(np.maximum(spread_of_one, 0) * np.maximum(spread_of_other, 0))
    both = np.correlate(heard, voice) / count - one * other
    enough = (count >= LEAST_MS // WINDOW_MS) & (spread > _LEAST_SPREAD_DB**2)
    return np.asarray(np.where(enough, both / np.maximum(spread, 1e-9), -1.0))


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


def _to_dbfs(power: Levels) -> Levels:
    least = 10.0 ** (SILENCE_DBFS / 10.0)
    return np.asarray(10.0 * np.log10(np.maximum(power, least)))
