"""How loud the audio is, and when it can be heard.

Only levels leave this module, never samples. A level is the RMS of a stretch of audio in dBFS: 0 is
a full-scale square wave, -127 stands for digital silence. Detectors (a VAD, an STT) say when they
*noticed* speech; what a caller perceives is when sound began and ended, so both ends are measured
here on the frames themselves, in windows of 10 ms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import log10

import numpy as np
import numpy.typing as npt

SILENCE_DBFS = -127
WINDOW_MS = 10

LEAST_DBFS = -60.0
"""Nothing below this is heard on a phone or a laptop."""
BEGIN_ABOVE_FLOOR = 8.0
GOES_ON_ABOVE_FLOOR = 5.0
BELOW_PEAK = 40.0
PEAK_FALL_PER_WINDOW = 0.05
_LOWEST_PEAK = -50.0
DIGITAL_DBFS = -100.0
"""Nothing below this is a room: somebody sends zeros."""
_RESET = 10
"""Windows of digital silence that are no lost packet any more."""
_BUCKET = 50
"""Windows that a minimum is taken over."""
_BUCKETS = 6
"""Minima that the floor comes from."""
_STEADY = 3.0

_FULL_SCALE_DB = 20.0 * log10(32768.0)
_LEAST = 10.0 ** ((SILENCE_DBFS + _FULL_SCALE_DB) / 10.0)


def to_dbfs(mean_square: float) -> float:
    """The level of a mean square of 16-bit samples."""
    if mean_square < _LEAST:
        return -127.0
    return 10.0 * log10(mean_square) - _FULL_SCALE_DB


def mean_squares(frames: Sequence[bytes], window: int) -> list[list[float]]:
    """The mean square of each 10 ms of some frames, less its mean; what is left over of a frame
    counts with its last window.

    A level that does not swing within 10 ms (the offset of a microphone, rumble) is no sound.
    Frames of one size are worked out together: the cost is that of calling NumPy, whose code is
    not in the processor's caches when a frame passes now and then.

    Args:
        frames: The 16-bit samples of each.
        window: The samples of 10 ms, of all channels: see :func:`window_of`.
    """
    found: list[list[float]] = []
    for size, same in groupby(frames, len):
        found += _alike(list(same), size // 2, window)
    return found


def window_of(sample_rate: int, channels: int) -> int:
    """The samples of one window, of all channels together."""
    return max(1, sample_rate * WINDOW_MS // 1000) * channels


def _alike(frames: list[bytes], size: int, window: int) -> list[list[float]]:
    """As :func:`mean_squares`, of frames of ``size`` samples each."""
    if not size:
        return [[] for _ in frames]
    whole = frames[0] if len(frames) == 1 else b"".join(frames)
    samples = np.frombuffer(whole, dtype=np.int16).astype(np.float32)
    count = max(1, size // window)
    if size == count * window:
        return _by(count, _variances(samples.reshape(-1, window)))
    samples = samples.reshape(len(frames), size)
    last = (count - 1) * window
    rest = _by(1, _variances(samples[:, last:]))
    if not last:
        return rest
    heads = _by(count - 1, _variances(samples[:, :last].reshape(-1, window)))
    return [head + left_over for head, left_over in zip(heads, rest, strict=True)]


def _by(count: int, values: list[float]) -> list[list[float]]:
    """The values in groups of so many."""
    return [values[begun : begun + count] for begun in range(0, len(values), count)]


_ones = np.ones((4_800, 1), dtype=np.float32)


def _variances(rows: npt.NDArray[np.float32]) -> list[float]:
    """The variance of each row, from products of vectors: matmul works each out as ``dot`` does,
    to the bit, and the product with ones is the sum."""
    size = rows.shape[1]
    ones = _ones[:size] if size <= len(_ones) else np.ones((size, 1), dtype=np.float32)
    across = rows[:, np.newaxis, :]
    means = np.matmul(across, ones).astype(np.float64) / size
    squares = np.matmul(across, rows[:, :, np.newaxis]).astype(np.float64) / size
    found: list[float] = (squares - means * means).ravel().tolist()
    return found


def pack(samples: int, squares: list[float]) -> int:
    """``samples << 8 | -level``: the level of the whole frame in whole dBFS, from the mean squares
    of its windows."""
    if not squares:
        return samples << 8 | 127
    mean = squares[0] if len(squares) == 1 else sum(squares) / len(squares)
    return samples << 8 | -round(to_dbfs(mean))


class Audibility:
    """Tells sound from silence, window by window, above a noise floor that it learns.

    A window is audible when it stands clear of the floor, and not hopelessly below the loudest
    recent sound; it takes more to begin a sound than to continue one (hysteresis). The floor is the
    quietest of the last three seconds: even fast speech lets the noise through between its words,
    while steady noise never goes much below itself, so noise is known from its first moments on and
    speech is not taken for it. One quiet stretch alone (a lost packet filled with zeros) is not
    believed. Digital silence is no room: after it (LiveKit itself sends it while it warms up the
    cancelling of echo) the floor is learned anew."""

    __slots__ = (
        "_count",
        "_low",
        "_lows",
        "_most",
        "_peak",
        "_smooth",
        "_zeros",
        "audible",
        "floor",
    )

    def __init__(self, loudest_floor: float = -40.0) -> None:
        """Nothing above ``loudest_floor`` is taken for noise: a voice that is there from the first
        moment on is no floor."""
        self._most = loudest_floor
        self._lows: list[float] = []
        self._low = 0.0
        self._count = 0
        self._zeros = 0
        self._smooth: float | None = None
        self._peak = _LOWEST_PEAK
        self.floor = loudest_floor
        """The level of the noise, as far as it is known."""
        self.audible = False

    def hear(self, level: float) -> bool:
        """Take the level of the next window in dBFS; returns whether it is audible."""
        # Global constants and comparisons in the place of attributes and max(): every 10 ms of a
        # call come through here.
        if level < DIGITAL_DBFS:
            self._zeros += 1
            if self._zeros == _RESET:
                self._lows.clear()
                self._low, self._count, self._smooth = 0.0, 0, None
                self.floor = float(SILENCE_DBFS)
            self.audible = False
            return False
        self._zeros = 0
        smooth = self._smooth
        # Noise is uneven from window to window: its minimum is taken from an average.
        smooth = self._smooth = level if smooth is None else smooth + (level - smooth) * 0.4
        if smooth < self._low:
            self._low = smooth
            if len(self._lows) < 2 and smooth < self.floor:
                self.floor = smooth
        self._count += 1
        if self._count >= _BUCKET:
            self._next_bucket()
        peak = self._peak - PEAK_FALL_PER_WINDOW
        if level > peak:
            peak = level
        if peak < _LOWEST_PEAK:
            peak = _LOWEST_PEAK
        self._peak = peak
        audible = level > LEAST_DBFS and level > peak - BELOW_PEAK
        if audible:
            above = GOES_ON_ABOVE_FLOOR if self.audible else BEGIN_ABOVE_FLOOR
            audible = level > self.floor + above
        self.audible = audible
        return audible

    @property
    def goes_on_above(self) -> float:
        """The level above which a sound goes on."""
        return max(self.floor + GOES_ON_ABOVE_FLOOR, self._peak - BELOW_PEAK, LEAST_DBFS)

    def _next_bucket(self) -> None:
        lows = self._lows
        lows.append(self._low)
        if len(lows) > _BUCKETS:
            del lows[0]
        if len(lows) > 1:
            lowest, second = sorted(lows)[:2]
            # Steady noise has much the same minimum again and again; the dips of a voice that a
            # gate cut out of its room have not.
            if second - lowest <= _STEADY or len(lows) == _BUCKETS:
                self.floor = min(self._most, second)
        self._low = 0.0
        self._count = 0
