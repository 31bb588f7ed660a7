"""The caller's own voice, out of the recording of a call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from .. import replay
from ..stored import recording
from .hearing import speech_ends_us

RATE = 16_000
"""Samples a second of the caller's microphone."""
_GOES_ON_US = 30_000_000
"""How long after the last sound of a turn the caller is still heard, if the next does not begin
before: what was no turn, as it was not understood, may be one to another STT or VAD."""


class _Window(NamedTuple):
    """Where in the recording a turn is, in samples."""

    number: int
    begins: int
    ends: int


class CallerVoice:
    """What the caller said, turn by turn, and what was heard of them until the next, as it sounded.

    Args:
        path: The recording of the call, Ogg/Opus, the caller left (docs/recording.md).
        recorded: What was said in it.

    Raises:
        ValueError: The file is no recording of this call, or the call does not say when its turns
            were.
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path, recorded: replay.Recording) -> None:
        if not path.exists():
            raise FileNotFoundError(f"{path}: write it with prefactor-agent export --format ogg")
        if (file := recording.read(path)) is None:
            raise ValueError(f"{path} is no recording of a call, or nothing can be played of it")
        begins = _unix_us(recorded.started_at) - file.begins_us
        windows = _windows(recorded, begins)
        if windows and not 0 <= windows[0].begins < file.duration_s * RATE:
            raise ValueError(
                f"{path} is the recording of another call: the caller first spoke "
                f"{windows[0].begins / RATE:.1f} s after it began, and it is "
                f"{file.duration_s:.1f} s long"
            )
        self._turns = _cut(path, windows)

    def piece(self, turn: int, at_us: int, samples: int) -> bytes:
        """PCM of a turn and of what follows it; silence where that is over.

        Args:
            turn: Its number.
            at_us: After its first sound, in microseconds.
            samples: How many, at :data:`RATE`.
        """
        begins = at_us * RATE // 1_000_000
        said = self._turns.get(turn, _NOTHING)[begins : begins + samples]
        return said.tobytes() + bytes(2 * (samples - len(said)))


_Samples = NDArray[np.int16]
_NOTHING: _Samples = np.zeros(0, np.int16)


def _windows(recorded: replay.Recording, begins_us: int) -> list[_Window]:
    """
    Args:
        begins_us: When the session began, after the recording.
    """
    windows = []
    for turn in recorded.turns:
        if turn.modality == "text":
            continue
        if turn.at_us is None:
            raise ValueError(
                "this file does not say when the caller spoke, so their voice cannot be found in "
                "a recording: write it again with prefactor-agent export --format replay"
            )
        begins = begins_us + turn.at_us
        ends = begins + speech_ends_us(turn) + _GOES_ON_US
        windows.append(_Window(turn.number, begins * RATE // 1_000_000, ends * RATE // 1_000_000))
    return [
        *(
            one._replace(ends=min(one.ends, following.begins))
            for one, following in pairwise(windows)
        ),
        *windows[-1:],
    ]


def _cut(path: Path, windows: list[_Window]) -> dict[int, _Samples]:
    """The windows of the caller's channel: of a long call, what is far from them is let go."""
    parts: dict[int, list[_Samples]] = {window.number: [] for window in windows}
    at = 0
    for caller in _caller(path):
        for number, begins, ends in windows:
            if begins < at + len(caller) and at < ends:
                parts[number].append(caller[max(0, begins - at) : ends - at].copy())
        at += len(caller)
    return {number: np.concatenate(cut) for number, cut in parts.items() if cut}


def _caller(path: Path) -> Iterator[_Samples]:
    """The caller's channel of a recording, piece by piece, at ``RATE``."""
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
    with av.open(path) as container:
        for decoded in container.decode(audio=0):
            for frame in resampler.resample(decoded):
                yield np.asarray(frame.to_ndarray(), np.int16).reshape(-1, 2)[:, 0]


def _unix_us(rfc3339: str) -> int:
    since = datetime.fromisoformat(rfc3339) - datetime.fromtimestamp(0, UTC)
    return since // timedelta(microseconds=1)
