"""``prefactor-agent stats``: latency over many calls, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...conversation.stages import PERCEIVED, PICKUP
from ..model import stagenames
from ..model.numbers import count, milliseconds
from ..model.stats import Line, Stats

_WHOLE = (PERCEIVED, PICKUP)


def table(stats: Stats) -> RenderableType:
    """The figures as a table."""
    parts: list[RenderableType] = []
    if stats.turns:
        rows = [(_name(line.name), line) for line in stats.lines]
        rows += [("gap in an answer", stats.gaps)] if stats.gaps else []
        parts += [Text(_heading(stats)), Text(), _figures("turns", rows)]
    if stats.pickup:
        parts += [Text()] if parts else []
        rows = [(_name(line.name), line) for line in stats.pickup]
        parts += [Text(f"Picked up {count(rows[0][1].count, 'call')}"), Text()]
        parts += [_figures("calls", rows)]
    return Group(*parts) if parts else Text("No answered turn has a latency yet.")


def _figures(counted: str, rows: Sequence[tuple[str, Line]]) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("stage")
    for heading in (counted, "median", "p95", "worst"):
        drawn.add_column(heading, justify="right")
    for name, line in rows:
        drawn.add_row(
            name,
            str(line.count),
            *(_show(ms) for ms in (line.median_ms, line.p95_ms, line.worst_ms)),
            style="bold" if line.name in _WHOLE else None,
        )
    return drawn


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
    for stage, old, new in _side_by_side(before, after):
        drawn.add_row(
            _name(stage),
            *_pair(old.median_ms if old else None, new.median_ms if new else None),
            *_pair(old.p95_ms if old else None, new.p95_ms if new else None),
            style="bold" if stage in _WHOLE else None,
        )
    heads = (
        f"{name}: {_heading(stats)}" for name, stats in zip(names, (before, after), strict=True)
    )
    return Group(*(Text(head) for head in heads), Text(), drawn)


def _side_by_side(before: Stats, after: Stats) -> Iterator[tuple[str, Line | None, Line | None]]:
    """Each stage with its figures of both: those of the dead air, and the pickup as a whole."""
    names = {line.name for line in (*before.lines, *after.lines)}
    for name in sorted(names, key=stagenames.place):
        yield name, before.line(name), after.line(name)
    old, new = (next(iter(stats.pickup), None) for stats in (before, after))
    if old or new:
        yield PICKUP, old, new


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
    return stagenames.label(stage) if stage in _WHOLE else stage


def _show(ms: float | None) -> str:
    return "" if ms is None else milliseconds(ms)
