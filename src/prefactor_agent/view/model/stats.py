"""Latency over many calls: count, median, p95 and worst of each stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ...conversation import median, percentile
from ...conversation.stages import PERCEIVED, PICKUP
from ...core.json import JSON
from . import stagenames
from .latencies import CallLatencies


@dataclass(frozen=True, slots=True)
class Line:
    """What is said of one stage."""

    name: str
    count: int
    median_ms: float
    p95_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class Stats:
    """Latency over calls. ``lines[0]`` is the perceived silence, the stages follow in the order in
    which they happen."""

    calls: int
    turns: int
    over_budget: int = 0
    lines: tuple[Line, ...] = field(default=())
    gaps: Line | None = None
    """The longest silence inside each answer that had one."""
    pickup: tuple[Line, ...] = field(default=())
    """The pickups of the calls in which the agent was heard first, as a whole and stage by stage;
    counts are of calls."""

    def line(self, name: str) -> Line | None:
        return next((line for line in self.lines if line.name == name), None)

    def as_json(self) -> JSON:
        """What ``stats --json`` writes; see docs/trace-format.md."""
        return {
            "calls": self.calls,
            "turns": self.turns,
            "over_budget": self.over_budget,
            "stages": [asdict(line) for line in self.lines],
            "gaps": asdict(self.gaps) if self.gaps else None,
            "pickup": [asdict(line) for line in self.pickup],
        }


def collect(found: Iterable[CallLatencies]) -> Stats:
    """Count, median, p95 and worst of the perceived silence and of each stage, and the same of the
    pickups.

    A stage's figures are over the turns that had it; its count says how many those were."""
    values: dict[str, list[float]] = defaultdict(list)
    picked_up: dict[str, list[float]] = defaultdict(list)
    gaps: list[float] = []
    calls = over_budget = 0
    for call in found:
        calls += bool(call.turns)
        for turn in call.turns:
            _add(values, PERCEIVED, turn.perceived_ms, turn.stages)
            over_budget += turn.over_budget
            if turn.gap_ms is not None:
                gaps.append(turn.gap_ms)
        if call.pickup is not None:
            _add(picked_up, PICKUP, call.pickup.ms, call.pickup.stages)
    return Stats(
        calls=calls,
        turns=len(values[PERCEIVED]) if values else 0,
        over_budget=over_budget,
        lines=_lines(values),
        gaps=_line("gap", gaps) if gaps else None,
        pickup=_lines(picked_up),
    )


def _add(
    values: dict[str, list[float]], whole: str, took: float, stages: Mapping[str, float]
) -> None:
    values[whole].append(took)
    for name, ms in stages.items():
        values[name].append(ms)


def _lines(values: Mapping[str, list[float]]) -> tuple[Line, ...]:
    return tuple(_line(name, values[name]) for name in sorted(values, key=stagenames.place))


def _line(name: str, values: list[float]) -> Line:
    values.sort()
    return line_of(name, values)


def line_of(name: str, ascending: Sequence[float]) -> Line:
    """What is said of these values: one at least, the least of them first."""
    # What is sorted is sorted again at no cost.
    middle, high = round(median(ascending), 3), percentile(ascending, 95)
    return Line(name, len(ascending), middle, high, ascending[-1])
