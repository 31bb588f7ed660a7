"""One scale for the latency bars of all turns, and one of its own for the pickup."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from ...conversation.stages import PERCEIVED
from ..model import numbers
from ..model.pickup import Pickup
from ..model.silences import Silence, Silences, Stage


class Part(NamedTuple):
    """One stage in a turn's bar. Places are in the units of the drawing, as it has them."""

    name: str
    x: str
    width: str
    says: str
    over: bool
    """Over its budget."""


class Scale:
    """From milliseconds to places: the worst silence and the budget fit, up to a round number."""

    WIDTH = 1000
    """Of the drawing, in its own units."""

    def __init__(self, silences: Silences, budgets: dict[str, float]) -> None:
        self.budget_ms = budgets.get(PERCEIVED)
        worst = silences.worst
        top = max(worst.ms if worst else 0.0, self.budget_ms or 0.0, 1.0)
        step = 10 ** math.floor(math.log10(top))
        if top / step < 2:
            step /= 5
        elif top / step < 5:
            step /= 2
        self.step = step
        self.top = step * math.ceil(top / step)

    def at(self, ms: float) -> str:
        """The place of a moment, or the width of a length."""
        return f"{ms * self.WIDTH / self.top:.1f}"

    def ticks(self) -> Iterator[tuple[str, float]]:
        """Each mark: where it is, and its milliseconds."""
        for index in range(round(self.top / self.step) + 1):
            yield self.at(index * self.step), index * self.step

    def parts(self, silence: Silence) -> Iterator[Part]:
        """The stages in a turn's bar."""
        at = 0.0
        for stage in silence.stages or (Stage(PERCEIVED, silence.ms),):
            name, over = stage.name, stage.name in silence.over_budget
            says = f"{stage.label}: {numbers.milliseconds(stage.ms)}"
            if over and name in silence.budgets:
                says += f", over its budget of {numbers.milliseconds(silence.budgets[name])}"
            if stage.ms > 0:
                yield Part(name, self.at(at), self.at(stage.ms), says, over)
            at += stage.ms


def pickup_parts(pickup: Pickup) -> Iterator[Part]:
    """The stages of a pickup in a bar of the whole width."""
    at, whole = 0.0, pickup.ms or 1.0
    for stage in pickup.stages:
        x, width = (f"{ms * Scale.WIDTH / whole:.1f}" for ms in (at, stage.ms))
        if stage.ms >= 0.5:  # less reads 0 ms
            says = f"{stage.label}: {numbers.milliseconds(stage.ms)}"
            yield Part(stage.name, x, width, says, over=False)
        at += stage.ms
