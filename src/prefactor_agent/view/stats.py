"""Latency over many calls: count, median, p95 and worst of each stage; and the one sentence that
says what made a call slow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..journal.reader import StoredSpan
from ..latency import median, percentile

JSON = dict[str, Any]

TURN = "livekit:assistant_turn"
SESSION = "livekit:session"
PERCEIVED = "perceived"

_MEANINGS = {
    "vad": "noticing that the caller had stopped",
    "transcript": "the final transcript",
    "endpointing": "waiting whether the caller would go on",
    "on_user_turn_completed": "the hook on_user_turn_completed",
    "llm_queue": "getting to the language model",
    "llm_ttft": "the language model's first token",
    "llm_tool_call": "the language model writing its tool call",
    "first_sentence": "the language model's first sentence",
    "tts_ttfb": "the voice's first audio",
    "previous_speech": "the agent's earlier words playing out",
    "playback": "getting the audio played",
    "leading_silence": "the silence that the voice begins with",
    "handoff": "the handoff to another agent",
    "on_enter": "the hook on_enter",
    "realtime_response": "the realtime model's answer",
    "realtime_ttfb": "the realtime model's first audio",
    "unattributed": "something that the trace cannot name",
}
_ORDER = {name: index for index, name in enumerate(_MEANINGS)}


def meaning(stage: str) -> str:
    """A stage in plain English."""
    name, _, rest = stage.partition(":")
    if rest:
        return f"the tool {rest.replace('+', ' and ')}"
    base, _, number = name.rpartition("_")
    if number.isdigit() and base in _MEANINGS:
        return f"{_MEANINGS[base]} (request {number})"
    return _MEANINGS.get(name, name)


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """The latency of one answered turn, as it was kept."""

    session_id: str
    span_id: str
    turn: int | None
    perceived_ms: float
    stages: tuple[tuple[str, float], ...]
    over_budget: bool = False

    def by_stage(self) -> dict[str, float]:
        """How long each stage took; one that came more than once counts with its sum."""
        sums: dict[str, float] = {}
        for name, ms in self.stages:
            sums[name] = sums.get(name, 0.0) + ms
        return sums


@dataclass(frozen=True, slots=True)
class Line:
    """What is said of one stage."""

    name: str
    count: int
    median_ms: float
    p95_ms: float
    worst_ms: float

    def as_json(self) -> JSON:
        return {
            "name": self.name,
            "count": self.count,
            "median_ms": self.median_ms,
            "p95_ms": self.p95_ms,
            "worst_ms": self.worst_ms,
        }


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
        return {
            "calls": self.calls,
            "turns": self.turns,
            "over_budget": self.over_budget,
            "stages": [line.as_json() for line in self.lines],
        }


def turns_of(spans: Iterable[StoredSpan]) -> list[TurnLatency]:
    """The answered turns among the spans of one or more calls, in the order given."""
    turns = []
    for span in spans:
        latency = span.result.get("latency") if span.type == TURN else None
        if not latency or "perceived_ms" not in latency:
            continue
        turns.append(
            TurnLatency(
                session_id=span.session_id,
                span_id=span.id,
                turn=span.payload.get("turn_index"),
                perceived_ms=latency["perceived_ms"],
                stages=tuple((one["name"], one["ms"]) for one in latency.get("stages", ())),
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
    job = payload.get("job")
    names = [payload.get("agent_name"), payload.get("agent_class")]
    names.append(job.get("agent_name") if isinstance(job, dict) else None)
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
    names = sorted(values, key=_place)
    lines = [_line(name, values[name]) for name in names]
    if turns:
        lines.insert(0, _line(PERCEIVED, [turn.perceived_ms for turn in turns]))
    return Stats(
        calls=len({turn.session_id for turn in turns}),
        turns=len(turns),
        over_budget=sum(turn.over_budget for turn in turns),
        lines=tuple(lines),
    )


def _line(name: str, values: list[float]) -> Line:
    return Line(name, len(values), round(median(values), 3), percentile(values, 95), max(values))


def _place(name: str) -> tuple[int, int, str]:
    """Where a stage lies in a turn: after its kind, the second request after the first's tools."""
    kind, _, tool = name.partition(":")
    if tool:
        return 1, _ORDER["llm_tool_call"], name
    base, _, number = kind.rpartition("_")
    if number.isdigit() and base in _ORDER:
        return 1 + int(number), _ORDER[base], name
    late = _ORDER.get(kind, len(_ORDER))
    return (99 if late > _ORDER["llm_tool_call"] else 0), late, name


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
    for stage in sorted(
        {line.name for line in (*before.lines, *after.lines)},
        key=lambda name: (-1, 0, "") if name == PERCEIVED else _place(name),
    ):
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
    return f"{_count(stats.turns, 'answered turn')} in {_count(stats.calls, 'call')}{over}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _show(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.0f} ms"


def one_line(spans: Iterable[StoredSpan]) -> str | None:
    """What made a call slow: its slowest turn and that turn's slowest stage, in one sentence.

    ``None`` if no turn of it was answered."""
    turns = turns_of(spans)
    if not turns:
        return None
    slowest = max(turns, key=lambda turn: turn.perceived_ms)
    heard = f"{slowest.perceived_ms / 1000:.2f} s"
    numbered = f" (turn {slowest.turn})" if slowest.turn is not None else ""
    begin = (
        f"The slowest answer{numbered} came after {heard} of silence"
        if len(turns) > 1
        else f"The answer{numbered} came after {heard} of silence"
    )
    stages = slowest.by_stage()
    if not stages or not slowest.perceived_ms:
        return f"{begin}."
    name, ms = max(stages.items(), key=lambda item: item[1])
    share = round(100 * ms / slowest.perceived_ms)
    return f"{begin}; {ms / 1000:.2f} s of it ({share} %) went into {meaning(name)} ({name})."
