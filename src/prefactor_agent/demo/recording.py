"""What was heard in a call, and when: enough to listen to it again.

Each voice is kept as pieces on the monotonic clock, at its own sample rate; a stereo file has the
caller on the left and the agent on the right, with the silences that there really were.
"""

import wave
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .speech import Samples, Sound

RATE = 24_000


@dataclass
class Track:
    """Sound, in pieces, each with the moment when its first sample was heard."""

    rate: int
    pieces: list[tuple[float, Samples]] = field(default_factory=list)
    """``time.monotonic()`` and the samples, in order."""

    def add(self, at: float, samples: Samples) -> None:
        self.pieces.append((at, samples))

    @property
    def seconds(self) -> float:
        return sum(len(samples) for _, samples in self.pieces) / self.rate

    def between(self, start: float, end: float) -> Sound:
        """What was heard from one moment to another, silence included."""
        whole = np.zeros(max(0, round((end - start) * self.rate)), dtype=np.int16)
        for at, samples in self.pieces:
            first = round((at - start) * self.rate)
            skipped = max(0, -first)
            kept = samples[skipped : max(skipped, len(whole) - first)]
            whole[first + skipped : first + skipped + len(kept)] = kept
        return Sound(whole, self.rate)


def stereo(caller: Track, agent: Track, start: float, end: float) -> Samples:
    """Both voices from one moment to another, a column each, at ``RATE``."""
    left, right = (track.between(start, end).at(RATE).samples for track in (caller, agent))
    both = np.zeros((round((end - start) * RATE), 2), dtype=np.int16)
    for column, samples in enumerate((left, right)):
        kept = samples[: len(both)]
        both[: len(kept), column] = kept
    return both


def write_wav(path: Path, samples: Samples) -> None:
    """Write what ``stereo`` gave."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], 2, RATE, len(samples), "NONE", "NONE"))
        file.writeframes(samples.tobytes())
