"""The pickup of a call: how long the caller waited for the agent's first sound, and what for.

What was recorded, and nothing else: from the spans of a call alone nobody can tell when the caller
came."""

from __future__ import annotations

from dataclasses import dataclass

from ...conversation import UNATTRIBUTED
from ...conversation.stages import CALLER
from ...core.values import as_int, mapping, mappings, number, text
from .calltree import CallTree
from .silences import Stage, budgets_of, slowest_of

ARRIVAL = "the caller's arrival"
_BEGINNINGS = {
    "session_start": "the start of the session",
    "answered": "the caller's answer",
}


@dataclass(frozen=True, slots=True)
class Pickup:
    """From the caller's arrival to the agent's first sound, or to the caller's if that was
    before."""

    begins_us: int
    """Microseconds since the Unix epoch."""
    ms: float
    stages: tuple[Stage, ...]
    """They follow each other and sum to it."""
    since: str
    """What the beginning is based on, see docs/latency.md."""
    until: str
    clocks_apart_ms: float
    """How far the clock of LiveKit's server was found to be off."""
    over_budget: bool
    budget_ms: float | None

    @property
    def us(self) -> int:
        return round(self.ms * 1000)

    @property
    def answered(self) -> bool:
        """Whether the agent was heard first. Only such pickups are compared with each other."""
        return self.until != CALLER

    @property
    def slowest(self) -> Stage | None:
        """What most of it was spent on."""
        return slowest_of(self.stages)

    @property
    def remark(self) -> str:
        """What a reader has to know of how it was measured; empty: nothing."""
        return "the server's clock is off" if self.clocks_apart_ms else ""

    @property
    def beginning(self) -> str:
        """What it is counted from."""
        return _BEGINNINGS.get(self.since, ARRIVAL)


def pickup_of(call: CallTree) -> Pickup | None:
    """The pickup of a call; ``None``: it has none, or it was not measured."""
    recorded = mapping(call.session.result.get("pickup")) if call.session is not None else {}
    ms, at = number(recorded.get("ms")), as_int(recorded.get("at_us"))
    if ms is None:
        return None
    basis = mapping(recorded.get("basis"))
    return Pickup(
        call.started_us + (at or 0),
        ms,
        tuple(
            Stage(text(stage.get("name")) or UNATTRIBUTED, max(0.0, took))
            for stage in mappings(recorded.get("stages"))
            if (took := number(stage.get("ms"))) is not None
        ),
        text(basis.get("from")),
        text(basis.get("to")),
        number(basis.get("clocks_apart_ms")) or 0.0,
        bool(mapping(recorded.get("over_budget"))),
        budgets_of(call).get("pickup"),
    )
