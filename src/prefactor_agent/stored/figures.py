"""The figures that say how a call went: the one list of them.

The lines of ``sessions --json``, the quality of a call at Prefactor and the schema of it are made
from this list. A figure that was not measured is ``None``, or absent, and never 0."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One number that is told of a whole call."""

    name: str
    """What other programs know it by; ``_ms``: milliseconds."""
    field: str | None
    """Of a call's summary, and so of the digests that are kept. ``None``: it has none there, and
    only Prefactor is told of it."""

    @property
    def counts(self) -> bool:
        """Whether it is a whole number of something, and not a length of time."""
        return not self.name.endswith("_ms")


FIGURES = (
    Figure("turns", "turns"),
    Figure("tools", "tools"),
    Figure("tools_failed", None),
    Figure("errors", "errors"),
    Figure("interrupted", "interrupted"),
    Figure("over_budget", "over_budget"),
    Figure("unanswered", "unanswered"),
    Figure("unanswered_worst_ms", "unanswered_ms"),
    Figure("pickup_ms", "pickup_ms"),
    Figure("silence_median_ms", "median_ms"),
    Figure("silence_worst_ms", "worst_ms"),
    Figure("answer_worst_ms", "worst_answer_ms"),
    Figure("gap_worst_ms", "worst_gap_ms"),
)
