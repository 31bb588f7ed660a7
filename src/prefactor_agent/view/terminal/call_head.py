"""The head of ``prefactor-agent show``: who, when, how it ended, and where the time went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from ...core.values import mapping, number, text
from ..model import costs, numbers, travel
from ..model.bars import TurnBars
from ..model.calltree import CallTree
from ..model.ending import Tone, ending
from ..model.silences import Silences
from ..model.summary import Summary
from ..model.turns import Turn
from .draw import Scale, draw_voice
from .glyphs import Glyphs
from .lines import STYLES, Lines

Drawn = Sequence[tuple[Turn, TurnBars]]

_TONES: dict[Tone, str] = {"good": "", "bad": "bold red", "open": "bold green"}


class Head(Lines):
    def __init__(self, call: CallTree, width: int, glyphs: Glyphs) -> None:
        super().__init__(width, glyphs)
        self.call = call
        self._dot = f" {glyphs.dot} "

    def lines(self, summary: Summary, drawn: Drawn, silences: Silences) -> Iterator[Text]:
        how, tone = ending(self.call, summary)
        for line in (
            self._title(summary),
            Text(self.safe(how), _TONES[tone]),
            self._counts(summary),
            *self._silences(silences),
            *self._cost(),
            *self._sound(),
            *self._recorded(),
            *self._incomplete(summary),
            Text(summary.id, "dim"),
        ):
            yield from self.folded(line)
        yield from self._strip(drawn)

    def _title(self, summary: Summary) -> Text:
        line = Text().append(self.safe(summary.agent), "bold")
        room = [f"room {self.safe(summary.room)}"] if summary.room else []
        if summary.which:
            caller = f" with {self.safe(summary.participant)}" if summary.participant else ""
            room.append(summary.which + caller)
        when = [numbers.date(summary.started_us), numbers.length(summary.duration_us)]
        return line.append("".join(self._dot + part for part in (*room, *when)))

    def _counts(self, summary: Summary) -> Text:
        line = Text()
        for many, one in (
            (summary.turns, "turn"),
            (summary.tools, "tool call"),
            (summary.interrupted, "interruption"),
        ):
            line.append(numbers.count(many, one)).append(self._dot)
        line.append(numbers.count(summary.errors, "error"), "bold red" if summary.errors else "")
        if summary.unanswered:
            line.append(self._dot)
            line.append(numbers.count(summary.unanswered, "unanswered question"), "bold red")
            if summary.unanswered_ms is not None:
                line.append(f" (waited {numbers.length(summary.unanswered_ms * 1000)} in vain)")
        if summary.over_budget:
            line.append(self._dot).append(f"{summary.over_budget} over budget", "bold red")
        return line

    def _incomplete(self, summary: Summary) -> Iterator[Text]:
        lost, failures = summary.lost_spans, summary.tracer_failures
        if lost or failures:
            yield Text(
                f"incomplete: {numbers.count(lost, 'span')} lost, "
                f"{numbers.count(failures, 'failure')} of the tracer itself",
                "yellow",
            )

    def _silences(self, silences: Silences) -> Iterator[Text]:
        worst = silences.worst
        if worst is None or silences.median_ms is None:
            return
        line = Text("dead air: ")
        if len(silences.all) > 1:
            line.append(f"median {numbers.length(silences.median_ms * 1000)}, ")
        yield line.append(f"worst {numbers.length(worst.us)}", "bold yellow")
        if slowest := worst.slowest:
            what, took = self.safe(slowest.label), numbers.length(slowest.ms * 1000)
            line = Text(f"Turn {worst.turn.number} was the slowest: ")
            line.append(f"{what} took {took}", "bold yellow")
            yield line.append(f" of its {numbers.length(worst.us)}")

    def _sound(self) -> Iterator[Text]:
        if said := travel.in_words(self.call):
            yield Text("sound: " + self._dot.join(map(self.safe, said)), "dim")

    def _recorded(self) -> Iterator[Text]:
        session = self.call.session
        known = mapping(session.result.get("recording")) if session is not None else {}
        seconds, missing = number(known.get("duration_s")), number(known.get("missing_s"))
        if seconds is not None:
            line = f"recorded: {numbers.length(seconds * 1e6)}"
            if missing:
                line += f", {numbers.length(missing * 1e6)} could not be"
            yield Text(f"{line}{self._dot}prefactor-agent report plays it", "dim")
        if error := text(known.get("error")):
            yield Text(f"the recording failed: {self.safe(error)}", "yellow")

    def _cost(self) -> Iterator[Text]:
        cost = costs.cost_of_call(self.call)
        for index, line in enumerate(costs.in_words(cost)):
            yield Text(
                self.safe(line if index or not cost or cost.usd is None else f"cost: {line}")
            )

    def _strip(self, drawn: Drawn) -> Iterator[Text]:
        """Both voices over the whole call."""
        voices = [bar for _, found in drawn for bar in found.bars if bar.is_voice]
        if not voices:
            return
        begun = self.call.started_us
        scale = Scale(begun, max(self.call.last_us, begun + 1), self.room)
        yield Text()
        for voice in ("user", "agent"):
            cells = [" "] * self.room
            for bar in voices:
                if bar.kind == voice:
                    draw_voice(cells, bar, scale, self.glyphs)
            yield self.row("caller" if voice == "user" else voice, cells, STYLES[voice])
        yield self.axis(scale, begun)
        legend = (
            f"  {self.glyphs.wait} waited for  {self.glyphs.mark} first token or byte  "
            f"{self.glyphs.flow} streaming  {self.glyphs.guide} dead air begins, ends"
        )
        yield from self.folded(Text(legend, "dim"))
