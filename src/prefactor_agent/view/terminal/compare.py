"""``prefactor-agent stats --compare``: two versions or periods side by side, as a table."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..many.bootstrap import CONFIDENCE
from ..many.compare import Comparison, Row
from ..many.differences import (
    WHOLE,
    change_of,
    counts_of,
    interval_of,
    label_of,
    notes,
    statistic_of,
    value_of,
)
from ..model import stagenames
from ..model.numbers import count
from .words import harmless


def table(comparison: Comparison) -> RenderableType:
    """Both values of each figure, the difference, where it lies, and of how many."""
    sides = (comparison.before, comparison.after)
    names = [harmless(side.name) for side in sides]
    heads = [
        Text(f"{name}: {count(side.turns, 'answered turn')} in {count(side.calls, 'call')}")
        for name, side in zip(names, sides, strict=True)
    ]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("")
    drawn.add_column("")
    for heading in (*names, "difference", f"{CONFIDENCE} %", "counts"):
        drawn.add_column(heading, justify="right")
    last = None
    for row in comparison.rows:
        label = harmless(label_of(row, stagenames.label if row.name in WHOLE else str))
        drawn.add_row(
            "" if label == last else label,
            statistic_of(row),
            value_of(row, row.before),
            value_of(row, row.after),
            Text(change_of(row, row.difference), _style(row)),
            interval_of(row),
            counts_of(row),
            style="bold" if row.name in WHOLE else None,
        )
        last = label
    return Group(*heads, Text(), drawn, *_notes(comparison))


def _notes(comparison: Comparison) -> Iterator[Text]:
    yield Text()
    for note in notes(comparison):
        yield Text(note, "dim")


def _style(row: Row) -> str:
    """Less is better of all that is compared; what may be chance has no colour."""
    if row.sure is None or not row.sure.certain:
        return ""
    return "green" if row.sure.high < 0 else "red"
