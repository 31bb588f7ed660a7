"""The thread that writes calls to the archive while the agent runs: those of this process when they
have ended, and those that processes left behind which are gone."""

from __future__ import annotations

import contextlib
import multiprocessing.util
import threading
import time
import weakref
from pathlib import Path

from ..config import Settings
from ..core import forks
from ..core.forks import at_fork
from ..core.guard import logger, report
from ..journal.archiving import ArchiveTodo
from ..journal.current import CurrentFile
from ..journal.ended_calls import DigestOf
from ..journal.errors import StorageError, UnusableJournalError
from ..stored.source import SourceError
from .storage import MissingExtraError, Storage
from .writer import Writer

LOOK_S = 30.0
"""How often to look for what nobody wakes the thread for: calls that run for long, and what others
left behind."""
_LONGEST_WAIT_S = 60.0


class Archiver:
    """Writes what this process records to the archive.

    Args:
        settings: Name the journal and the archive.
        digest_of: Works out what is kept of a call: see :mod:`..view.model.digest`.
    """

    def __init__(self, settings: Settings, digest_of: DigestOf) -> None:
        self._journal, self._address = settings.journal, str(settings.archive)
        self._audio = settings.archive_audio
        self._exit_timeout = settings.flush_timeout
        self._digest_of = digest_of
        self._reset()
        _archivers.add(self)

    def _reset(self) -> None:
        self._thread: threading.Thread | None = None
        self._wakened = threading.Event()
        self._round = threading.Condition()
        self._rounds = 0
        self._left = True
        self._stopping = False
        self._failures = 0
        self._storage: Storage | None = None
        self._file = CurrentFile(self._journal, self._open, ArchiveTodo.close)
        self.off: str | None = None
        """Why this process writes nothing to the archive."""

    # From any thread

    @property
    def started(self) -> bool:
        """Whether it works in this process."""
        return self._thread is not None

    def start(self) -> None:
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="prefactor-archive", daemon=True)
        with contextlib.suppress(RuntimeError):  # the process ends
            self._thread.start()
        # Runs after the journal's finalizer, which has the higher priority.
        multiprocessing.util.Finalize(
            None, _archive_at_exit, args=(weakref.ref(self),), exitpriority=80
        )

    def wake(self) -> None:
        """Have the thread look for calls that have ended."""
        self._wakened.set()

    def flush(self, timeout: float) -> bool:
        """Write the calls of this process that have ended. Returns whether they are."""
        deadline = time.monotonic() + timeout
        with self._round:
            wanted = self._rounds + 2  # the round that runs now may have read too early
            while self.off is None and self._thread is not None and not self._failures:
                if self._rounds >= wanted or (self._rounds == wanted - 1 and not self._left):
                    return not self._left
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                self._wakened.set()
                self._round.wait(min(left, 0.05))
        return False

    def stop(self, timeout: float = 2.0) -> None:
        """Stop the thread; the journal keeps what is not written."""
        self._stopping = True
        self._wakened.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    # On the thread

    def _run(self) -> None:
        looked = float("-inf")
        while not self._stopping and self.off is None:
            self._wakened.clear()
            others = time.monotonic() - looked >= LOOK_S
            left = self._one_round(others)
            if others:
                looked = time.monotonic()
            with self._round:
                self._rounds += 1
                self._left = left
                self._round.notify_all()
            if self._failures:
                self._pause(min(_LONGEST_WAIT_S, 0.5 * 2**self._failures))
            else:
                self._wakened.wait(LOOK_S)
        with contextlib.suppress(StorageError):
            self._file.close()

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))

    def _one_round(self, others: bool) -> bool:
        """Returns whether calls of this process are left that have ended."""
        try:
            todo = self._file.get()
            if todo is None:
                return False
            if self._storage is None:
                self._storage = Storage(self._address, create=True)
            writer = Writer(self._journal, self._storage, todo, audio=self._audio)
            for due in writer.pending(others=others):
                if self._stopping:
                    return True
                writer.write(due)
            left = any(not due.running for due in writer.pending(others=False))
        except Exception as error:
            self._fail(error)
            return True
        if self._failures:
            self._failures = 0
            logger.info("the archive %s can be written again", self._address)
        return left

    def _open(self, path: Path) -> ArchiveTodo:
        return ArchiveTodo(path, self._digest_of)

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        match error:
            case MissingExtraError():
                # First the line: who sees that it is off finds why.
                logger.error("nothing is archived, the journal keeps everything: %s", error)
                self.off = str(error)
            case UnusableJournalError():
                self.off = str(error)  # the journal's writer has logged it
            case SourceError() | StorageError() | OSError():
                if self._failures == 1:
                    logger.warning("%s: the journal keeps the calls until it can be written", error)
            case _:
                report("archive", error)


def _archive_at_exit(reference: weakref.ref[Archiver]) -> None:
    with contextlib.suppress(KeyboardInterrupt):  # as in the journal's finalizer
        if (archiver := reference()) is not None and archiver.started:
            archiver.flush(archiver._exit_timeout)
            archiver.stop()


_archivers: weakref.WeakSet[Archiver] = weakref.WeakSet()


def _forget_parent() -> None:
    # Threads do not survive a fork, and no connection of the parent may be used.
    for archiver in list(_archivers):
        if (todo := archiver._file.opened) is not None:
            forks.never_close(todo)
        archiver._reset()


at_fork(after_in_child=_forget_parent)
