"""Writes the recording of one call, on a thread of its own.

What passes on the event loop is put here by reference, and nothing of it is looked at there. The
thread looks several times a second, lets what has passed settle for a moment (a frame can prove to
have been recorded earlier, and a voice that it was interrupted), and writes both channels up to
there."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...core.clock import now_ns, to_unix_us
from ...core.guard import logger
from ...stored import recording
from .file import RecordingFile
from .heard import HeardAudio
from .played import PlayedAudio
from .track import RATE, TOLERANCE, Track

_LOOKS_S = 0.2
_SETTLES_NS = 400_000_000
"""How long what has passed waits before it is written."""
_STALLS_NS = 5_000_000_000
"""How long a caller's line that has gone quiet is waited for: the event loop may be busy, or the
STT connect again, and all of it come at once. Then it is silence, as for the clock of its
samples."""
_AT_ONCE = RATE
MOST_PUT = 20_000
"""What may wait to be looked at: the frames of a minute at least."""
_CLOSES_S = 2.0


class Written(NamedTuple):
    """What there is of a recording that is over."""

    begins_ns: int | None
    """``None``: there is no file."""
    seconds: float
    missing_s: float
    """Sound that is not in it, because it came too late or too much of it waited."""
    error: str | None
    """Why it ended before the call."""


class RecordingWriter:
    """The recording of one call. It fails alone: what goes wrong is logged, once.

    Args:
        path: Where it is written, once there is any sound.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._put: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._lost = 0
        self._heard, self._played = HeardAudio(), PlayedAudio()
        self._tracks = Track(), Track()
        self._hidden: list[tuple[int, int | None]] = []
        self._file: RecordingFile | None = None
        self._begins_ns = 0
        self._error: str | None = None
        self._wake, self._done = threading.Event(), threading.Event()
        self._ends_ns: int | None = None

    # On the event loop

    def start(self) -> None:
        thread = threading.Thread(target=self._run, name="prefactor-recording", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process may have no more threads
            self._fail(error)

    def hear(self, frame: Any, arrived_ns: int) -> None:
        """A frame of the caller passed."""
        self._add(self._heard.add, frame, arrived_ns)

    def speak(self, frame: Any, arrived_ns: int) -> None:
        """The agent's output was given a frame."""
        self._add(self._played.add, frame, arrived_ns)

    def flush(self) -> None:
        """The output was told that what it got is whole."""
        self._add(self._played.flush)

    def playback(self, what: str, at: int, position_s: float | None) -> None:
        """Playback ``started``, ``waited`` for more, was ``paused``, ``resumed`` or ``finished``.

        Args:
            position_s: How much was played, in seconds, where it waited or finished.
        """
        told = (at, position_s) if what in ("finished", "waited") else (at,)
        self._add(getattr(self._played, what), *told)

    def hide(self, since_ns: int) -> None:
        """From this moment on both channels are silent."""
        self._add(self._hidden.append, (since_ns, None))

    def show(self, at: int) -> None:
        """What is heard from this moment on is recorded again."""
        self._add(self._show, at)

    def end(self) -> None:
        """The call is over."""
        self._ends_ns = self._ends_ns or now_ns()
        self._wake.set()

    def _add(self, do: Callable[..., object], *args: Any) -> None:
        if self._done.is_set():
            return
        if len(self._put) >= MOST_PUT:
            self._lost += 1  # only a thread that does not come to anything leaves so much
            return
        self._put.append((do, args))

    # On another thread

    def result(self) -> Written | None:
        """What there is of the recording, once it is over; waits for its last moments. ``None``:
        there was no sound, or it takes too long."""
        if not self._done.wait(_CLOSES_S):
            return None
        missing = self._played.dropped_ns / 1e9 + sum(track.late for track in self._tracks) / RATE
        if self._file is None:
            return Written(None, 0.0, missing, self._error) if self._error else None
        return Written(self._begins_ns, self._file.samples / RATE, missing, self._error)

    # On its own thread

    def _run(self) -> None:
        try:
            while not self._wake.wait(_LOOKS_S):
                self._write(self._settled(self._take()))
            assert self._ends_ns is not None  # nothing else wakes it
            self._take()
            self._write(self._ends_ns, last=True)
            if self._file is not None:
                self._file.close()
            self._over()
        except Exception as error:
            if self._file is not None:
                self._file.abandon()
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._error = f"{type(error).__name__}: {error}"
        logger.warning(
            "the recording of the call ends here (%s); the trace and the agent are not"
            " affected: %s",
            self._error,
            self._path,
        )
        self._over()

    def _over(self) -> None:
        self._done.set()
        self._put.clear()

    def _take(self) -> int:
        """Take all that was put; returns up to which moment that is all there was."""
        now = now_ns()
        put = self._put
        while put:
            do, args = put.popleft()
            do(*args)
        return now

    def _settled(self, now: int) -> int:
        heard = self._heard.settled_ns(now)
        settled = now - _SETTLES_NS
        return settled if heard is None else min(settled, max(heard, now - _STALLS_NS))

    def _write(self, until_ns: int, *, last: bool = False) -> None:
        if self._file is None and not self._begin(until_ns):
            return
        assert self._file is not None
        while True:
            written = self._file.samples
            left = int(self._index(until_ns)) - (0 if last else TOLERANCE) - written
            if left <= 0:
                return
            count = min(left, _AT_ONCE)
            upto = self._moment(written + count + TOLERANCE)
            upto = min(upto, until_ns)
            heard, played = self._tracks
            self._heard.place(heard, self._index, upto)
            self._played.place(played, self._index, upto)
            over = last and count == left
            block = np.zeros((2, count), np.int16)
            for track, channel in zip(self._tracks, block, strict=True):
                track.end_run(inf if over else self._index(upto))
                track.take(written, channel)
            self._silence(block, written)
            self._file.write(block)

    def _begin(self, until_ns: int) -> bool:
        """Make the file if there is any sound."""
        firsts = [audio.first_ns for audio in (self._heard, self._played)]
        begins = min((first for first in firsts if first is not None), default=until_ns)
        if begins >= until_ns:
            return False
        begins_us = to_unix_us(begins)
        self._file = RecordingFile(self._path, {recording.BEGINS: str(begins_us)})
        self._begins_ns = begins
        return True

    def _index(self, moment_ns: int) -> float:
        return (moment_ns - self._begins_ns) * RATE / 1e9

    def _moment(self, index: int) -> int:
        return self._begins_ns + index * 1_000_000_000 // RATE

    def _show(self, at: int) -> None:
        self._hidden[-1] = self._hidden[-1][0], at

    def _silence(self, block: np.ndarray[Any, Any], begins: int) -> None:
        for since, until in self._hidden:
            ends = block.shape[1] if until is None else int(self._index(until)) + 1 - begins
            block[:, max(0, int(self._index(since)) - begins) : max(0, ends)] = 0
