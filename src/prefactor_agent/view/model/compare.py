"""Two sets of calls side by side, two versions of an agent or two periods: what is different
between them, and how sure that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...conversation.stages import PERCEIVED, PICKUP
from ...core.json import JSON
from . import stagenames
from .bootstrap import CONFIDENCE, Interval, Sample, Statistic, interval, median, p95, share
from .digest import Digest

Of = Literal["turns", "calls", "tool calls"]
"""What is counted."""
Group = Literal["dead air", "pickup", "turns", "tools"]
GAP, INTERRUPTED = "gap", "interrupted"
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
    """Of a stage, the pickup, or a tool; ``gap`` or ``interrupted``."""
    statistic: str
    """``median_ms``, ``p95_ms``, or of tools that failed and turns that were interrupted
    ``share``, from 0 to 1."""
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


class _Values:
    """What is compared, of the calls of one side: by what it is, the values of each call."""

    def __init__(self, name: str, calls: Iterable[Digest]) -> None:
        self.dead_air: dict[str, list[list[float]]] = defaultdict(list)
        self.pickup: dict[str, list[list[float]]] = defaultdict(list)
        self.tool_ms: dict[str, list[list[float]]] = defaultdict(list)
        self.tool_failed: dict[str, list[list[float]]] = defaultdict(list)
        self.gaps: list[list[float]] = []
        self.interrupted: list[list[float]] = []
        seen = turns = 0
        for call in calls:
            seen += 1
            turns += len(call.turns)
            self._add(call)
        self.side = Side(name, seen, turns)

    def _add(self, call: Digest) -> None:
        silences: dict[str, list[float]] = defaultdict(list)
        for turn in call.turns:
            for name, ms in {PERCEIVED: turn.perceived_ms, **turn.stages}.items():
                silences[name].append(ms)
        _gather(self.dead_air, silences)
        self.gaps.append([turn.gap_ms for turn in call.turns if turn.gap_ms is not None])
        pickup = call.latencies.pickup
        if pickup is not None:
            whole = {PICKUP: pickup.ms, **pickup.stages}
            _gather(self.pickup, {name: [ms] for name, ms in whole.items()})
        took: dict[str, list[float]] = defaultdict(list)
        failed: dict[str, list[float]] = defaultdict(list)
        for tool in call.tools:
            if tool.ms is not None:
                took[tool.name].append(tool.ms)
            if tool.status != "active":
                failed[tool.name].append(float(tool.status == "failed"))
        _gather(self.tool_ms, took)
        _gather(self.tool_failed, failed)
        turns, cut = call.summary.turns, call.summary.interrupted
        self.interrupted.append([1.0] * cut + [0.0] * (turns - cut))


def compare(
    before: tuple[str, Iterable[Digest]], after: tuple[str, Iterable[Digest]]
) -> Comparison:
    """Compare two sets of calls.

    Args:
        before, after: The name of each, and its calls.
    """
    old, new = _Values(*before), _Values(*after)
    return Comparison(old.side, new.side, tuple(_rows(old, new)))


def _rows(old: _Values, new: _Values) -> Iterator[Row]:
    for name in sorted({*old.dead_air, *new.dead_air}, key=stagenames.place):
        yield from _times("dead air", name, "turns", old.dead_air[name], new.dead_air[name])
    yield from _times("dead air", GAP, "turns", old.gaps, new.gaps)
    for name in sorted({*old.pickup, *new.pickup}, key=stagenames.place):
        yield from _times("pickup", name, "calls", old.pickup[name], new.pickup[name])
    yield from _share("turns", INTERRUPTED, "turns", old.interrupted, new.interrupted)
    for name in sorted({*old.tool_failed, *new.tool_failed}):
        yield from _share("tools", name, "tool calls", old.tool_failed[name], new.tool_failed[name])
        yield from _times("tools", name, "tool calls", old.tool_ms[name], new.tool_ms[name])


_Calls = Sequence[Sequence[float]]


def _times(group: Group, name: str, of: Of, old: _Calls, new: _Calls) -> Iterator[Row]:
    before, after = Sample.of(old), Sample.of(new)
    if before.count or after.count:
        for statistic, function in _TIMES.items():
            yield _row(group, name, f"{statistic}_ms", of, before, after, function)


def _share(group: Group, name: str, of: Of, old: _Calls, new: _Calls) -> Iterator[Row]:
    before, after = Sample.of(old), Sample.of(new)
    if before.count or after.count:
        yield _row(group, name, "share", of, before, after, share)


def _row(
    group: Group, name: str, told: str, of: Of, before: Sample, after: Sample, how: Statistic
) -> Row:
    return Row(
        group=group,
        name=name,
        statistic=told,
        of=of,
        before=before.statistic(how),
        after=after.statistic(how),
        counts=(before.count, after.count),
        calls=(before.calls, after.calls),
        sure=interval(before, after, how),
    )


def _gather(into: dict[str, list[list[float]]], call: Mapping[str, list[float]]) -> None:
    for name, values in call.items():
        into[name].append(values)


def _rounded(value: float | None) -> float | None:
    return round(value, 4) if value is not None else None
