"""``prefactor-agent stats``: latency over many calls, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...conversation.stages import PERCEIVED, PICKUP
from ..many.stats import Line, Stats
from ..model import stagenames
from ..model.costs import Spending, dollars, without_price
from ..model.numbers import count, milliseconds
from .words import harmless

_WHOLE = (PERCEIVED, PICKUP)


def table(stats: Stats) -> RenderableType:
    """The figures as a table."""
    parts: list[RenderableType] = []
    if stats.turns:
        rows = [(_name(line.name), line) for line in stats.lines]
        rows += [("gap in an answer", stats.gaps)] if stats.gaps else []
        parts += [Text(_heading(stats)), Text(), _figures("turns", rows)]
    if stats.unanswered:
        parts += [Text()] if parts else []
        parts += [Text(count(stats.unanswered, "unanswered question"), "red")]
    if stats.pickup:
        parts += [Text()] if parts else []
        rows = [(_name(line.name), line) for line in stats.pickup]
        parts += [Text(f"Picked up {count(rows[0][1].count, 'call')}"), Text()]
        parts += [_figures("calls", rows)]
    return Group(*parts) if parts else Text("No answered turn has a latency yet.")


def spending_lines(spent: Spending) -> Iterator[Text]:
    """What the calls cost, model by model, the dearest first; and what has no price."""
    if spent.calls:
        each = f", {dollars(spent.usd / spent.calls)} each" if spent.calls > 1 else ""
        yield Text()
        yield Text(f"Cost of {count(spent.calls, 'call')}: {dollars(spent.usd)}{each}")
        for name, usd in sorted(spent.by_model.items(), key=lambda one: -one[1]):
            yield Text(f"  {dollars(usd)}  {harmless(name)}")
    for line in without_price(sorted(spent.unpriced)):
        yield Text(harmless(line), "dim")


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


def _heading(stats: Stats) -> str:
    over = f", {stats.over_budget} over budget" if stats.over_budget else ""
    return f"{count(stats.turns, 'answered turn')} in {count(stats.calls, 'call')}{over}"


def _name(stage: str) -> str:
    """A stage by its name, and the whole silence in words."""
    return stagenames.label(stage) if stage in _WHOLE else stage


def _show(ms: float | None) -> str:
    return "" if ms is None else milliseconds(ms)
