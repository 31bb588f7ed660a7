"""``prefactor-agent show``: a call as a waterfall in the terminal, turn by turn.

Everything is made as lines of styled text that fit the width; nothing moves the cursor, and without
colours the same characters say the same thing. Text of the user's goes through
:func:`.words.harmless` and into ``rich.text.Text``, never through rich's markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from rich.text import Text

from ...conversation.stages import ENDPOINTING
from ...core.values import error_text, number, text
from ...stored.span import StoredSpan
from ..model import numbers, stagenames
from ..model.bars import Bar, TurnBars, turn_bars
from ..model.call_moments import CallMoment, call_moments
from ..model.calltree import CallTree, build, known_until
from ..model.end_of_turn import why_it_waited
from ..model.gaps import gaps
from ..model.keys import Keys, inputs
from ..model.pickup import pickup_of
from ..model.silences import Silence, silences
from ..model.sounds import held_back
from ..model.summarize import summarize
from ..model.turns import (
    Node,
    Turn,
    cut_off,
    generated_text,
    kind,
    not_taken,
    spoken_text,
    unspoken_text,
    user_text,
)
from ..model.unanswered import declined, unanswered_of
from ..model.updates import origin, reports
from . import words
from .call_head import Head
from .draw import Scale, bar_cells, gap_cells, guided
from .glyphs import UNICODE, Glyphs
from .lines import FIRST, LENGTH, STYLES, Lines
from .output import write_svg
from .pickup import PickupLines
from .tools import ToolLines

LEAST_WIDTH = 60
_REPORTS = 40
"""Columns for what a turn reports."""


def waterfall(
    spans: Sequence[StoredSpan],
    width: int = 80,
    glyphs: Glyphs = UNICODE,
    now_us: int | None = None,
    alive: bool | None = None,
    at_us: int | None = None,
) -> Iterator[Text]:
    """The lines of the picture, none wider than ``width`` (at least ``LEAST_WIDTH``); ``alive``:
    whether the process that records the call still runs, if that is known; ``at_us``: below the
    head, only what went on at about this time."""
    call = build(spans)
    page = _Turns(call, max(width, LEAST_WIDTH), glyphs)
    yield from map(page.cut, _lines(page, call, now_us, alive, at_us))


def _lines(
    page: _Turns, call: CallTree, now_us: int | None, alive: bool | None, at_us: int | None
) -> Iterator[Text]:
    found = silences(call)
    drawn = [(turn, turn_bars(call, turn, found.of(turn))) for turn in call.turns]
    head, summary = Head(call, page.width, page.glyphs), summarize(call, now_us, alive)
    yield from head.lines(summary, drawn, found)
    parts: list[Node | Keys | CallMoment] = [*call.loose, *inputs(call), *call_moments(call)]
    picked_up = pickup_of(call)
    between = sorted(parts, key=lambda part: _times(part)[0])
    if at_us is not None:
        drawn = [(turn, bars) for turn, bars in drawn if _about(at_us, *turn.nodes)]
        between = [part for part in between if _about(at_us, part)]
        if picked_up is not None and not numbers.about(
            at_us, picked_up.begins_us, picked_up.begins_us + picked_up.us
        ):
            picked_up = None
        if not drawn and not between and picked_up is None:
            yield Text()
            yield Text("Nothing went on then.")
            return
    if picked_up is not None:
        yield from PickupLines(page.width, page.glyphs).lines(picked_up)
    for turn, bars in drawn:
        while between and _times(between[0])[0] < turn.started_us:
            yield from page.between(between.pop(0))
        yield Text()
        yield from page.turn(turn, bars)
    for part in between:
        yield from page.between(part)
    if not call.turns:
        yield Text()
        yield Text(f"Nobody said anything{' yet' if summary.status == 'running' else ''}.")


def _about(at_us: int, *parts: Node | Keys | CallMoment) -> bool:
    times = [_times(part) for part in parts]
    return numbers.about(at_us, min(begun for begun, _ in times), max(ended for _, ended in times))


def _times(part: Node | Keys | CallMoment) -> tuple[int, int]:
    """From when to when a part of a call went on."""
    if not isinstance(part, Node):
        return part.started_us, part.ended_us
    return part.span.started_us, max(map(known_until, part.within()))


def export_svg(
    spans: Sequence[StoredSpan],
    path: Path,
    title: str,
    width: int = 100,
    at_us: int | None = None,
) -> None:
    """Write the waterfall as a picture."""
    write_svg(waterfall(spans, width, at_us=at_us), path, title, width)


class _Turns(Lines):
    def __init__(self, call: CallTree, width: int, glyphs: Glyphs) -> None:
        super().__init__(width, glyphs)
        self.call = call
        self._tools = ToolLines(call, self)
        self._unanswered = unanswered_of(call)

    def turn(self, turn: Turn, found: TurnBars) -> Iterator[Text]:
        yield from self._heading(turn, found)
        if turn.user is not None:
            yield from self.words("caller", user_text(turn.user), "cyan")
        wordless = not any(map(_words, turn.answers))
        for answer in (*turn.answers, *turn.dropped):
            yield from self._answer(answer, dropped=answer in turn.dropped, alone=wordless)
            if turn.user is not None and (said := reports(answer)):  # else the heading says it
                yield self.row("", [], "", note=self.safe(said), note_style="magenta")
        yield from self._over_budget(found.silence)
        yield from self._bars(turn, found)
        drawn = _drawn(found)
        for span in turn.spans("error", "handoff"):
            if drawn.isdisjoint((span.id, span.parent_id)):
                yield from self._note(span)
        for node in turn.answers:
            error = node.span.result.get("error")
            if node.span.status == "failed" and error and not turn.spans("error"):
                yield from self.red(error_text(error))

    def _bars(self, turn: Turn, found: TurnBars) -> Iterator[Text]:
        """The axis, the bars with what each came to, and the silence."""
        scale = Scale(*found.window, self.bars)
        if found.bars:
            yield self.axis(scale, found.zero_us)
        silence = found.silence
        gap = (silence.begins_us, silence.ends_us) if silence else None
        guides = [scale.column(moment) for moment in gap or (found.zero_us,)]
        if gap and not _spoken(found):
            yield self._gap(found, gap, scale)
        if not any(bar.label == ENDPOINTING for bar in found.bars):
            yield from self._why_it_waited(turn)
        for bar in found.bars:
            yield self._bar(bar, scale, guides, found)
            if bar.label == ENDPOINTING:
                yield from self._why_it_waited(turn)
            if bar.kind == "user" and gap:
                yield self._gap(found, gap, scale)
            if bar.span is not None:
                yield from self._below(turn, bar.span, _drawn(found))

    def _why_it_waited(self, turn: Turn) -> Iterator[Text]:
        for line in why_it_waited(turn.user) if turn.user is not None else ():
            yield self.row("", [], "", note=self.safe(line), note_style="dim")

    def _heading(self, turn: Turn, found: TurnBars) -> Iterator[Text]:
        at = numbers.clock(turn.started_us - self.call.started_us)
        line = (
            Text().append(f"{self.glyphs.rule * 2} ", "dim").append(f"turn {turn.number}", "bold")
        )
        line.append(f" at {at} ", "dim")
        if turn.inside is not None:
            line.append(f"in {words.fit(self.safe(turn.inside.name), 16)} ", "magenta")
        yield from self.heading(line, self._came_to(turn, found))

    def _came_to(self, turn: Turn, found: TurnBars) -> Text:
        """The right side of the heading: how long the caller waited, and what for."""
        line = Text()
        if found.silence:
            silence = numbers.length(found.silence.us)
            what = "of dead air" if _spoken(found) else "until the first word"
            line.append(f" {silence} {what}", "bold")
            if found.slowest:
                name = words.fit(self.safe(found.slowest.name), 22, self.glyphs.ellipsis)
                share = numbers.length(found.slowest.us)
                line.append(", ").append(f"{share} of it {name}", "bold yellow")
            if found.silence.answer_ms is not None:
                line.append(f" {self.glyphs.dot} answered after ")
                line.append(numbers.length(found.silence.answer_ms * 1000), "bold")
        if turn.user is None:
            self._on_its_own(line, turn)
        elif not_taken(turn.user):
            self._remark(line, "not taken", "yellow")
        if self._unanswered is not None and self._unanswered.has(turn):
            self._remark(line, "unanswered", "bold red")
        elif declined(turn):
            self._remark(line, "no answer wanted", "dim")
        if turn.interrupted:
            self._remark(line, "interrupted", "")
        return line

    def _remark(self, line: Text, words: str, style: str) -> None:
        line.append(f" {self.glyphs.dot} {words}" if line.plain else f" {words}", style)

    def _on_its_own(self, line: Text, turn: Turn) -> None:
        """Why the agent spoke without being asked."""
        said = ", ".join(filter(None, map(origin, turn.answers)))
        if said:
            said = words.fit(self.safe(said), _REPORTS, self.glyphs.ellipsis)
            line.append(f" {self.glyphs.dot} " if line.plain else " ").append(said, "magenta")
        elif not line.plain:
            line.append(f" on its own ({self.safe(_source(turn))})", "dim")

    def _answer(self, answer: Node, *, dropped: bool, alone: bool) -> Iterator[Text]:
        """What an answer said, and what befell it.

        Args:
            alone: No answer of the turn has words: that is worth a line.
        """
        if dropped:
            yield from self.words("dropped", generated_text(answer), "dim")
            return
        spoken, unspoken = _words(answer), unspoken_text(answer)
        if spoken or (alone and not unspoken):
            yield from self.words("agent", spoken, "green", none=_why_wordless(answer))
        for gap in gaps(answer):
            silent = f"silent for {numbers.length(gap.ms * 1000)}, waiting for {gap.waits_for}"
            yield self.row("", [], "", note=self.safe(silent), note_style="yellow")
        for since, until in held_back(answer.span):
            if until is not None:
                held = f"silent for {numbers.length(until - since)}, held for a false interruption"
                yield self.row("", [], "", note=held, note_style="yellow")
        if cut_off(answer):
            yield self.row("", [], "", note=_how_cut_off(answer), note_style="yellow")
            if unspoken:
                yield from self.words("never said", unspoken, "dim", "dim strike")

    def _over_budget(self, silence: Silence | None) -> Iterator[Text]:
        if silence is None or not silence.over_budget:
            return
        for name, ms in silence.over_budget.items():
            limit = silence.budgets.get(name)
            of = f" of {numbers.length(limit * 1000)}" if limit is not None else ""
            over = self.safe(f"{stagenames.label(name)} {numbers.length(ms * 1000)}{of}")
            yield self.row("over budget", [], "bold red", note=over, note_style="bold red")

    def _bar(self, bar: Bar, scale: Scale, guides: Sequence[int], found: TurnBars) -> Text:
        cells = guided(bar_cells(bar, scale, self.glyphs), guides, self.glyphs.guide)
        slow = found.slowest is not None and bar is found.slowest.bar
        failed = _status(bar) == "failed"
        style = "bold yellow" if slow else STYLES[bar.kind]
        style = "red" if failed else "dim" if bar.dropped else style
        remark_style = "bold red" if failed else "dim" if bar.dropped else ""
        line = self.row("caller" if bar.kind == "user" else bar.label, cells, style)
        line.append(f" {_remark(bar):>{FIRST}}", remark_style)
        length = "" if bar.is_moment else numbers.length(bar.duration_us)
        line.append(f" {length:>{LENGTH}}", "bold yellow" if slow else "")
        return line

    def _gap(self, found: TurnBars, gap: tuple[int, int], scale: Scale) -> Text:
        label = numbers.length(gap[1] - gap[0])
        cells = gap_cells(gap, label, scale, self.glyphs)
        line = self.row("dead air" if _spoken(found) else "wait", cells, "yellow")
        line.append(f" {'':>{FIRST}} {label:>{LENGTH}}", "bold")
        return line

    def _below(self, turn: Turn, span: StoredSpan, drawn: AbstractSet[str]) -> Iterator[Text]:
        """What a bar came to: a tool's input and result, and what happened in it that has no bar of
        its own (``drawn``: what has one)."""
        if kind(span) == "tool":
            yield from self._tools.tool(span)
        for note in turn.spans("error", "handoff"):
            if span.id == (note.id if note.id in drawn else note.parent_id):
                yield from self._note(note)

    def _note(self, span: StoredSpan) -> Iterator[Text]:
        if kind(span) == "handoff":
            said, style = self.handoff(span)
            for line in self.wrapped(said):
                yield self.indented(line, style)
        else:
            yield from self.error(span)

    def between(self, part: Node | Keys | CallMoment) -> Iterator[Text]:
        """What belongs to no turn."""
        if not isinstance(part, Node):
            yield from self._moment(part)
        else:
            yield from self._loose(part)

    def _loose(self, node: Node) -> Iterator[Text]:
        for span in node.within():
            at = numbers.clock(self.call.at(span))
            if kind(span) == "error":
                yield Text()
                yield from self.error(span, at)
            elif kind(span) == "handoff":
                yield Text()
                said, style = self.handoff(span, at)
                yield from self.folded(Text(f"  {said}", style))
            elif kind(span) not in {"tool_result", "transcription", "state"}:
                length = numbers.length(span.duration_us) if span.duration_us is not None else ""
                line = f"{self.safe(span.name)} at {at}, in no turn  {length}"
                yield Text()
                yield Text("  " + line, "red" if span.status == "failed" else "dim")
                if kind(span) == "tool":
                    yield from self._tools.tool(span)

    def _moment(self, part: Keys | CallMoment) -> Iterator[Text]:
        """Keys that were pressed, or another moment of the call."""
        at = numbers.clock(part.started_us - self.call.started_us)
        yield Text()
        yield from self.folded(Text(f"  {self.safe(part.words)} at {at}", "cyan"))


def _how_cut_off(answer: Node) -> str:
    result = answer.span.result
    by = {"user": " by the caller", "program": " by the program"}
    who = by.get(text(result.get("interrupted_by")), "")
    if position := number(result.get("playback_position_s")):
        return f"cut off{who} after {numbers.length(position * 1e6)} of playback"
    return f"cut off{who} before it was heard"


def _remark(bar: Bar) -> str:
    """What is said beside a bar: what became of it, or how long the first token or byte took."""
    if _status(bar) == "failed":
        return "failed"
    if bar.dropped:
        return "dropped"
    if bar.is_moment:
        return "at provider"
    if bar.open:
        return "not ended"
    if bar.background:
        return "background"
    if bar.first_us is not None:
        return f"{bar.first_name} {numbers.length(bar.first_us)}"
    return "cancelled" if _status(bar) == "cancelled" else ""


def _drawn(found: TurnBars) -> AbstractSet[str]:
    """The ids of the spans that have a bar."""
    return {bar.span.id for bar in found.bars if bar.span is not None}


def _status(bar: Bar) -> str:
    return bar.span.status if bar.span is not None else ""


def _spoken(found: TurnBars) -> bool:
    """Whether somebody was listening: of a typed turn nothing is heard."""
    return found.silence.audible if found.silence else any(b.kind == "user" for b in found.bars)


def _words(answer: Node) -> str:
    """What an answer said; if nothing was heard of it and it was not broken off, what it would
    have said."""
    spoken = spoken_text(answer)
    return spoken or ("" if unspoken_text(answer) else generated_text(answer))


def _why_wordless(answer: Node) -> str:
    """Why an answer has no words, as far as the trace shows it."""
    result = answer.span.result
    if result.get("playback_position_s") and not answer.spans("tts", "realtime"):
        return "(audio without words)"
    requests = [span for span in answer.spans("llm") if span.status == "complete"]
    seen = requests and not requests[-1].payload.get("from_metrics")
    if seen and not requests[-1].result.get("tool_calls") and not cut_off(answer):
        return "(no words: the model's reply was empty)"
    return "(no words)"


def _source(turn: Turn) -> str:
    return text(turn.answers[0].span.payload.get("source")) if turn.answers else ""
