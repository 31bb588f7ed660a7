"""Where things stand in the pictures of the overview. Along a picture places are per cent of its
width, so that it fits every window while its text stays as large as it is; down it they are
pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ..many.compare import Row
from ..many.overview import Version
from ..many.overview_time import Bucket
from ..many.stats import Line
from ..model import numbers, stagenames

TOP, BOTTOM = 32, 182
"""Of the lines' part of a picture; above it there is room for two lines of text."""
COUNTS, FLOOR = 196, 218
"""Of the part below, with the counts."""
HEIGHT = 244
"""Of a picture with the labels along its time."""
_APART = 15
"""Pixels between two lines of text."""
_LABELS = 6
"""Labels along the time at most."""
_NEAR, _NEAR_NARROW = 14.0, 34.0
"""Per cent of the width that the name of a version needs; on a narrow screen."""
_NAME = 14
"""Characters of one."""


class Mark(NamedTuple):
    """A label at its place."""

    at: str
    text: str


class Release(NamedTuple):
    """Where the first call of a version is."""

    at: str
    name: str
    shown: str
    """The same, as far as there is room; empty: there is none."""
    narrow: bool
    """Whether there is room for it on a narrow screen, too."""


class Point(NamedTuple):
    """What was measured in one part of the time. Places as texts, as the drawing has them."""

    x: str
    left: str
    width: str
    """Of its part of the picture."""
    median: str
    p95: str
    """Down."""
    count_y: str
    count_height: str
    says: tuple[str, str]
    """When and of how many, and the figures, in words."""
    side: str
    """Where there is room for words: ``start``, ``middle`` or ``end``, as SVG's text-anchor."""
    bucket: Bucket
    line: Line


@dataclass(frozen=True, slots=True)
class Chart:
    """Median and p95 over time, and of how many."""

    counted: str
    points: tuple[Point, ...]
    ticks: tuple[Mark, ...]
    """Along the side."""
    times: tuple[Mark, ...]
    """Along the time."""
    runs: Mapping[str, tuple[str, ...]]
    """The lines of ``median`` and ``p95``, and the ``band`` between them, as paths over a width of
    1000. Each is interrupted where nothing was measured."""
    names: tuple[Mark, ...]
    """What each line is called, beside its end."""
    largest: int
    """Count."""


