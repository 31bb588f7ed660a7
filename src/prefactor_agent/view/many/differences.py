"""A comparison as people read it, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...conversation.stages import PERCEIVED, PICKUP
from ..model.numbers import milliseconds
from .bootstrap import CONFIDENCE, LEAST_CALLS, LEAST_EVENTS, LEAST_VALUES
from .compare import GAP, Comparison, Row

WHOLE = (PERCEIVED, PICKUP)
"""The names of rows that the others are parts of."""
_MINUS = "\N{MINUS SIGN}"


def label_of(row: Row, stage: Callable[[str], str]) -> str:
    """What a row is about.

    Args:
        stage: What a stage is called.
    """
    if row.group == "tools":
        return f"tool {row.name}"
    if row.name == GAP:
        return "gap in an answer"
    return row.name if row.group == "turns" else stage(row.name)


def statistic_of(row: Row) -> str:
    """``median``, ``p95``, ``share``; of tools ``failed``."""
    failed = row.group == "tools" and row.statistic == "share"
    return "failed" if failed else row.statistic.removesuffix("_ms")


def value_of(row: Row, value: float | None) -> str:
    """``810 ms``, ``2.1%``."""
    if value is None:
        return ""
    return f"{value:.1%}" if row.statistic == "share" else milliseconds(value)


def change_of(row: Row, value: float | None) -> str:
    """With its sign: ``+210 ms``, ``+1.5 pp`` (percentage points)."""
    if value is None:
        return ""
    size = abs(value)
    shown = f"{size * 100:.1f} pp" if row.statistic == "share" else milliseconds(size)
    if not any(digit in shown for digit in "123456789"):
        return shown
    return f"{'+' if value > 0 else _MINUS}{shown}"


def interval_of(row: Row) -> str:
    """``+60 ms to +190 ms``."""
    if row.sure is None:
        return "too few" if row.difference is not None else ""
    return " to ".join(change_of(row, end) for end in row.sure)


def counts_of(row: Row) -> str:
    """Of how many turns, calls or tool calls."""
    return f"{row.counts[0]:,} and {row.counts[1]:,} {row.of}"


def notes(comparison: Comparison) -> Iterator[str]:
    """What a reader of the intervals has to know."""
    if any(row.sure is None and row.difference is not None for row in comparison.rows):
        least = f"{LEAST_CALLS} calls and {LEAST_VALUES} values of each side"
        yield f"too few: an interval needs {least}; a share, {LEAST_EVENTS} events"
    yield f"One in twenty of the {CONFIDENCE} % intervals misses the true difference by chance."
