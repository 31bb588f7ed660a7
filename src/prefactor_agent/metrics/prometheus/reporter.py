"""Which of several workers reports a journal's totals.

The totals are those of all processes that write to the journal. If each worker on a host reported
them, a sum over the workers would count each call once for each worker. So one reports: the one
that holds a lock on a file beside the journal. The system releases the lock with the process,
however that ends, and the next worker that is asked has it."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: each worker reports
    fcntl = None  # type: ignore[assignment]


class Reporter:
    """Whether this process reports the totals of journals."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}
        self._process = os.getpid()

    def is_chosen(self, journal: Path) -> bool:
        """Whether this process reports the totals of a journal from now on. Does not wait; where no
        file can be locked, each process reports."""
        if self._process != os.getpid():  # after a fork the files are the parent's, too
            self._process = os.getpid()
            self.close()
        if journal in self._held or fcntl is None:
            return True
        try:
            file = os.open(_lock_of(journal), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError:  # a file system without locks
            os.close(file)
            return True
        self._held[journal] = file
        return True

    def close(self) -> None:
        """Report nothing any more; another process may."""
        for file in self._held.values():
            os.close(file)
        self._held = {}


def _lock_of(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}-metrics")
