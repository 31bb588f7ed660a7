"""Takes spans from the event loop to the journal, and from there to the targets."""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import threading
import time
import weakref
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from .config import Settings
from .core.guard import guarded, logger
from .core.span import Span
from .journal.writer import JournalWriter
from .metrics.prometheus import multiprocess
from .stored.source import Source

if TYPE_CHECKING:
    from .archive.archiver import Archiver
    from .deliver.common.deliverer import Deliverer
    from .deliver.prefactor.call_delivery import OnTerminate


class Pipeline:
    """Keeps the spans of this process in the journal, and delivers them where the settings say.

    A :class:`.core.span.Sink`. A span costs one ``deque.append`` on the event loop.

    Args:
        apart: The pipeline is for single calls that a program sends somewhere else than the
            settings say; the other pipelines of the process do not deliver these.
    """

    def __init__(
        self, settings: Settings, on_terminate: OnTerminate, *, apart: bool = False
    ) -> None:
        self.settings = settings
        self._apart = apart
        self._on_terminate = on_terminate
        self._writer = JournalWriter(settings, _digest)
        self._deliverers: list[Deliverer] = []
        """One for each target."""
        self._keys: set[str] = set()
        """Of the targets."""
        self._starting: threading.Thread | None = None
        self._process = 0
        self._gave_up = False
        """The last flush did not finish in time."""
        self._keepers: list[Pipeline] = []
        """The pipelines that keep calls which this one delivers."""
        self._wakes = [self]
        """The pipelines that deliver calls which this one keeps."""
        self._undelivered: dict[str, set[str]] = {}
        """By session id, the targets that do not have all of a call; of calls that are apart."""
        self._metrics: multiprocess.JobMetrics | None = None
        self._archiver: Archiver | None = None

    def records_beside(self) -> Path | None:
        """The journal beside which the sound of calls is recorded; ``None``: it is not."""
        chosen = self.settings
        if not chosen.keep_audio or chosen.disabled:
            return None
        if not chosen.capture_content:
            _say_once(
                "calls are not recorded: with capture_content off, what is said is not kept, and"
                " keep_audio would keep it"
            )
            return None
        if chosen.redact_keys or chosen.redact_patterns or chosen.redact:
            _say_once(
                "calls are recorded: what redaction takes out of their text is still heard in the"
                " recordings (off_the_record silences a part of a call)"
            )
        return chosen.journal

    def begin(self) -> None:
        """Start what a call of this process needs, also after a fork."""
        self._gave_up = False
        self._count()
        self._archive()
        if not self._sends or self._process == os.getpid():
            return
        self._process = os.getpid()
        # On a thread, because the client libraries take a while to import.
        self._starting = threading.Thread(
            target=self._start_delivery, name="prefactor-deliver-start", daemon=True
        )
        self._starting.start()
        # Runs after the journal's finalizer, which has the higher priority, so that the last spans
        # are delivered, too.
        multiprocessing.util.Finalize(
            None, _deliver_at_exit, args=(weakref.ref(self),), exitpriority=90
        )

    def _count(self) -> None:
        """In prometheus_client's multi-process mode each job process counts for itself."""
        if self._metrics is None and self.settings.metrics and multiprocess.is_on():
            self._metrics = multiprocess.JobMetrics(self.settings.journal, delivers=self._sends)
            self._writer.on_counted = self._metrics.observe

    def _archive(self) -> None:
        if self.settings.archive is None or self.settings.disabled or self._apart:
            return
        if self._archiver is None:
            from .archive.archiver import Archiver

            self._archiver = Archiver(self.settings, _digest)
            self._writer.after_end = self._archiver.wake
        self._archiver.start()

    def put(self, span: Span) -> None:
        if self._apart and self._sends and span.parent_id is None and span.open:
            _apart[span.session_id] = self
        self._writer.put(span)

    def take_over(self, session_id: str, keeper: Pipeline) -> None:
        """Deliver a call that ``keeper`` keeps in the same journal without delivering it. Waits, so
        never call it on the event loop."""
        from .journal.outbox import Outbox

        _apart[session_id] = self
        keeper._writer.flush(self.settings.flush_timeout)
        outbox = Outbox(self.settings.journal)
        try:
            outbox.update_call(session_id, wanted=1)
        finally:
            outbox.close()
        self.begin()
        keeper._wakes = [*{*keeper._wakes, self}]
        keeper._writer.after_write = keeper._wake
        self._keepers = [*{*self._keepers, keeper}]
        self._wake()

    def _wake(self) -> None:
        for pipeline in self._wakes:
            for deliverer in pipeline._deliverers:
                deliverer.wake()

    def stop(self, timeout: float = 2.0) -> None:
        """Stop delivery in this process; the journal keeps what is left."""
        for deliverer in self._deliverers:
            deliverer.stop(timeout)

    @property
    def _sends(self) -> bool:
        return self.settings.delivers or self.settings.exports

    def _is_mine(self, session_id: str) -> bool:
        return _apart.get(session_id, None if self._apart else self) is self

    def flush(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        kept = self._writer.flush(timeout)
        for keeper in self._keepers:
            kept = keeper._writer.flush(max(0.0, deadline - time.monotonic())) and kept
        if self._process == os.getpid() and self._starting is not None:
            self._starting.join(max(0.0, deadline - time.monotonic()))  # a call can be very short
            if not self._deliverers:
                return False
            delivered = self._deliver(max(0.0, deadline - time.monotonic()))
            self._gave_up = not delivered
            kept = delivered and kept
            if self._metrics is not None:
                self._metrics.read_backlog()
        if self._archiver is not None and self._archiver.started:
            kept = self._archiver.flush(max(0.0, deadline - time.monotonic())) and kept
        return kept

    def _deliver(self, timeout: float) -> bool:
        from .deliver.common.deliverer import flush

        return flush(self._deliverers, timeout)

    @guarded("deliver.start")
    def _start_delivery(self) -> None:
        from .deliver.common.deliverer import Deliverer
        from .deliver.targets import targets

        if not self._deliverers:
            for target in targets(self.settings, self._on_terminate):
                delivered = partial(self._delivered, target.key)
                self._deliverers.append(
                    Deliverer(target, is_mine=self._is_mine, on_delivered=delivered)
                )
                self._keys.add(target.key)
            self._writer.after_write = self._wake
        for deliverer in self._deliverers:
            deliverer.start()
            deliverer.wake()

    def _delivered(self, key: str, session_id: str) -> None:
        """A target has all of a call. Called on its thread."""
        if _apart.get(session_id) is not self:
            return
        left = self._undelivered.setdefault(session_id, set(self._keys))
        left.discard(key)
        if not left:
            _apart.pop(session_id, None)
            self._undelivered.pop(session_id, None)


@lru_cache
def _say_once(line: str) -> None:
    logger.warning(line)


def _digest(source: Source, session_id: str) -> str:
    # Imported when a call has ended, on the journal's thread: an agent starts without it.
    from .view.model.digest import digest_text

    return digest_text(source, session_id)


_apart: dict[str, Pipeline] = {}
"""By session id, the pipeline of each call that is not sent where the process's settings say, until
the call is delivered."""


def _deliver_at_exit(reference: weakref.ref[Pipeline]) -> None:
    pipeline = reference()
    if pipeline is None:
        return
    # If the end of the job has waited already: LiveKit kills a process that takes 10 s to end.
    timeout = 0.0 if pipeline._gave_up else pipeline.settings.flush_timeout
    with contextlib.suppress(KeyboardInterrupt):  # as in the journal's finalizer
        if pipeline._starting is not None and pipeline._process == os.getpid():
            pipeline._starting.join(timeout)
        if pipeline._deliverers:
            pipeline._deliver(timeout)
            pipeline.stop()
