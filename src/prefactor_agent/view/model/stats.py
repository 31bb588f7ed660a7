"""Latency over many calls: count, median, p95 and worst of each stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from ...conversation import median, percentile, totals
from ...conversation.stages import PERCEIVED
from ...core.json import JSON
from ...core.values import mapping
from ...journal.reader import StoredSpan
from . import stagenames
from .calltree import CallTree, build
from .gaps import longest_gap
from .silences import silences


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """The silence before one answer."""

    session_id: str
    perceived_ms: float
    stages: tuple[tuple[str, float], ...]
    over_budget: bool = False
    gap_ms: float | None = None
    """The longest silence inside the answer."""

    def by_stage(self) -> dict[str, float]:
        """How long each stage took; one that came more than once counts with its sum."""
        return totals(self.stages)


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


def turns_of(spans: Iterable[StoredSpan]) -> list[TurnLatency]:
    """The answered turns among the spans of one or more calls, call by call."""
    calls: dict[str, list[StoredSpan]] = defaultdict(list)
    for span in spans:
        calls[span.session_id].append(span)
    return [turn for call in calls.values() for turn in latencies(build(call))]


def latencies(call: CallTree) -> list[TurnLatency]:
    """The answered turns of a call."""
    return [
        TurnLatency(
            session_id=silence.answer.span.session_id,
            perceived_ms=silence.ms,
            stages=tuple((stage.name, stage.ms) for stage in silence.stages),
            over_budget=bool(silence.over_budget),
            gap_ms=gap.ms if (gap := longest_gap(silence.turn)) is not None else None,
        )
        for silence in silences(call).all
    ]


def chosen(
    sessions: Iterable[StoredSpan],
    *,
    since_us: int | None = None,
    agent: str | None = None,
    version: str | None = None,
) -> list[StoredSpan]:
    """The sessions' own spans that began at ``since_us`` (microseconds since the epoch) or later,
    with this agent and this version of it."""
    return [
        session
        for session in sessions
        if (since_us is None or session.started_us >= since_us)
        and (agent is None or agent in _agents(session))
        and (version is None or _version(session) == version)
    ]


def _agents(session: StoredSpan) -> set[str]:
    """The names that a user may know the agent by."""
    payload = session.payload
    job = mapping(payload.get("job"))
    names = (payload.get("agent_name"), payload.get("agent_class"), job.get("agent_name"))
    return {name for name in names if isinstance(name, str)}


def _version(session: StoredSpan) -> str | None:
    version = session.payload.get("agent_version")
    return str(version) if version is not None else None


def collect(turns: Sequence[TurnLatency]) -> Stats:
    """Count, median, p95 and worst of the perceived silence and of each stage.

    A stage's figures are over the turns that had it; its count says how many those were."""
    values: dict[str, list[float]] = {}
    for turn in turns:
        for name, ms in turn.by_stage().items():
            values.setdefault(name, []).append(ms)
    gaps = [turn.gap_ms for turn in turns if turn.gap_ms is not None]
    if turns:
        values[PERCEIVED] = [turn.perceived_ms for turn in turns]
    return Stats(
        calls=len({turn.session_id for turn in turns}),
        turns=len(turns),
        over_budget=sum(turn.over_budget for turn in turns),
        lines=tuple(_line(name, values[name]) for name in sorted(values, key=stagenames.place)),
        gaps=_line("gap", gaps) if gaps else None,
    )


def _line(name: str, values: list[float]) -> Line:
    return Line(name, len(values), round(median(values), 3), percentile(values, 95), max(values))
