"""Adds the totals of the journal to what LiveKit's worker serves as ``/metrics``.

The worker renders ``prometheus_client``'s default registry on a thread of its loop's executor
(livekit/agents/telemetry/http_server.py, the same in 1.5.0 and 1.8.9), so the collector may read
the journal. All job processes of the host write to that, so the totals are right in the worker,
which has seen none of the calls. Where somebody renders the registry on an event loop, the
collector gives what it read last, and reads on a thread of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ...config import ConfigurationError, settings
from ...core.guard import guarded, on_event_loop
from ...journal.errors import StorageError, UnusableJournalError
from ...journal.lost_calls import count_lost_calls
from ...journal.totals import Totals, read
from .families import NOTHING, families
from .reporter import Reporter

_WAIT_S = 0.5
"""How long a scrape waits for a process that writes; then it gets what was read last."""


class JournalCollector(Collector):
    """The totals of the journal that the settings name. Nothing: metrics are turned off, there is
    no journal yet, or another worker reports it."""

    def __init__(self) -> None:
        self._reporter = Reporter()
        self._reading = threading.Lock()
        self._last: tuple[Path, Totals] | None = None

    def describe(self) -> Iterator[Metric]:
        """The names, without reading anything: asked for once, when it is registered."""
        return families(NOTHING)

    def collect(self) -> Iterator[Metric]:
        if on_event_loop():
            threading.Thread(target=self._refresh, name="prefactor-metrics", daemon=True).start()
        else:
            self._refresh()
        last = self._last
        return iter(()) if last is None else families(last[1])

    @guarded("metrics.collect")
    def _refresh(self) -> None:
        with self._reading:
            self._last = self._read()

    def _read(self) -> tuple[Path, Totals] | None:
        try:
            chosen = settings()
        except ConfigurationError:  # said where the first call begins
            return None
        path = chosen.journal
        if not chosen.metrics or chosen.disabled or not path.exists():
            return None
        if not self._reporter.is_chosen(path):
            return None
        with contextlib.suppress(StorageError, UnusableJournalError):  # they are there next time
            count_lost_calls(path, _WAIT_S)
        try:
            return path, read(path, _WAIT_S)
        except (StorageError, UnusableJournalError):
            # A counter must not fall: rather what was true a moment ago.
            return self._last if self._last is not None and self._last[0] == path else None


@guarded("metrics.register")
def register() -> None:
    """Add the totals to the default registry, once in a process. Reads nothing."""
    global _registered
    if not _registered:
        _registered = True
        REGISTRY.register(JournalCollector())


_registered = False
