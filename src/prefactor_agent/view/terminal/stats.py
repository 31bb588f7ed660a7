"""Latency over many calls: count, median, p95 and worst of each stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...conversation import median, percentile, totals
from ...core.json import JSON
from ...journal.reader import StoredSpan
from ..model import stagenames
from ..model.numbers import count, milliseconds
from ..model.stagenames import PERCEIVED
from ..model.turns import kind
from ..model.values import mapping, mappings, number, text


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """The latency of one answered turn, as it was kept."""

    session_id: str
    perceived_ms: float
    stages: tuple[tuple[str, float], ...]
    over_budget: bool = False

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

    def line(self, name: str) -> Line | None:
        return next((line for line in self.lines if line.name == name), None)

    def as_json(self) -> JSON:
        """What ``stats --json`` writes; see docs/trace-format.md."""
        return {
            "calls": self.calls,
            "turns": self.turns,
            "over_budget": self.over_budget,
            "stages": [asdict(line) for line in self.lines],
        }


def turns_of(spans: Iterable[StoredSpan]) -> list[TurnLatency]:
    """The answered turns among the spans of one or more calls, in the order given."""
    turns = []
    for span in spans:
        latency = mapping(span.result.get("latency")) if kind(span) == "assistant_turn" else {}
        perceived = number(latency.get("perceived_ms"))
        if perceived is None:
            continue
        turns.append(
            TurnLatency(
                session_id=span.session_id,
                perceived_ms=perceived,
                stages=tuple(
                    (text(one.get("name")), ms)
                    for one in mappings(latency.get("stages"))
                    if (ms := number(one.get("ms"))) is not None
                ),
                over_budget=bool(latency.get("over_budget")),
            )
        )
    return turns


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
    if turns:
        values[PERCEIVED] = [turn.perceived_ms for turn in turns]
    return Stats(
        calls=len({turn.session_id for turn in turns}),
        turns=len(turns),
        over_budget=sum(turn.over_budget for turn in turns),
        lines=tuple(_line(name, values[name]) for name in sorted(values, key=stagenames.place)),
    )


def _line(name: str, values: list[float]) -> Line:
    return Line(name, len(values), round(median(values), 3), percentile(values, 95), max(values))


def table(stats: Stats) -> RenderableType:
    """The figures as a table."""
    if not stats.turns:
        return Text("No answered turn has a latency yet.")
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("stage")
    for heading in ("turns", "median", "p95", "worst"):
        drawn.add_column(heading, justify="right")
    for line in stats.lines:
        drawn.add_row(
            line.name,
            str(line.count),
            *(_show(ms) for ms in (line.median_ms, line.p95_ms, line.worst_ms)),
            style="bold" if line.name == PERCEIVED else None,
        )
    return Group(Text(_heading(stats)), Text(), drawn)


def compare(before: Stats, after: Stats, names: tuple[str, str]) -> RenderableType:
    """Two versions side by side: the medians, the p95 and what changed."""
    if not (before.turns and after.turns):
        missing = names[0] if not before.turns else names[1]
        return Text(f"No answered turn of {missing} has a latency yet.")
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("stage")
    for name in names:
        drawn.add_column(f"median {name}", justify="right")
    drawn.add_column("change", justify="right")
    for name in names:
        drawn.add_column(f"p95 {name}", justify="right")
    drawn.add_column("change", justify="right")
    stages = {line.name for line in (*before.lines, *after.lines)}
    for stage in sorted(stages, key=stagenames.place):
        old, new = before.line(stage), after.line(stage)
        drawn.add_row(
            stage,
            *_pair(old.median_ms if old else None, new.median_ms if new else None),
            *_pair(old.p95_ms if old else None, new.p95_ms if new else None),
            style="bold" if stage == PERCEIVED else None,
        )
    heads = (
        f"{name}: {_heading(stats)}" for name, stats in zip(names, (before, after), strict=True)
    )
    return Group(*(Text(head) for head in heads), Text(), drawn)


def _pair(old: float | None, new: float | None) -> tuple[Text, Text, Text]:
    if old is None or new is None:
        return Text(_show(old)), Text(_show(new)), Text("")
    change = new - old
    # Below one millisecond nothing has changed that anybody hears.
    style = "" if abs(change) < 1 else "green" if change < 0 else "red"
    sign = "+" if change >= 0 else "-"
    return Text(_show(old)), Text(_show(new)), Text(f"{sign}{abs(change):.0f} ms", style=style)


def _heading(stats: Stats) -> str:
    over = f", {stats.over_budget} over budget" if stats.over_budget else ""
    return f"{count(stats.turns, 'answered turn')} in {count(stats.calls, 'call')}{over}"


def _show(ms: float | None) -> str:
    return "" if ms is None else milliseconds(ms)
