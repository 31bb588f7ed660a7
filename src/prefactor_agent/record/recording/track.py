"""One channel of a recording: runs of sound on an axis of samples, silence between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
"""Samples a second of a recording: what Opus is decoded to, whatever it was made from."""
TOLERANCE = RATE // 100
"""Sound that comes this close behind the sound before it goes on without a break: what the clock
of the samples corrects in the middle of a word would be heard as a click."""

Samples = NDArray[np.int16]


def mono(frame: Any) -> Samples:
    """The samples of a frame of LiveKit's (16 bits, interleaved) as one channel; of a frame with
    one channel without a copy."""
    samples: Samples = np.frombuffer(frame.data, np.int16)
    if (channels := frame.num_channels) > 1:
        samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
    return samples


class Track:
    """Collects the sound of one channel until it is taken. Positions are samples at :data:`RATE`,
    counted from the beginning of the recording.

    Sound of another rate is resampled as long as it comes without a break, so that no seam is
    heard; the resampler keeps back a millisecond of it."""

    def __init__(self) -> None:
        self._placed: deque[tuple[int, Samples]] = deque()
        self._rate: int | None = None
        self._resample: Callable[[Any], list[Any]] | None = None
        self._run: list[Samples] = []
        """What came without a break, in the rate in which it came."""
        self._at = 0
        """Where the next sample of the run goes."""
        self._expected = 0.0
        """Where the run's sound ends, also what the resampler has kept back of it."""
        self.late = 0
        """Samples that came when what lies behind them had been taken."""

    def place(self, at: float, samples: Samples, rate: int) -> None:
        """Add sound.

        Args:
            at: Its position.
            rate: Its samples a second.
        """
        if rate != self._rate or abs(at - self._expected) > TOLERANCE:
            self.end_run()
            self._rate, self._at, self._expected = rate, round(at), at
            if rate != RATE:
                self._resample = av.AudioResampler(format="s16", layout="mono", rate=RATE).resample
        self._expected += len(samples) * RATE / rate
        self._run.append(samples)

    def end_run(self, before: float = float("inf")) -> None:
        """What comes next does not go on from here, if what was placed ends well before a
        position."""
        if self._expected > before - TOLERANCE:
            return
        self._convert()
        if self._resample is not None:
            self._add_all(self._resample(None))
        self._rate = self._resample = None

    def take(self, begins: int, channel: Samples) -> None:
        """Copy the sound from a position on into a channel that is silent, and let it go."""
        self._convert()
        ends = begins + len(channel)
        kept: list[tuple[int, Samples]] = []
        while self._placed:
            at, samples = self._placed.popleft()
            if at < begins:
                self.late += min(begins - at, len(samples))
                samples, at = samples[begins - at :], begins
            if at + len(samples) > ends:
                kept.append((max(at, ends), samples[max(0, ends - at) :]))
                samples = samples[: max(0, ends - at)]
            channel[at - begins : at - begins + len(samples)] = samples
        self._placed.extend(kept)

    def _convert(self) -> None:
        """Bring what has come of the run to the rate of the recording, all at once: each call of
        the resampler costs more than what it does with a frame."""
        if not self._run:
            return
        samples, self._run = np.concatenate(self._run), []
        if self._resample is None or self._rate is None:
            self._add(samples)
            return
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._rate
        self._add_all(self._resample(frame))

    def _add_all(self, frames: list[Any]) -> None:
        for frame in frames:
            self._add(frame.to_ndarray()[0])

    def _add(self, samples: Samples) -> None:
        if len(samples):
            self._placed.append((self._at, samples))
            self._at += len(samples)
