"""How long a turn may take."""

from __future__ import annotations

from collections.abc import Mapping

from .measure import Latency, lengths


def exceeded(latency: Latency, budgets: Mapping[str, float]) -> dict[str, float]:
    """The budgets that a turn is over.

    Args:
        budgets: Seconds, by what they are for: ``perceived``, or a stage.

    Returns:
        How long each took that is over its budget, in seconds, by the same names.
    """
    took = {"perceived": latency.perceived_us, **lengths(latency)}
    return {
        name: took[name] / 1e6
        for name, budget in budgets.items()
        if took.get(name, 0) > budget * 1e6
    }
