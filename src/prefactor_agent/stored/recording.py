"""The recording of a call: where it is kept, and what is known of it before it is played.

It lies beside the journal, one file a call, in Ogg/Opus with two channels. Its name follows from
the call's id, and when it begins is in its own comments, so that the recording of a process that
was killed is found and placed like any other."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from . import ogg

BEGINS = "PREFACTOR_BEGINS_US"
"""The comment that says when the sound begins, in microseconds since the Unix epoch."""
_SUFFIX = ".ogg"
_ID = re.compile(r"[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Recording:
    """The sound of a call: on the left the caller, as the sound reached the agent; on the right the
    agent, as far as it was played. Ogg/Opus."""

    path: Path
    begins_us: int
    """When the first sample was heard, on the clock of the call's spans: microseconds since the
    Unix epoch. It can lie before the session's own span."""
    duration_s: float
    """What can be played of it so far, in seconds."""
    bytes: int

    def offset_ms(self, started_us: int) -> float:
        """How long after a moment of the trace the recording begins; negative: before it.

        Args:
            started_us: The moment, as a span has it: that of the session's own span is the zero of
                the page.
        """
        return (self.begins_us - started_us) / 1000


def folder(journal: Path) -> Path:
    """Where the recordings of a journal's calls are."""
    real = Path(os.path.realpath(journal))  # as SQLite does with what it keeps beside the file
    return real.with_name(f"{real.name}-audio")


def path_of(journal: Path, call_id: str) -> Path:
    """Where the recording of a call is, or would be.

    Raises:
        ValueError: That is no id of a call.
    """
    if not _ID.fullmatch(call_id):
        raise ValueError(f"{call_id!r} is no id of a call")
    return folder(journal) / f"{call_id}{_SUFFIX}"


def call_of(path: Path) -> str | None:
    """The id of the call that a file in the folder of the recordings is of; ``None``: it is none of
    ours."""
    return path.stem if path.suffix == _SUFFIX and _ID.fullmatch(path.stem) else None


class Kept(NamedTuple):
    """A file in the folder of the recordings."""

    bytes: int
    changed_us: int
    """When it was written last, in microseconds since the Unix epoch."""


def all_of(journal: Path) -> dict[str, Kept]:
    """The recordings of a journal's calls, by their ids; those of calls that the journal has no
    more, too. None, where the folder cannot be read."""
    found: dict[str, Kept] = {}
    with contextlib.suppress(OSError), os.scandir(folder(journal)) as entries:
        for entry in entries:
            if (call_id := call_of(Path(entry.name))) is None:
                continue
            with contextlib.suppress(OSError):  # another process was faster
                stat = entry.stat(follow_symlinks=False)
                found[call_id] = Kept(stat.st_size, stat.st_mtime_ns // 1000)
    return found


def remove(journal: Path, call_id: str) -> None:
    """Remove the recording of a call, if there is one.

    Raises:
        OSError
    """
    path_of(journal, call_id).unlink(missing_ok=True)


def of_call(journal: Path, call_id: str) -> Recording | None:
    """The recording of a call; ``None``: there is none."""
    return read(path_of(journal, call_id)) if _ID.fullmatch(call_id) else None


def read(path: Path) -> Recording | None:
    """The recording in a file, also while it is written; ``None``: there is none, or nothing can be
    played of it."""
    try:
        found, size = ogg.read(path), path.stat().st_size
    except OSError:
        return None
    if found is None or not found.seconds:
        return None
    try:
        begins_us = int(found.comments.get(BEGINS, ""))
    except ValueError:  # it is not one of ours
        return None
    return Recording(path, begins_us, found.seconds, size)


def keep_private(path: Path) -> None:
    """Make a file that holds voices, before they are written: it is for its owner to read only.
    What is no file, a terminal or a pipe, stays as it is.

    Raises:
        OSError: It cannot be made.
    """
    path.touch(mode=0o600)
    if path.is_file():
        path.chmod(0o600)
