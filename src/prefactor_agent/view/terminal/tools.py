"""The lines below a tool's bar: what it was given, what it came to, what the model got of that, and
what it reported while it ran."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from ...core.values import error_text, mapping, text
from ...stored.span import StoredSpan
from ..model import numbers
from ..model.calltree import CallTree
from ..model.turns import Turn
from ..model.updates import Update, omitted, over_us, result_turn, updates
from . import words
from .lines import Lines

_SHOWN = 8
"""Reports of one tool that are shown at most."""


class ToolLines:
    """Makes the lines of one call's tools.

    Args:
        lines: Where the lines go.
    """

    def __init__(self, call: CallTree, lines: Lines) -> None:
        self._call, self._lines = call, lines

    def tool(self, span: StoredSpan) -> Iterator[Text]:
        """What a tool was given, what came of it, and what it reported."""
        outcome, style = tool_outcome(span)
        arguments = words.arguments(span.payload.get("inputs", {}))
        room = self._lines.room - cell_len(" → ")
        if style == "red" and cell_len(outcome) > room - min(cell_len(arguments), room // 2):
            # Why it failed is not cut off for the sake of one line.
            if arguments:
                yield self._indented(words.fit(self._lines.safe(arguments), self._lines.room))
            yield from self._lines.red(outcome)
        else:
            yield self._on_one_line(arguments, outcome, style)
        yield from self._lines.raised_at(span)
        yield from self._instead(span)
        yield from self._background(span)

    def _on_one_line(self, arguments: str, outcome: str, style: str) -> Text:
        lines = self._lines
        # Both sides get half, and what one does not need the other has.
        room = max(lines.room - 4 - cell_len(outcome), lines.room // 2 - 2)
        mark = lines.glyphs.cross if style == "red" else lines.glyphs.arrow
        line = self._indented(words.fit(lines.safe(arguments), room))
        return line.append(f" {mark} ", style).append(lines.safe(outcome), style)

    def _instead(self, span: StoredSpan) -> Iterator[Text]:
        """What the body gave that did not reach the model, and what the model got in its place."""
        result = span.result
        outputs, got = mapping(result.get("outputs")), text(result.get("model_output"))
        if result.get("error") and outputs:
            agent = text(outputs.get("agent"))
            value = f"returned {words.value(outputs.get('output', outputs))}"
            yield from self._wrapped(f"answered with agent {agent}" if agent else value)
        if got:
            yield from self._wrapped(f"the model got {words.value(got)}")

    def _background(self, span: StoredSpan) -> Iterator[Text]:
        """What a tool reported while it went on in the background, and when it was over."""
        found = updates(self._call, span)
        for update in found[:_SHOWN]:
            yield from self._update(update)
        if more := max(len(found) - _SHOWN, 0) + omitted(span):
            yield self._indented(f"and {numbers.count(more, 'more report')}")
        if (over := over_us(self._call, span)) is not None:
            after = numbers.length(over - (span.finished_us or over))
            where = _said_in(result_turn(self._call, span), self._lines.glyphs.arrow)
            yield from self._wrapped(f"{self._clock(over)} over, {after} after its turn{where}")

    def _update(self, update: Update) -> Iterator[Text]:
        glyphs = self._lines.glyphs
        said = f"{glyphs.quote}{update.text}{glyphs.unquote}"
        if update.refused:
            how = ", which LiveKit refused"
        elif update.inline:
            how = ", the answer to the model"
        elif update.silent:
            how = ", for the model alone"
        else:
            how = _said_in(update.turn, glyphs.arrow)
        style = "red" if update.refused else "magenta"
        yield from self._wrapped(f"{self._clock(update.at_us)} {said}{how}", style)

    def _clock(self, at_us: int) -> str:
        return numbers.clock(at_us - self._call.started_us)

    def _wrapped(self, said: str, style: str = "dim") -> Iterator[Text]:
        for line in self._lines.wrapped(self._lines.safe(said)):
            yield self._lines.indented(line, style)

    def _indented(self, said: str) -> Text:
        return self._lines.indented().append(said, "dim")


def tool_outcome(span: StoredSpan) -> tuple[str, str]:
    """What a tool call came to, and its style."""
    result = span.result
    if error := result.get("error"):
        return error_text(error), "red"
    outputs = mapping(result.get("outputs"))
    match result.get("outcome"):
        case "returned" if "outputs" not in result:
            return "done", ""
        case "returned" | "tool_result":
            return words.value(outputs.get("output", result.get("outputs"))), ""
        case "handoff":
            return f"handoff to {outputs.get('agent')}", ""
        case "stop_response":
            return "no reply wanted", ""
        case "cancelled":
            return "cancelled", "yellow"
    if span.status == "active":
        return "running", ""
    if "outputs" in result:
        return words.value(outputs.get("output", result["outputs"])), ""
    return "no result: it did not end", "yellow"


def _said_in(turn: Turn | None, arrow: str) -> str:
    return f" {arrow} turn {turn.number}" if turn is not None else ""
