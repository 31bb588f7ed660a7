"""The file of a recording: Opus in Ogg, written so that it can be played up to its last moments
whatever becomes of the process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from .track import RATE, Samples

_PAGE_US = 200_000
"""How much sound a page of the file holds: players take whole pages only."""
_BITS = 48_000
"""Bits a second of both channels together."""
_OPTIONS = {
    # Where a voice begins and ends is read off a recording. Opus smears both by up to a frame, so
    # frames are short; and with no complexity at all it does not look for beginnings. A higher
    # one, or "voip", costs up to three times as much and moves neither.
    "application": "audio",
    "compression_level": "1",
    "frame_duration": "10",
}


class _Unbuffered:
    """A file as PyAV writes to one. It cannot be searched: what was written stays."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:  # a disk that is nearly full takes a part of it
            left = left[os.write(self._file, left) :]
        return len(data)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class RecordingFile:
    """A recording that is being written, for its owner to read only. Used by one thread.

    Args:
        comments: Go into the file's own comments.

    Raises:
        OSError, av.error.FFmpegError: From every method: the file cannot be written.
    """

    def __init__(self, path: Path, comments: Mapping[str, str]) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = _Unbuffered(path)
        try:
            self._container = av.open(
                self._file,
                "w",
                format="ogg",
                options={"page_duration": str(_PAGE_US), "flush_packets": "1"},
            )
            self._stream: Any = self._container.add_stream(
                "libopus", rate=RATE, layout="stereo", options=_OPTIONS
            )
            self._stream.bit_rate = _BITS
            self._stream.metadata.update(comments)
        except BaseException:
            self._file.close()
            raise
        self.samples = 0
        """How many were written, of each channel."""

    def write(self, block: Samples) -> None:
        """Write the next samples.

        Args:
            block: A row for each channel.
        """
        interleaved = np.ascontiguousarray(block.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = RATE, self.samples
        self._container.mux(self._stream.encode(frame))
        self.samples += block.shape[1]

    def close(self) -> None:
        """Write what the encoder still holds, and close the file."""
        try:
            if self.samples:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close a file that cannot be written any more: what is in it stays."""
        self._file.close()
