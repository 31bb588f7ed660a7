"""Makes Prometheus's metric families of a journal's totals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from ...journal.totals import Totals, Waiting
from .. import series
from ..series import CLOSED_LABELS, SERIES, Kind, Series

NOTHING = Totals({}, {}, {})


def families(totals: Totals) -> Iterator[Metric]:
    """All series, those too that have no value yet."""
    for one in SERIES.values():
        match one.kind:
            case Kind.COUNTER:
                yield _counter(one, totals)
            case Kind.HISTOGRAM:
                yield _histogram(one, totals)
            case Kind.GAUGE:
                yield _gauge(one, totals)


def _counter(one: Series, totals: Totals) -> Metric:
    family = CounterMetricFamily(one.name, one.about, labels=one.labels)
    found = {labels: amount for (name, labels), amount in totals.counts.items() if name == one.name}
    for labels in [*found]:
        for other in _siblings(one, labels):
            found.setdefault(other, 0.0)
    for labels, amount in sorted(found.items()):
        family.add_metric(labels, amount)
    return family


def _siblings(one: Series, labels: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The same with the other values of a label of ours: a counter that begins at 1 hides its first
    increase from Prometheus."""
    for place, label in enumerate(one.labels):
        for value in CLOSED_LABELS.get(label, ()):
            yield (*labels[:place], value, *labels[place + 1 :])


def _histogram(one: Series, totals: Totals) -> Metric:
    family = HistogramMetricFamily(one.name, one.about, labels=one.labels)
    found = {key[1]: of for key, of in sorted(totals.lengths.items()) if key[0] == one.name}
    if not one.labels:
        found.setdefault((), ({}, 0.0))  # a series without labels is there from the beginning
    for labels, (counts, total) in found.items():
        family.add_metric(labels, _cumulated(one.bounds, counts), total)
    return family


def _cumulated(bounds: tuple[float, ...], counts: Mapping[float, int]) -> list[tuple[str, float]]:
    """The buckets as Prometheus wants them: each with all that is below its bound. Bounds of
    another version, which may be in the journal, count where the next larger one is."""
    return [
        (
            "+Inf" if bound == math.inf else repr(bound),
            sum(n for below, n in counts.items() if below <= bound),
        )
        for bound in (*bounds, math.inf)
    ]


def _written(bound: float) -> str:
    return "+Inf" if bound == math.inf else repr(bound)


def _gauge(one: Series, totals: Totals) -> Metric:
    family = GaugeMetricFamily(one.name, one.about, labels=one.labels)
    for target, waiting in totals.waiting.items():
        if (value := backlog_values(waiting)[one.name]) is not None:
            family.add_metric((target,), value)
    return family


def backlog_values(waiting: Waiting) -> dict[str, float | None]:
    """What the gauges say of what waits for one target; ``None``: there is nothing to say."""
    oldest = waiting.oldest_us
    return {
        series.BACKLOG: waiting.spans,
        series.OLDEST: None if oldest is None else oldest / 1e6,
        series.PARKED: waiting.parked,
    }
