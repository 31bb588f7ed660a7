"""Two sets of calls side by side, two versions of an agent or two periods: what is different
between them, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ...core.json import JSON
from ..model import stagenames
from ..model.digest import Digest
from .bootstrap import CONFIDENCE, Interval, Sample, Statistic, interval, median, p95, share
from .gathered import Several, by_name, gather, sample

Of = Literal["turns", "calls", "tool calls"]
"""What is counted."""
Group = Literal["dead air", "pickup", "turns", "tools"]
GAP, INTERRUPTED, UNANSWERED = "gap", "interrupted", "unanswered"
_TIMES: Mapping[str, Statistic] = {"median": median, "p95": p95}


@dataclass(frozen=True, slots=True)
class Side:
    """The calls of one side."""

    name: str
    calls: int
    turns: int
    """Answered turns, those with a dead air."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both sides. ``None``: it was not measured there."""

    group: Group
    name: str
    """Of a stage, the pickup, or a tool; ``gap``, ``interrupted`` or ``unanswered``."""
    statistic: str
    """``median_ms``, ``p95_ms``, or of tools that failed and turns that were interrupted
    or unanswered ``share``, from 0 to 1."""
    of: Of
    before: float | None
    after: float | None
    counts: tuple[int, int]
    calls: tuple[int, int]
    """How many calls have it."""
    sure: Interval | None
    """Of the difference; ``None``: of too few calls."""

    @property
    def difference(self) -> float | None:
        if self.before is None or self.after is None:
            return None
        return self.after - self.before

    def as_json(self) -> JSON:
        return {
            "group": self.group,
            "name": self.name,
            "statistic": self.statistic,
            "before": _rounded(self.before),
            "after": _rounded(self.after),
            "difference": _rounded(self.difference),
            "interval": [_rounded(self.sure.low), _rounded(self.sure.high)] if self.sure else None,
            "of": self.of,
            "counts": list(self.counts),
            "calls": list(self.calls),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    before: Side
    after: Side
    rows: tuple[Row, ...]

    def as_json(self) -> JSON:
        """What ``stats --compare A B --json`` writes; see docs/stats.md."""
        sides = ((side.name, side.calls, side.turns) for side in (self.before, self.after))
        before, after = (
            {"name": name, "calls": calls, "turns": turns} for name, calls, turns in sides
        )
        return {
            "before": before,
            "after": after,
            "confidence": CONFIDENCE / 100,
            "rows": [row.as_json() for row in self.rows],
        }


def compare(
    before: tuple[str, Iterable[Digest]], after: tuple[str, Iterable[Digest]]
) -> Comparison:
    """Compare two sets of calls.

    Args:
        before, after: The name of each, and its calls.
    """
    old, new = ((name, [gather(calls)]) for name, calls in (before, after))
    return compare_gathered(old, new)


def compare_gathered(
    before: tuple[str, Several],
    after: tuple[str, Several],
    *,
    sure: bool = True,
    wanted: Callable[[], bool] = lambda: True,
) -> Comparison:
    """Compare two sets of calls that were gathered.

    Args:
        before, after: The name of each, and its calls.
        sure: Whether to draw the intervals, which takes seconds of many calls.
        wanted: Whether somebody still waits for the answer; asked between two intervals.

    Raises:
        NotWantedError: Nobody does.
    """
    rows = []
    for figure in _figures(before[1], after[1]):
        if not wanted():
            raise NotWantedError
        rows.append(figure.row(sure=sure))
    return Comparison(_side(*before), _side(*after), tuple(rows))


class NotWantedError(Exception):
    """Whoever asked for a comparison has gone."""


def _side(name: str, calls: Several) -> Side:
    return Side(name, sum(len(one.calls) for one in calls), sum(one.turns for one in calls))


class _Figure(NamedTuple):
    """One figure, and the values of both sides that it is worked out of."""

    group: Group
    name: str
    statistic: str
    of: Of
    before: Sample
    after: Sample
    how: Statistic

    def row(self, *, sure: bool) -> Row:
        before, after = self.before, self.after
        return Row(
            group=self.group,
            name=self.name,
            statistic=self.statistic,
            of=self.of,
            before=before.statistic(self.how),
            after=after.statistic(self.how),
            counts=(before.count, after.count),
            calls=(before.calls, after.calls),
            sure=interval(before, after, self.how) if sure else None,
        )


def _figures(old: Several, new: Several) -> Iterator[_Figure]:
    def named(part: str, place: Callable[[str], Any]) -> Iterator[tuple[str, Sample, Sample]]:
        sides = [dict(by_name(getattr(one, part) for one in side)) for side in (old, new)]
        for name in sorted({*sides[0], *sides[1]}, key=place):
            before, after = (sample(side.get(name, ())) for side in sides)
            yield name, before, after

    def whole(part: str) -> tuple[Sample, Sample]:
        before, after = (sample([getattr(one, part) for one in side]) for side in (old, new))
        return before, after

    for name, before, after in named("dead_air", stagenames.place):
        yield from _times("dead air", name, "turns", before, after)
    yield from _times("dead air", GAP, "turns", *whole("gaps"))
    for name, before, after in named("pickup", stagenames.place):
        yield from _times("pickup", name, "calls", before, after)
    yield from _share("turns", INTERRUPTED, "turns", *whole("interrupted"))
    yield from _share("turns", UNANSWERED, "turns", *whole("unanswered"))
    took = {name: (before, after) for name, before, after in named("tool_ms", str)}
    for name, before, after in named("tool_failed", str):
        yield from _share("tools", name, "tool calls", before, after)
        if name in took:
            yield from _times("tools", name, "tool calls", *took[name])


def _times(group: Group, name: str, of: Of, before: Sample, after: Sample) -> Iterator[_Figure]:
    if before.count or after.count:
        for statistic, function in _TIMES.items():
            yield _Figure(group, name, f"{statistic}_ms", of, before, after, function)


def _share(group: Group, name: str, of: Of, before: Sample, after: Sample) -> Iterator[_Figure]:
    if before.count or after.count:
        yield _Figure(group, name, "share", of, before, after, share)


def _rounded(value: float | None) -> float | None:
    return round(value, 4) if value is not None else None
