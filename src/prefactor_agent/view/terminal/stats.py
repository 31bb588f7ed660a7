"""``prefactor-agent stats``: latency over many calls, as a table."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...conversation.stages import PERCEIVED
from ..model import stagenames
from ..model.numbers import count, milliseconds
from ..model.stats import Stats


def table(stats: Stats) -> RenderableType:
    """The figures as a table."""
    if not stats.turns:
        return Text("No answered turn has a latency yet.")
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("stage")
    for heading in ("turns", "median", "p95", "worst"):
        drawn.add_column(heading, justify="right")
    for line in (*stats.lines, *((stats.gaps,) if stats.gaps else ())):
        drawn.add_row(
            "gap in an answer" if line is stats.gaps else _name(line.name),
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
            _name(stage),
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


def _name(stage: str) -> str:
    """A stage by its name, and the whole silence in words."""
    return stagenames.label(stage) if stage == PERCEIVED else stage


def _show(ms: float | None) -> str:
    return "" if ms is None else milliseconds(ms)
