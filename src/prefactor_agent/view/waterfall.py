"""``prefactor-agent show``: a call as a waterfall in the terminal, turn by turn.

Everything is made as lines of styled text that fit the width; nothing moves the cursor, and without
colours the same characters say the same thing. Text of the user's goes through
:func:`.words.harmless` and into ``rich.text.Text``, never through rich's markup."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ..journal.reader import StoredSpan
from . import numbers, stagenames, words
from .bars import Bar, TurnBars, turn_bars
from .callhead import Head
from .calltree import CallTree, build
from .draw import UNICODE, Glyphs, Scale, axis, bar_cells, gap_cells, guided
from .lines import FIRST, LABEL, LENGTH, STYLES, Lines, error_text, tool_outcome
from .silence import Silence, silences
from .summary import summarize
from .turns import Node, Turn, cut_off, generated_text, kind, spoken_text, unspoken_text, user_text
from .values import number, text

LEAST_WIDTH = 60


def waterfall(
    spans: Sequence[StoredSpan],
    width: int = 80,
    glyphs: Glyphs = UNICODE,
    now_us: int | None = None,
    alive: bool | None = None,
) -> Iterator[Text]:
    """The lines of the picture, none wider than ``width`` (at least ``LEAST_WIDTH``); ``alive``:
    whether the process that records the call still runs, if that is known."""
    call = build(spans)
    page = _Turns(call, max(width, LEAST_WIDTH), glyphs)
    yield from map(page.cut, _lines(page, call, now_us, alive))


def _lines(page: _Turns, call: CallTree, now_us: int | None, alive: bool | None) -> Iterator[Text]:
    found = silences(call)
    drawn = [(turn, turn_bars(call, turn, found.of(turn))) for turn in call.turns]
    head = Head(call, page.width, page.glyphs)
    yield from head.lines(summarize(call, now_us, alive), drawn, found)
    loose = list(call.loose)
    for turn, bars in drawn:
        while loose and loose[0].span.started_us < turn.started_us:
            yield from page.loose(loose.pop(0))
        yield Text()
        yield from page.turn(turn, bars)
    for node in loose:
        yield from page.loose(node)
    if not call.turns:
        yield Text()
        yield Text("Nobody said anything yet." if _open(call) else "Nobody said anything.")


def export_svg(spans: Sequence[StoredSpan], path: Path, title: str, width: int = 100) -> None:
    """Write the waterfall as a picture."""
    console = Console(
        record=True, file=io.StringIO(), width=width, force_terminal=True, highlight=False,
        color_system="truecolor", markup=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    for line in waterfall(spans, width):
        console.print(line, soft_wrap=True)
    # rich has the picture load its font from the network; the reader's own will do.
    picture = re.sub(r"@font-face \{.*?\}\n", "", console.export_svg(title=title), flags=re.DOTALL)
    path.write_text(picture, encoding="utf-8")


class _Turns(Lines):
    def __init__(self, call: CallTree, width: int, glyphs: Glyphs) -> None:
        super().__init__(width, glyphs)
        self.call = call

    def turn(self, turn: Turn, found: TurnBars) -> Iterator[Text]:
        yield self._heading(turn, found)
        if turn.user is not None:
            yield from self.words("user", user_text(turn.user), "cyan")
        for answer in (*turn.answers, *turn.dropped):
            yield from self._answer(answer, dropped=answer in turn.dropped)
        yield from self._over_budget(found.silence)
        scale = Scale(*found.window, self.bars)
        if found.bars:
            yield self.row("", list(axis(scale, found.zero_us)), "dim")
        silence = found.silence
        gap = (silence.begins_us, silence.ends_us) if silence else None
        guides = [scale.column(moment) for moment in gap or (found.zero_us,)]
        told: set[str] = set()
        if gap and not _spoken(found):
            yield self._gap(found, gap, scale)
        for bar in found.bars:
            yield self._bar(bar, scale, guides, found)
            if bar.kind == "user" and gap:
                yield self._gap(found, gap, scale)
            if bar.span is not None:
                yield from self._below(turn, bar.span, told)
        for span in turn.spans("error", "handoff"):
            if span.id not in told:
                yield from self._note(span)
        failed = [node for node in turn.answers if node.span.status == "failed"]
        for node in failed:
            if not turn.spans("error") and (error := node.span.result.get("error")):
                yield from self.red(error_text(error))

    def _heading(self, turn: Turn, found: TurnBars) -> Text:
        rule = self.glyphs.rule
        at = numbers.clock(turn.started_us - self.call.started_us)
        line = Text().append(f"{rule * 2} ", "dim").append(f"turn {turn.number}", "bold")
        line.append(f" at {at} ", "dim")
        if turn.inside is not None:
            line.append(f"in {words.fit(self.safe(turn.inside.name), 16)} ", "magenta")
        right = Text()
        if found.silence:
            silence = numbers.length(found.silence.us)
            what = "of silence" if _spoken(found) else "until the first word"
            right.append(f" {silence} {what}", "bold")
            if found.slowest:
                name = words.fit(self.safe(found.slowest.name), 22, self.glyphs.ellipsis)
                share = numbers.length(found.slowest.us)
                right.append(", ").append(f"{share} of it {name}", "bold yellow")
        elif turn.user is None:
            right.append(f" on its own ({self.safe(_source(turn))})", "dim")
        if turn.interrupted:
            right.append(f" {self.glyphs.dot} interrupted" if right.plain else " interrupted")
        fill = self.width - line.cell_len - right.cell_len
        line.append(rule * max(fill, 0), "dim")
        return line.append_text(right)

    def _answer(self, answer: Node, *, dropped: bool) -> Iterator[Text]:
        if dropped:
            yield from self.words("dropped", generated_text(answer), "dim")
            return
        spoken, unspoken = spoken_text(answer), unspoken_text(answer)
        if not spoken and not unspoken:
            spoken = generated_text(answer)
        if spoken or not unspoken:
            yield from self.words("agent", spoken, "green")
        if not cut_off(answer):
            return
        position = number(answer.span.result.get("playback_position_s"))
        by = {"user": " by the user", "program": " by the program"}.get(
            text(answer.span.result.get("interrupted_by")), ""
        )
        heard = "before it was heard"
        if position:
            heard = f"after {numbers.length(position * 1e6)} of playback"
        yield self.row("", [], "", note=f"cut off{by} {heard}", note_style="yellow")
        if unspoken:
            yield from self.words("never said", unspoken, "dim", "dim strike")

    def _over_budget(self, silence: Silence | None) -> Iterator[Text]:
        if silence is None or not silence.over_budget:
            return
        for name, ms in silence.over_budget.items():
            limit = silence.budgets.get(name)
            of = f" of {numbers.length(limit * 1000)}" if limit is not None else ""
            told = self.safe(f"{stagenames.label(name)} {numbers.length(ms * 1000)}{of}")
            yield self.row("over budget", [], "bold red", note=told, note_style="bold red")

    def _bar(self, bar: Bar, scale: Scale, guides: Sequence[int], found: TurnBars) -> Text:
        cells = guided(bar_cells(bar, scale, self.glyphs), guides, self.glyphs.guide)
        slow = found.slowest is not None and bar is found.slowest.bar
        failed = bar.span is not None and bar.span.status == "failed"
        style = "bold yellow" if slow else STYLES[bar.kind]
        style = "red" if failed else "dim" if bar.dropped else style
        first, first_style = "", ""
        if failed:
            first, first_style = "failed", "bold red"
        elif bar.dropped:
            first = "dropped"
        elif bar.open:
            first = "not ended"
        elif bar.first_us is not None:
            first = f"{bar.first_name} {numbers.length(bar.first_us)}"
        elif bar.span is not None and bar.span.status == "cancelled":
            first = "cancelled"
        line = self.row(bar.label, cells, style)
        line.append(f" {first:>{FIRST}}", first_style or ("dim" if bar.dropped else ""))
        line.append(f" {numbers.length(bar.duration_us):>{LENGTH}}", "bold yellow" if slow else "")
        return line

    def _gap(self, found: TurnBars, gap: tuple[int, int], scale: Scale) -> Text:
        label = numbers.length(gap[1] - gap[0])
        cells = gap_cells(gap, label, scale, self.glyphs)
        line = self.row("silence" if _spoken(found) else "wait", cells, "yellow")
        line.append(f" {'':>{FIRST}} {label:>{LENGTH}}", "bold")
        return line

    def _below(self, turn: Turn, span: StoredSpan, told: set[str]) -> Iterator[Text]:
        """What a bar came to: a tool's input and result, and what happened in it."""
        if kind(span) == "tool":
            yield self._tool(span)
        for note in turn.spans("error", "handoff"):
            if span.id in (note.parent_id, note.id):
                told.add(note.id)
                yield from self._note(note)

    def _note(self, span: StoredSpan) -> Iterator[Text]:
        if kind(span) == "handoff":
            yield Text(" " * (LABEL + 3) + self.handoff(span), "blue")
        else:
            yield from self.error(span)

    def _tool(self, span: StoredSpan) -> Text:
        arguments = words.arguments(span.payload.get("inputs", {}))
        room = self.width - 2 - LABEL - 1
        line = Text(" " * (LABEL + 3))
        outcome, style = tool_outcome(span)
        # Both sides get half, and what one does not need the other has.
        given = words.fit(self.safe(arguments), max(room - 4 - cell_len(outcome), room // 2 - 2))
        line.append(given, "dim")
        mark = self.glyphs.cross if style == "red" else self.glyphs.arrow
        line.append(f" {mark} ", style)
        return line.append(self.safe(outcome), style)

    def loose(self, node: Node) -> Iterator[Text]:
        """What belongs to no turn."""
        for span in node.within():
            at = numbers.clock(self.call.at(span))
            if kind(span) == "error":
                yield Text()
                yield from self.error(span, at)
            elif kind(span) == "handoff":
                yield Text()
                yield Text(f"  {self.handoff(span)} at {at}", "blue")
            elif kind(span) not in {"tool_result", "transcription", "state"}:
                length = numbers.length(span.duration_us) if span.duration_us is not None else ""
                line = f"{self.safe(span.name)} at {at}, in no turn  {length}"
                yield Text()
                yield Text("  " + line, "red" if span.status == "failed" else "dim")
                if kind(span) == "tool":
                    yield self._tool(span)


def _spoken(found: TurnBars) -> bool:
    return found.silence.audible if found.silence else any(b.kind == "user" for b in found.bars)


def _open(call: CallTree) -> bool:
    return call.session is not None and call.session.status == "active"


def _source(turn: Turn) -> str:
    return str(turn.answers[0].span.payload.get("source", "") if turn.answers else "")
