"""Writes spans to the journal, from a thread of its own.

On the event loop a span costs one ``deque.append``. The thread sleeps until something is due
(:mod:`.schedule`), takes what is there, and writes it in one transaction; it ends by itself when no
call is open any more. A file that cannot be written stops the journal, never the agent: one line
in the log says why, and the trace says how many spans were lost."""

from __future__ import annotations

import contextlib
import multiprocessing.util
import sqlite3
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..config import Settings
from ..core import forks
from ..core.forks import at_fork
from ..core.guard import failures, logger, report
from ..core.span import Span
from ..metrics.series import Observation
from ..redact import Redactor
from ..tool_options import hidden_tools
from . import place, retention, schema
from .current import CurrentFile
from .ended_calls import DigestOf, keep_digests
from .errors import UnusableJournalError, is_damaged
from .inserts import Batch, write
from .rows import LEVELS, Chunks, Row, chunk_rows, span_row
from .schedule import Schedule

QUEUE_LIMIT = 50_000
"""The most spans that wait for a disk that does not answer; more are counted as lost."""
IDLE_SECONDS = 2.0
"""After so long without anything to write, old calls are removed; without an open call, the thread
ends."""
RETAIN_SECONDS = 60.0  # old calls are looked for at most so often while a call is open
BUSY_SECONDS = 5.0
"""How long one write waits for other processes that write to the same file."""

_WRITTEN: Mapping[str, Any] = MappingProxyType({})
"""The result of a span whose end has been written. A span can end while its beginning still waits
in the queue: the first write then has the end, and when the end is put there is nothing to add."""


