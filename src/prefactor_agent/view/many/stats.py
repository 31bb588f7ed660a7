"""Latency over many calls: count, median, p95 and worst of each stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ...conversation import median, percentile
from ...conversation.stages import PERCEIVED, PICKUP
from ...core.json import JSON
from ..model import stagenames
from ..model.latencies import CallLatencies


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
    unanswered: int | None = None
    """Questions that nobody answered, of the calls of which that is known; ``None``: of none."""
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
            "unanswered": self.unanswered,
            "stages": [asdict(line) for line in self.lines],
            "gaps": asdict(self.gaps) if self.gaps else None,
            "pickup": [asdict(line) for line in self.pickup],
        }


def collect(found: Iterable[CallLatencies]) -> Stats:
    """Count, median, p95 and worst of the perceived silence and of each stage, and the same of the
    pickups; and how many questions nobody answered.

    A stage's figures are over the turns that had it; its count says how many those were."""
    values: dict[str, list[float | None]] = defaultdict(list)
    picked_up: dict[str, list[float | None]] = defaultdict(list)
    gaps: list[float | None] = []
    calls = over_budget = 0
    unanswered: int | None = None
    for call in found:
        if call.unanswered is not None:
            unanswered = (unanswered or 0) + call.unanswered
        if call.perceived_ms:
            calls += 1
            values[PERCEIVED] += call.perceived_ms
            for name, column in call.stages.items():
                values[name] += column
            over_budget += sum(call.over_budget)
            gaps += call.gap_ms
        if call.pickup is not None:
            picked_up[PICKUP].append(call.pickup.ms)
            for name, ms in call.pickup.stages.items():
                picked_up[name].append(ms)
    return Stats(
        calls=calls,
        turns=len(values[PERCEIVED]) if values else 0,
        over_budget=over_budget,
        unanswered=unanswered,
        lines=_lines(values),
        gaps=_line("gap", gaps),
        pickup=_lines(picked_up),
    )


def _lines(values: Mapping[str, list[float | None]]) -> tuple[Line, ...]:
    lines = (_line(name, values[name]) for name in sorted(values, key=stagenames.place))
    return tuple(line for line in lines if line is not None)


def _line(name: str, took: Iterable[float | None]) -> Line | None:
    """``None``: no turn had it."""
    values = sorted([ms for ms in took if ms is not None])
    return line_of(name, values) if values else None


def line_of(name: str, ascending: Sequence[float]) -> Line:
    """What is said of these values: one at least, the least of them first."""
    # What is sorted is sorted again at no cost.
    middle, high = round(median(ascending), 3), percentile(ascending, 95)
    return Line(name, len(ascending), middle, high, ascending[-1])
