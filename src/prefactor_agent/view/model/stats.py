"""Latency over many calls: count, median, p95 and worst of each stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from ...conversation import median, percentile
from ...conversation.stages import PERCEIVED
from ...core.json import JSON
from . import stagenames
from .latencies import TurnLatency


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
        }


def collect(turns: Iterable[TurnLatency]) -> Stats:
    """Count, median, p95 and worst of the perceived silence and of each stage.

    A stage's figures are over the turns that had it; its count says how many those were."""
    values: dict[str, list[float]] = defaultdict(list)
    gaps: list[float] = []
    calls: set[str] = set()
    over_budget = 0
    for turn in turns:
        calls.add(turn.session_id)
        values[PERCEIVED].append(turn.perceived_ms)
        for name, ms in turn.stages.items():
            values[name].append(ms)
        over_budget += turn.over_budget
        if turn.gap_ms is not None:
            gaps.append(turn.gap_ms)
    return Stats(
        calls=len(calls),
        turns=len(values[PERCEIVED]) if values else 0,
        over_budget=over_budget,
        lines=tuple(_line(name, values[name]) for name in sorted(values, key=stagenames.place)),
        gaps=_line("gap", gaps) if gaps else None,
    )


def _line(name: str, values: list[float]) -> Line:
    values.sort()  # once: what is sorted is sorted again at no cost
    return Line(name, len(values), round(median(values), 3), percentile(values, 95), values[-1])