class JournalWriter:
    """The journal as a sink: see :class:`prefactor_agent.core.span.Sink`."""

    def __init__(self, settings: Settings, digest_of: DigestOf | None = None) -> None:
        self._path = settings.journal
        self._digest_of = digest_of
        self._interval = settings.flush_interval
        self._exit_timeout = settings.flush_timeout
        self._redactor = Redactor(settings, hidden_tools)
        self._keep = (settings.keep_days, settings.keep_bytes)
        self._wanted, self._exported = settings.delivers, settings.exports
        self._archived, self._counted = settings.archive is not None, settings.metrics
        self.after_write: Callable[[], None] | None = None
        """Called on this thread when a span in the file is new, or another than before."""
        self.on_counted: Callable[[list[Observation]], None] | None = None
        """Called on this thread with what was added to the totals."""
        self.after_end: Callable[[], None] | None = None
        """Called on this thread when a call has ended, and the file says so."""
        self._reset()
        writers.add(self)

    def _reset(self) -> None:
        self._queue: deque[Span] = deque()
        self._open: dict[str, Span] = {}
        """The open spans with streams, and the open sessions."""
        self._lost: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._schedule = Schedule(self._interval)
        self._asking = threading.Lock()
        self._asked = 0
        """How many flushes there were."""
        self._answered = 0
        """How many of them a round has served."""
        self._round = threading.Lock()
        self._file = CurrentFile(self._path, _open, sqlite3.Connection.close)
        self._stopped: str | None = None
        self._retry: Batch | None = None
        self._flushed_at_exit = False

    # On the event loop

    def put(self, span: Span) -> None:
        if len(self._queue) >= QUEUE_LIMIT and span.parent_id is not None:
            self._lost[span.session_id] += 1
            return
        self._queue.append(span)
        if self._thread is None:
            self._start()
        else:
            self._schedule.put()

    def _start(self) -> None:
        if not self._flushed_at_exit:
            self._flushed_at_exit = True
            # Runs at the end of the main process and of LiveKit's job processes. Those leave
            # through multiprocessing, which calls no atexit handlers, and a forked process forgets
            # what its parent registered.
            multiprocessing.util.Finalize(
                None, _flush_at_exit, args=(weakref.ref(self),), exitpriority=100
            )
        self._thread = threading.Thread(target=self._run, name="prefactor-journal", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the process ends: from 3.12.1 on, Python starts no more threads
            self._thread = None

    # Anywhere

    def flush(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._asking:
            self._asked += 1
            asked = self._asked
        while self._stopped is None:
            if self._thread is None and not self._holds_something():
                return True
            if self._thread is None:
                self._start()
            if self._thread is None:
                self._round_here()
            self._schedule.hurry()
            # Between two rounds nothing is under way.
            if not self._round.acquire(timeout=max(0.0, deadline - time.monotonic())):
                break
            written = self._answered >= asked and not self._queue and self._retry is None
            self._round.release()
            if written:
                return self._stopped is None
            if time.monotonic() >= deadline:
                break
            time.sleep(0.005)
        return False

    def _holds_something(self) -> bool:
        return bool(self._queue or self._open) or self._retry is not None

    def _round_here(self) -> None:
        with self._round:
            self._one_round()

    # On the thread

    def _run(self) -> None:
        idle_since, retained = time.monotonic(), float("-inf")
        tidy = False
        self._plan(idle=IDLE_SECONDS)
        while True:
            self._schedule.wait()
            with self._round:
                busy = self._one_round()
            now = time.monotonic()
            if busy or self._has_streams():
                idle_since = now
            elif now - idle_since >= IDLE_SECONDS:
                if not tidy and (not self._open or now - retained >= RETAIN_SECONDS):
                    retained = now
                    self._retain()
                tidy = True
                if not self._open:
                    break
            tidy = tidy and not busy
            self._plan(idle=None if tidy else IDLE_SECONDS)
        with self._round:
            self._close()
            self._thread = None
        # A span that was put just before found a thread that was about to end.
        if self._queue:
            self._start()

    def _plan(self, idle: float | None) -> None:
        """Decide when the next round is."""
        kinds = {stream.kind for span in self._open.values() for stream in span.streams.values()}
        self._schedule.rest(words=bool(kinds - {LEVELS}), levels=LEVELS in kinds, idle=idle)
        if self._asked != self._answered:
            self._schedule.hurry()
        elif self._queue or self._retry is not None:
            self._schedule.soon()

    def _has_streams(self) -> bool:
        return any(span.streams for span in self._open.values())

    def _one_round(self) -> bool:
        asked = self._asked
        try:
            return self._write_all()
        except Exception as error:
            report("journal", error)
            return False
        finally:
            self._answered = asked

    def _retain(self) -> None:
        """Remove old calls, now that nothing happens."""
        days, limit = self._keep
        try:
            if not self._path.exists() or not retention.is_due(self._path, days=days, limit=limit):
                return
            done = retention.prune(
                self._path, days=days, limit=limit, compact=False, stop=lambda: bool(self._queue)
            )
        except Exception as error:  # the thread has more to do
            report("journal.retention", error)
            return
        if done.undelivered:
            logger.warning(
                "%s was twice as large as it may be: %d spans left it undelivered",
                self._path,
                done.undelivered,
            )

    def _write_all(self) -> bool:
        taken: dict[str, Span] = {}
        while self._queue:
            span = self._queue.popleft()
            if span.result is not _WRITTEN:
                taken[span.id] = span
        chunks: list[Chunks] = []
        rows: list[Row] = []
        finished: list[tuple[int, str]] = []
        for span in taken.values():
            done = not span.open
            if done:
                self._open.pop(span.id, None)
                chunks += chunk_rows(span, self._redactor, final=True)
            elif span.streams or span.parent_id is None:
                self._open[span.id] = span
            row = span_row(span, self._redactor)
            if done:
                # The result refers to the span: only the garbage collector would free both.
                span.result = _WRITTEN
            if done and span.parent_id is None:
                finished.append((row.finished_us or row.started_us, span.session_id))
                row = self._with_losses(row)
            rows.append(row)
        # The end of an ended span is still in the queue, or was lost.
        self._open = {id_: span for id_, span in self._open.items() if span.open}
        levels = self._schedule.takes_levels(everything=self._asked != self._answered)
        for span in self._open.values():
            chunks += chunk_rows(span, self._redactor, final=False, levels=levels)
        batch = Batch(rows, chunks, finished)
        if self._retry is not None:
            batch, self._retry = self._retry.followed_by(batch), None
        if not batch.rows and not batch.chunks:
            return False
        self._write(batch)
        return True

    def _write(self, batch: Batch) -> None:
        if self._stopped is not None:
            self._count_lost(batch.rows)
            return
        try:
            with forks.fork_safe():
                added = write(
                    self._connect(),
                    batch,
                    wanted=self._wanted,
                    exported=self._exported,
                    archived=self._archived,
                    counted=self._counted,
                )
        except UnusableJournalError as error:
            self._stop(str(error), batch)
        except (sqlite3.OperationalError, OSError) as error:
            self._failed(error, batch)
        except Exception as error:
            if is_damaged(error):
                self._set_aside(error, batch)
                return
            self._count_lost(batch.rows)
            raise
        else:
            if batch.finished and self._digest_of is not None:
                ended = [session_id for _, session_id in batch.finished]
                keep_digests(self._path, ended, self._digest_of)
            if batch.finished and self.after_end is not None:
                self.after_end()
            if self.after_write is not None and batch.rows:
                self.after_write()
            if self.on_counted is not None and added:
                self.on_counted(added)

    def _connect(self) -> sqlite3.Connection:
        replaced = self._file.was_replaced()
        if (connection := self._file.opened) is not None and not replaced:
            return connection
        if replaced:
            # Nobody would see what is written into a deleted file.
            with contextlib.suppress(sqlite3.Error):
                self._file.close()
            logger.warning(
                "%s was removed or replaced: what it held of running calls is not in the new one",
                self._path,
            )
        if self._file.opened is None:
            place.create_private(self._path)
        connection = self._file.get()
        if connection is None:
            raise sqlite3.OperationalError("it was removed while it was opened")
        return connection

    def _close(self) -> None:
        with forks.fork_safe(), contextlib.suppress(sqlite3.Error):
            self._file.close()

    def _failed(self, error: Exception, batch: Batch) -> None:
        """Keep the batch for the next round if the disk is full or the file is locked; stop if the
        place can never be written."""
        self._close()
        if place.never_writable(error, self._path):
            self._stop(
                f"{self._path} cannot be written ({error}): set PREFACTOR_JOURNAL to a place "
                "that can",
                batch,
            )
            return
        if len(batch.rows) > QUEUE_LIMIT:
            self._count_lost(batch.rows[QUEUE_LIMIT:])
            batch = Batch(batch.rows[:QUEUE_LIMIT], [], batch.finished)
        self._retry = batch
        failures["journal.write"] += 1
        if failures["journal.write"] == 1:
            logger.warning(
                "%s cannot be written now (%s): the trace waits in memory until it can",
                self._path,
                error,
            )

    def _set_aside(self, error: Exception, batch: Batch) -> None:
        """Rename the damaged file, and begin a new one."""
        damaged = self._file.identity
        self._close()
        try:
            aside = place.set_aside(self._path, damaged)
        except OSError as problem:
            self._stop(f"{self._path} is damaged and cannot be renamed ({problem})", batch)
            return
        self._retry = batch
        if aside is not None:
            logger.warning(
                "%s is damaged (%s): set aside as %s, a new journal begins",
                self._path,
                error,
                aside,
            )

    def _stop(self, why: str, batch: Batch) -> None:
        self._stopped = why
        self._close()
        self._count_lost(batch.rows)
        failures["journal"] += 1
        logger.warning("no journal is written: %s; the agent is not affected", why)

    def _count_lost(self, rows: list[Row]) -> None:
        for row in rows:
            self._lost[row.session_id] += 1

    def _with_losses(self, row: Row) -> Row:
        lost = self._lost.pop(row.session_id, 0)
        if not lost or row.result is None:
            return row
        return row._replace(result=f'{{"lost_spans":{lost},{row.result[1:]}')


def _open(path: Path) -> sqlite3.Connection:
    return schema.connect(path, BUSY_SECONDS)


writers: weakref.WeakSet[JournalWriter] = weakref.WeakSet()


def _flush_at_exit(reference: weakref.ref[JournalWriter]) -> None:
    # After Ctrl-C the user has waited enough. Raised from here, it would also keep the program's
    # own finalizers from running.
    with contextlib.suppress(KeyboardInterrupt):
        if (writer := reference()) is not None:
            writer.flush(writer._exit_timeout)


def _forget_parent() -> None:
    # Threads do not survive a fork, and no process may use a SQLite connection of its parent. The
    # parent writes what it had not written yet.
    for writer in list(writers):
        forks.never_close(writer._file.opened)
        writer._reset()


at_fork(after_in_child=_forget_parent)
