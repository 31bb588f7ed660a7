"""The dead air of a conversation, read off its waveform as one does by eye in an audio editor.

It shares no code with what it checks: levels are peaks, not RMS, of windows of 2 ms, and sound is
what stands out of the quiet by a fixed factor. A peak is half the swing from the lowest to the
highest sample, so that an offset is no sound: where one ends, a high pass (Opus has one of 3 Hz)
leaves a tail of 50 ms and more that nobody hears."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

WINDOW = 0.002
OUT_OF_THE_QUIET = 2.2
"""How many times higher than the low peaks of the quiet a sound is: the highest peaks of steady
noise are twice its low ones, so this is what just stands out of it."""
LEAST = 66
"""-54 dBFS: quieter peaks cannot be seen, or heard on a phone."""
BELOW_PEAK = 0.01
"""-40 dB: the last rest of a decaying word is lost to the ear."""


def audible(samples: Samples, rate: int) -> npt.NDArray[np.bool_]:
    """For each 2 ms, whether there is sound."""
    size = round(rate * WINDOW)
    windows = samples[: len(samples) // size * size].astype(np.int32).reshape(-1, size)
    peaks = (windows.max(axis=1) - windows.min(axis=1)) / 2
    quiet = float(np.percentile(peaks, 20))
    loud = float(np.percentile(peaks, 99))
    loudest = peaks > max(LEAST, quiet * OUT_OF_THE_QUIET, loud * BELOW_PEAK)
    # A voice is not off between two of its own vibrations: bridge what is shorter than 20 ms,
    # and take out what is shorter than 10 ms, a click.
    return _without_runs(_without_runs(loudest, False, 10), True, 5)


def _without_runs(flags: npt.NDArray[np.bool_], of: bool, shorter: int) -> npt.NDArray[np.bool_]:
    kept = flags.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[not of], flags, [not of]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=False):
        if end - begin < shorter and begin > 0 and end < len(flags):
            kept[begin:end] = not of
    return kept


def first_sound(samples: Samples, rate: int) -> float | None:
    """When the first sound of a voice begins, in seconds; None if it has none."""
    heard = np.flatnonzero(audible(samples, rate)) if len(samples) else np.zeros(0, np.intp)
    return float(heard[0]) * WINDOW if heard.size else None


def silences(caller: Samples, agent: Samples, rate: int) -> list[tuple[float, float]]:
    """All dead air, from the end of the caller's voice to the beginning of the agent's: when it
    began, in seconds, and how long it was."""
    hers, its = audible(caller, rate), audible(agent, rate)
    length = min(len(hers), len(its))
    found: list[tuple[float, float]] = []
    spoke_last: int | None = None
    for index in range(length):
        if hers[index]:
            spoke_last = index
        elif its[index] and spoke_last is not None:
            if not its[max(0, spoke_last - 50) : index].any():
                found.append(((spoke_last + 1) * WINDOW, (index - spoke_last - 1) * WINDOW))
            spoke_last = None
    return found
