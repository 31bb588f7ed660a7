"""Takes spans from the event loop to the journal, and from there to Prefactor."""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from .config import Settings
from .core.guard import guarded
from .core.span import Span
from .journal.writer import JournalWriter
from .metrics.prometheus import multiprocess
from .stored.source import Source

if TYPE_CHECKING:
    from .deliver.deliverer import Deliverer
    from .deliver.prefactor.call_delivery import OnTerminate


class Pipeline:
    """Keeps the spans of this process in the journal and, with a token, delivers them.

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
        self._deliverer: Deliverer | None = None
        self._starting: threading.Thread | None = None
        self._process = 0
        self._gave_up = False
        """The last flush did not finish in time."""
        self._keepers: list[Pipeline] = []
        """The pipelines that keep calls which this one delivers."""
        self._metrics: multiprocess.JobMetrics | None = None

    def begin(self) -> None:
        """Start what a call of this process needs, also after a fork."""
        self._gave_up = False
        self._count()
        if not self.settings.delivers or self._process == os.getpid():
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
            self._metrics = multiprocess.JobMetrics(
                self.settings.journal, delivers=self.settings.delivers
            )
            self._writer.on_counted = self._metrics.observe

    def put(self, span: Span) -> None:
        if self._apart and self.settings.delivers and span.parent_id is None and span.open:
            _apart[span.session_id] = self
        self._writer.put(span)

    def take_over(self, session_id: str, keeper: Pipeline) -> None:
        """Deliver a call that ``keeper`` keeps in the same journal without delivering it. Waits, so
        never call it on the event loop."""
        from .journal.outbox import Outbox

        _apart[session_id] = self
        keeper.flush(self.settings.flush_timeout)
        outbox = Outbox(self.settings.journal)
        try:
            outbox.update_call(session_id, wanted=1)
        finally:
            outbox.close()
        self.begin()
        keeper._writer.after_write = self._wake
        self._keepers = [*{*self._keepers, keeper}]
        self._wake()

    def _wake(self) -> None:
        if self._deliverer is not None:
            self._deliverer.wake()

    def stop(self) -> None:
        """Stop delivery in this process; the journal keeps what is left."""
        if self._deliverer is not None:
            self._deliverer.stop()

    def _is_mine(self, session_id: str) -> bool:
        return _apart.get(session_id, None if self._apart else self) is self

    def flush(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        kept = self._writer.flush(timeout)
        for keeper in self._keepers:
            kept = keeper._writer.flush(max(0.0, deadline - time.monotonic())) and kept
        if self._process != os.getpid() or self._starting is None:
            return kept  # without a token, or without a call
        self._starting.join(max(0.0, deadline - time.monotonic()))  # a call can be very short
        if self._deliverer is None:
            return False
        delivered = self._deliverer.flush(max(0.0, deadline - time.monotonic()))
        self._gave_up = not delivered
        if self._metrics is not None:
            self._metrics.read_backlog()
        return delivered and kept

    @guarded("deliver.start")
    def _start_delivery(self) -> None:
        from .deliver.deliverer import Deliverer

        if self._deliverer is None:
            self._deliverer = Deliverer(
                self.settings,
                self._on_terminate,
                is_mine=self._is_mine,
                on_delivered=_forget,
            )
            self._writer.after_write = self._deliverer.wake
        self._deliverer.start()
        self._deliverer.wake()


def _digest(source: Source, session_id: str) -> str:
    # Imported when a call has ended, on the journal's thread: an agent starts without it.
    from .view.model.digest import digest_text

    return digest_text(source, session_id)


_apart: dict[str, Pipeline] = {}
"""By session id, the pipeline of each call that is not sent where the process's settings say, until
the call is delivered."""


def _forget(session_id: str) -> None:
    _apart.pop(session_id, None)


def _deliver_at_exit(reference: weakref.ref[Pipeline]) -> None:
    pipeline = reference()
    if pipeline is None:
        return
    # If the end of the job has waited already: LiveKit kills a process that takes 10 s to end.
    timeout = 0.0 if pipeline._gave_up else pipeline.settings.flush_timeout
    with contextlib.suppress(KeyboardInterrupt):  # as in the journal's finalizer
        if pipeline._starting is not None and pipeline._process == os.getpid():
            pipeline._starting.join(timeout)
        if pipeline._deliverer is not None:
            pipeline._deliverer.flush(timeout)
            pipeline._deliverer.stop()
