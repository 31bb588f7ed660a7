"""The series in prometheus_client's multi-process mode, in which LiveKit's worker serves the sum of
what its job processes have in files (``PROMETHEUS_MULTIPROC_DIR``), and no registry.

Here a job process counts for itself what the journal has just kept of its own spans. The values are
in a file that outlives the process, also a killed one."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from ...core.guard import guarded
from ...journal.totals import read
from ..series import SERIES, Kind, Observation
from .families import backlog_values

_EVERY_S = 5.0
"""How often the backlog is read at most."""


def is_on() -> bool:
    """Whether the job processes count for themselves: the worker has set the variable for them if
    its option ``prometheus_multiproc_dir`` was given (livekit/agents/worker.py, ``run``)."""
    return bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))


class JobMetrics:
    """What this process has observed. Used on the journal's thread.

    Args:
        journal: Where the backlog is read.
        delivers: The calls of this process are to be delivered somewhere.
    """

    def __init__(self, journal: Path, *, delivers: bool) -> None:
        self._journal = journal
        self._delivers = delivers
        self._read_at = -math.inf
        # In no registry: the default one has the journal's totals under the same names.
        self._made: dict[str, Counter | Gauge | Histogram] = {}

    @guarded("metrics.observe")
    def observe(self, found: Iterable[Observation]) -> None:
        """Count observations, and have a look at the backlog."""
        for one in found:
            metric = self._metric(one.series)
            labelled = metric.labels(*one.labels) if one.labels else metric
            if isinstance(labelled, Histogram):
                labelled.observe(one.value)
            elif isinstance(labelled, Counter):
                labelled.inc(one.value)
        if self._delivers and time.monotonic() - self._read_at >= _EVERY_S:
            self.read_backlog()

    @guarded("metrics.backlog")
    def read_backlog(self) -> None:
        """Have the gauges say what waits now."""
        self._read_at = time.monotonic()
        for target, waiting in read(self._journal, timeout=0.5).waiting.items():
            for name, value in backlog_values(waiting).items():
                metric = self._metric(name)
                if isinstance(metric, Gauge):
                    metric.labels(target).set(math.nan if value is None else value)

    def _metric(self, name: str) -> Counter | Gauge | Histogram:
        if name not in self._made:
            self._made[name] = _make(name)
        return self._made[name]


def _make(name: str) -> Counter | Gauge | Histogram:
    one = SERIES[name]
    if one.kind is Kind.COUNTER:
        return Counter(name, one.about, one.labels, registry=None)
    if one.kind is Kind.HISTOGRAM:
        return Histogram(name, one.about, one.labels, registry=None, buckets=one.bounds)
    # All processes see the same backlog: the latest look is the true one.
    return Gauge(name, one.about, one.labels, registry=None, multiprocess_mode="mostrecent")
