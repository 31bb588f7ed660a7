"""The silence before an answer, with its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.json import JSON
from .sides import AgentSide, UserSide
from .split import Stage, split, totals
from .split import so_far as going_on
from .steps import steps, until_commit


@dataclass(slots=True)
class Latency:
    """The silence before an answer."""

    start: int
    """The user's last sound, in nanoseconds."""
    end: int
    """The agent's first sound, in nanoseconds."""
    stages: list[Stage]
    """In order; they sum to the silence."""
    since: str
    """What the beginning is based on: ``audio``, or the next best moment that there was."""
    until: str
    """What the end is based on."""
    filler: bool = False
    """The silence was ended by words that came before the answer itself."""
    over_budget: dict[str, float] = field(default_factory=dict)
    """See :func:`exceeded`."""

    @property
    def perceived_us(self) -> int:
        """How long the silence was, in microseconds."""
        return sum(stage.us for stage in self.stages)

    @property
    def early(self) -> bool:
        """The agent was heard while the user still spoke."""
        return self.end < self.start

    def as_json(self) -> JSON:
        """As it is kept in the result of the turn (docs/trace-format.md)."""
        return {
            "perceived_ms": self.perceived_us / 1000,
            "stages": [{"name": name, "ms": us / 1000} for name, us in self.stages],
            "basis": {"from": self.since, "to": self.until},
            **({"filler": True} if self.filler else {}),
            **({"over_budget": self.over_budget} if self.over_budget else {}),
            **({"overlap_ms": (self.start - self.end) // 1000 / 1000} if self.early else {}),
        }


def measure(
    asked: UserSide,
    reply: AgentSide,
    *,
    begun: tuple[int, str] | None = None,
    filler: bool = False,
) -> Latency | None:
    """The latency of the reply that ended the silence; ``None`` if it was not heard.

    Args:
        begun: Where the silence begins, and what that is based on. Default: the end of ``asked``.
        filler: Other words than the answer ended it.
    """
    begun, ended = begun or asked.end(), reply.sound()
    if begun is None or ended is None:
        return None
    (start, since), (end, until) = begun, ended
    return Latency(
        start,
        end,
        split(start, end, steps(asked, reply, end)),
        since,
        until,
        filler=filler,
    )


def so_far(asked: UserSide, reply: AgentSide | None, now: int) -> Latency | None:
    """The same while the silence lasts: what it was spent on until ``now`` (in nanoseconds)."""
    begun = asked.end()
    if begun is None:
        return None
    start, since = begun
    waiting = steps(asked, reply, now) if reply is not None else until_commit(asked, None)
    return Latency(start, now, split(start, now, going_on(waiting, now)), since, "now")


def lengths(latency: Latency) -> dict[str, int]:
    """How long each stage took, in microseconds; one that came more than once with its sum."""
    return totals(latency.stages)


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