def chart(
    buckets: Sequence[Bucket], line_of: Callable[[Bucket], Line | None], counted: str
) -> Chart | None:
    """The picture of one figure over time; ``None``: it was never measured.

    Args:
        counted: What a count is of, in the singular.
    """
    measured = [(index, line) for index, one in enumerate(buckets) if (line := line_of(one))]
    if not measured:
        return None
    highest = max(1.0, *(line.p95_ms for _, line in measured))
    step = _step(highest)
    top = step * math.ceil(highest / step)
    most = max(line.count for _, line in measured)

    def y(ms: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * ms / top

    size = 100 / len(buckets)
    points = []
    for index, line in measured:
        height = max(1.0, (FLOOR - COUNTS) * line.count / most)
        at = (index + 0.5) * size
        points.append(
            Point(
                x=_percent(at),
                left=_percent(index * size),
                width=_percent(size),
                median=f"{y(line.median_ms):.1f}",
                p95=f"{y(line.p95_ms):.1f}",
                count_y=f"{FLOOR - height:.1f}",
                count_height=f"{height:.1f}",
                says=_says(buckets[index], line, counted),
                side="start" if at < 30 else "end" if at > 70 else "middle",
                bucket=buckets[index],
                line=line,
            )
        )
    last = measured[-1][1]
    return Chart(
        counted=counted,
        points=tuple(points),
        ticks=tuple(
            Mark(f"{y(index * step):.1f}", _axis(index * step))
            for index in range(round(top / step) + 1)
        ),
        times=tuple(_times(buckets)),
        runs=_runs(measured, len(buckets), y),
        names=tuple(_beside(y(last.p95_ms), y(last.median_ms))),
        largest=most,
    )


def releases(buckets: Sequence[Bucket], versions: Sequence[Version]) -> list[Release]:
    """Where versions had their first call that came after another of the same agent. (Of the one
    that was there before nobody knows when it came.)"""
    begins, ends = buckets[0].begins_us, buckets[-1].ends_us
    several = len({one.agent for one in versions}) > 1
    seen: set[str] = set()
    found: list[Release] = []
    last = last_narrow = -100.0
    for one in sorted(versions, key=lambda one: one.first_us):
        if one.agent in seen and one.version is not None:
            at = (one.first_us - begins) * 100 / (ends - begins)
            name = f"{one.agent} {one.version}" if several else one.version
            short = name if len(name) <= _NAME else name[: _NAME - 1] + "…"
            room, narrow = at - last >= _NEAR, at - last_narrow >= _NEAR_NARROW
            found.append(Release(_percent(at), name, short if room else "", narrow))
            last, last_narrow = at if room else last, at if narrow else last_narrow
        seen.add(one.agent)
    return found


def _step(top: float) -> float:
    """A round number that goes two to five times into what an axis has to hold."""
    size = 10.0 ** math.floor(math.log10(top / 5))
    return next(size * round_ for round_ in (1, 2, 5, 10) if top / (size * round_) <= 5)


def _percent(value: float) -> str:
    return f"{value:.3f}%"


def _axis(ms: float) -> str:
    """Seconds, where they say it shorter."""
    return f"{ms:,.0f} ms" if ms < 1000 else f"{ms / 1000:g} s"


def _says(bucket: Bucket, line: Line, counted: str) -> tuple[str, str]:
    median, p95 = map(numbers.milliseconds, (line.median_ms, line.p95_ms))
    return f"{when(bucket)}, {numbers.count(line.count, counted)}", f"median {median}, p95 {p95}"


def when(bucket: Bucket) -> str:
    """A part of the time in words, in the reader's own time zone."""
    hours = (bucket.ends_us - bucket.begins_us) / 3_600e6
    if hours < 20:
        begins, ends = numbers.date(bucket.begins_us, "%a %d %b %H:%M"), bucket.ends_us
        return f"{begins} to {numbers.date(ends, '%H:%M')}"
    day = numbers.date(bucket.begins_us, "%a %d %b %Y")
    if hours < 30:
        return day
    last = numbers.date(bucket.ends_us - 3_600_000_000, "%a %d %b %Y")
    return f"{day} to {last}"


def _times(buckets: Sequence[Bucket]) -> Iterator[Mark]:
    """Labels at the beginnings of some of the buckets: a date, or the time of day."""
    every = math.ceil(len(buckets) / _LABELS)
    hours = (buckets[0].ends_us - buckets[0].begins_us) / 3_600e6
    before: object = None
    for index in range(0, len(buckets), every):
        begins_us = buckets[index].begins_us
        day = datetime.fromtimestamp(begins_us / 1e6).date()
        form = "%H:%M" if hours < 20 and day == before else "%d %b"
        before = day
        yield Mark(_percent(index * 100 / len(buckets)), numbers.date(begins_us, form))


def _runs(
    measured: Sequence[tuple[int, Line]], count: int, y: Callable[[float], float]
) -> dict[str, tuple[str, ...]]:
    runs: list[list[tuple[int, Line]]] = []
    for index, line in measured:
        if not runs or runs[-1][-1][0] != index - 1:
            runs.append([])
        runs[-1].append((index, line))

    def along(run: Sequence[tuple[int, Line]], ms: Callable[[Line], float]) -> list[str]:
        return [f"{(index + 0.5) * 1000 / count:.2f} {y(ms(line)):.1f}" for index, line in run]

    median = [along(run, lambda line: line.median_ms) for run in runs]
    p95 = [along(run, lambda line: line.p95_ms) for run in runs]
    return {
        "median": tuple("M" + " L".join(run) for run in median),
        "p95": tuple("M" + " L".join(run) for run in p95),
        "band": tuple(
            "M" + " L".join([*high, *reversed(low)]) + "Z"
            for high, low in zip(p95, median, strict=True)
        ),
    }


def _beside(p95: float, median: float) -> Iterator[Mark]:
    """The names of the lines beside their ends, with room between them."""
    missing = max(0.0, _APART - (median - p95)) / 2
    yield Mark(f"{p95 - missing + 4:.1f}", "p95")
    yield Mark(f"{median + missing + 4:.1f}", "median")


class Segment(NamedTuple):
    """One stage in the bar of a version."""

    name: str
    x: str
    width: str
    says: str


def bar(parts: Mapping[str, float], top: float) -> list[Segment]:
    """Stages one after the other.

    Args:
        parts: How long each took, in milliseconds.
        top: How much the whole width is.
    """
    whole, at, found = sum(parts.values()), 0.0, []
    for name, ms in parts.items():
        x, width = _percent(at * 100 / top), _percent(ms * 100 / top)
        at += ms
        if ms > 0:
            took = f"{numbers.milliseconds(ms)}, {ms / whole:.0%}"
            found.append(Segment(name, x, width, f"{stagenames.label(name)}: {took}"))
    return found


class Span(NamedTuple):
    """A difference and its interval, from side to side of a picture whose middle is no
    difference."""

    x: str
    width: str
    at: str
    tone: str
    """``good``, ``bad``, or empty: it may be chance."""


def forest(rows: Sequence[Row]) -> list[Span | None]:
    """A picture of each row; ``None``: it has no difference. All times have one scale, so that it
    is seen which stage made the difference, and all shares another. An interval that reaches
    further than twice its difference does not stretch it."""
    scales: dict[bool, float] = {}
    for row in rows:
        if row.difference is not None:
            reach = abs(row.difference)
            if row.sure is not None:
                reach = max(reach, min(2 * reach, max(map(abs, row.sure))))
            scales[row.statistic == "share"] = max(scales.get(row.statistic == "share", 0.0), reach)
    return [_span(row, scales.get(row.statistic == "share", 0.0) or 1.0) for row in rows]


def _span(row: Row, scale: float) -> Span | None:
    if row.difference is None:
        return None

    def at(value: float) -> float:
        return 50 + 48 * max(-1.0, min(1.0, value / scale))

    low, high = row.sure or (row.difference, row.difference)
    tone = ""
    if row.sure is not None and row.sure.certain:
        tone = "good" if row.sure.high < 0 else "bad"
    width = max(0.5, at(high) - at(low))
    return Span(_percent(at(low)), _percent(width), _percent(at(row.difference)), tone)
