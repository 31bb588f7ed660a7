"""``prefactor-agent stats --compare``: two versions or periods side by side, as a table."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...conversation.stages import PERCEIVED, PICKUP
from ..model import stagenames
from ..model.bootstrap import CONFIDENCE, LEAST_CALLS, LEAST_EVENTS, LEAST_VALUES
from ..model.compare import GAP, INTERRUPTED, Comparison, Row
from ..model.numbers import count, milliseconds
from .words import harmless

_WHOLE = (PERCEIVED, PICKUP)
_MINUS = "\N{MINUS SIGN}"


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
        label = _label(row)
        drawn.add_row(
            "" if label == last else label,
            "failed" if row.group == "tools" and row.statistic == "share" else _statistic(row),
            _value(row, row.before),
            _value(row, row.after),
            Text(_change(row, row.difference), _style(row)),
            _sure(row),
            _counts(row),
            style="bold" if row.name in _WHOLE else None,
        )
        last = label
    return Group(*heads, Text(), drawn, *_notes(comparison))


def _notes(comparison: Comparison) -> Iterator[Text]:
    yield Text()
    if any(row.sure is None and row.difference is not None for row in comparison.rows):
        least = f"{LEAST_CALLS} calls and {LEAST_VALUES} values of each side"
        yield Text(f"too few: an interval needs {least}; a share, {LEAST_EVENTS} events", "dim")
    yield Text(
        f"One in twenty of the {CONFIDENCE} % intervals misses the true difference by chance.",
        "dim",
    )


def _label(row: Row) -> str:
    if row.name == GAP:
        return "gap in an answer"
    if row.name == INTERRUPTED and row.group == "turns":
        return "interrupted"
    if row.group == "tools":
        return f"tool {harmless(row.name)}"
    return stagenames.label(row.name) if row.name in _WHOLE else harmless(row.name)


def _statistic(row: Row) -> str:
    return row.statistic.removesuffix("_ms")


def _value(row: Row, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if row.statistic == "share" else milliseconds(value)


def _change(row: Row, value: float | None) -> str:
    """With its sign: ``+210 ms``, ``+1.5 pp`` (percentage points)."""
    if value is None:
        return ""
    size = abs(value)
    shown = f"{size * 100:.1f} pp" if row.statistic == "share" else milliseconds(size)
    if not any(digit in shown for digit in "123456789"):
        return shown
    return f"{'+' if value > 0 else _MINUS}{shown}"


def _sure(row: Row) -> str:
    if row.sure is None:
        return "too few" if row.difference is not None else ""
    return " to ".join(_change(row, end) for end in row.sure)


def _counts(row: Row) -> str:
    """Of how many turns, calls or tool calls."""
    return f"{row.counts[0]:,} and {row.counts[1]:,} {row.of}"


def _style(row: Row) -> str:
    """Less is better of all that is compared; what may be chance has no colour."""
    if row.sure is None or not row.sure.certain:
        return ""
    return "green" if row.sure.high < 0 else "red"
