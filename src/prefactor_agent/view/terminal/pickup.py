"""The pickup of a call as it is drawn above its turns: stage by stage, to scale."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ..model import numbers
from ..model.pickup import ARRIVAL, Pickup
from ..model.stagenames import row
from .draw import Scale
from .lines import FIRST, LENGTH, Lines

_LEAST = 0.01
"""The part of the whole that a stage has to have to get a row of its own."""


class PickupLines(Lines):
    """Draws one pickup."""

    def lines(self, pickup: Pickup) -> Iterator[Text]:
        """The heading, and a row for each stage of some length."""
        yield Text()
        yield from self._heading(pickup)
        if pickup.us == 0:
            return
        scale = Scale(pickup.begins_us, pickup.begins_us + pickup.us, self.bars)
        yield self.axis(scale, pickup.begins_us)
        slowest, at, short = pickup.slowest, 0.0, []
        for stage in pickup.stages:
            begun, at = at, at + stage.ms
            if stage.ms < pickup.ms * _LEAST:
                short.append(f"{row(stage.name)} {numbers.length(stage.ms * 1000)}")
                continue
            cells = [" "] * scale.width
            begins = pickup.begins_us + round(begun * 1000)
            for column in scale.range(begins, begins + round(stage.ms * 1000)):
                cells[column] = self.glyphs.wait
            slow = slowest is not None and stage.name == slowest.name
            line = self.row(row(stage.name), cells, "bold yellow" if slow else "bright_black")
            line.append(f" {'':>{FIRST}} {numbers.length(stage.ms * 1000):>{LENGTH}}")
            yield line
        if short:
            note = f"and {', '.join(short)}"
            for part in self.wrapped(self.safe(note)):
                yield self.indented(part, "dim")

    def _heading(self, pickup: Pickup) -> Iterator[Text]:
        line = Text().append(f"{self.glyphs.rule * 2} ", "dim").append("pickup ", "bold")
        since = f"from {pickup.beginning}" if pickup.beginning != ARRIVAL else ""
        if about := ", ".join(filter(None, (since, pickup.remark))):
            line.append(f"{about} ", "dim")
        took = numbers.length(pickup.us)
        if pickup.answered:
            came_to = Text().append(f" {took} until the first sound", "bold")
        else:
            came_to = Text().append(f" {took} until the caller spoke first", "bold")
        if slowest := pickup.slowest:
            came_to.append(", ")
            share = numbers.length(slowest.ms * 1000)
            came_to.append(f"{share} of it {self.safe(slowest.label)}", "bold yellow")
        yield from self.heading(line, came_to)
        if pickup.over_budget:
            of = f" of {numbers.length(pickup.budget_ms * 1000)}" if pickup.budget_ms else ""
            yield self.row("over budget", [], "bold red", note=f"pickup {took}{of}",
                           note_style="bold red")  # fmt: skip
