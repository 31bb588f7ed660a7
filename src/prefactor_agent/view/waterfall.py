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
from . import words
from .calltree import (
    CallTree,
    Node,
    Turn,
    build,
    cut_off,
    generated_text,
    kind,
    mapping,
    spoken_text,
    unspoken_text,
    user_text,
)
from .draw import (
    UNICODE,
    Glyphs,
    Scale,
    axis,
    bar_cells,
    draw_sounds,
    gap_cells,
    guided,
)
from .stages import Bar, TurnStages, stages
from .summary import Summary, summarize

LEAST_WIDTH = 60
_LABEL = 13
_FIRST = 11
_LENGTH = 8
_TEXT_LINES = 6

_STYLES = {
    "user": "cyan",
    "agent": "green",
    "stt": "cyan",
    "wait": "bright_black",
    "llm": "blue",
    "tool": "magenta",
    "tts": "green",
    "realtime": "green",
}


def waterfall(
    spans: Sequence[StoredSpan],
    width: int = 80,
    glyphs: Glyphs = UNICODE,
    now_us: int | None = None,
) -> Iterator[Text]:
    """The lines of the picture, none wider than ``width`` (at least ``LEAST_WIDTH``)."""
    call = build(spans)
    page = _Page(call, max(width, LEAST_WIDTH), glyphs)
    yield from map(page.cut, _lines(page, call, now_us))


def _lines(page: _Page, call: CallTree, now_us: int | None) -> Iterator[Text]:
    drawn = [(turn, stages(call, turn)) for turn in call.turns]
    yield from page.head(summarize(call, now_us), drawn)
    loose = list(call.loose)
    for turn, turn_stages in drawn:
        while loose and loose[0].span.started_us < turn.started_us:
            yield from page.loose(loose.pop(0))
        yield Text()
        yield from page.turn(turn, turn_stages)
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


class _Page:
    def __init__(self, call: CallTree, width: int, glyphs: Glyphs) -> None:
        self.call, self.width, self.glyphs = call, width, glyphs
        self.bars = width - 2 - _LABEL - 1 - 1 - _FIRST - 1 - _LENGTH

    # The head

    def head(self, summary: Summary, drawn: Sequence[tuple[Turn, TurnStages]]) -> Iterator[Text]:
        dot = f" {self.glyphs.dot} "
        first = Text().append(self.safe(summary.agent), "bold")
        told = [
            *([f"room {self.safe(summary.room)}"] if summary.room else []),
            words.date(summary.started_us),
            words.length(summary.duration_us),
        ]
        first.append("".join(dot + part for part in told))
        yield first
        yield Text(self._ended(summary), _status_style(summary.status))
        counts = Text(
            dot.join((words.count(summary.turns, "turn"), words.count(summary.tools, "tool call")))
        )
        counts.append(dot + words.count(summary.interrupted, "interruption"))
        counts.append(dot)
        counts.append(words.count(summary.errors, "error"), "bold red" if summary.errors else "")
        yield counts
        yield from self._silences(drawn)
        if summary.lost_spans or summary.tracer_failures:
            lost, failures = summary.lost_spans, summary.tracer_failures
            yield Text(
                f"incomplete: {words.count(lost, 'span')} lost, "
                f"{words.count(failures, 'failure')} of the tracer itself",
                "yellow",
            )
        yield Text(summary.id, "dim")
        yield from self._strip(drawn)

    def _ended(self, summary: Summary) -> str:
        if summary.status == "running":
            return "running"
        if summary.status == "lost":
            return f"no end: its process died, or is silent since {words.date(summary.last_us)}"
        session = self.call.session
        error = session.result.get("error") if session else None
        why = self.safe(summary.close_reason or "").replace("_", " ")
        message = _error_text(error)
        ended = "failed" if summary.status == "failed" else "ended"
        return ": ".join(part for part in (ended, why, self.safe(message)) if part)

    def _silences(self, drawn: Sequence[tuple[Turn, TurnStages]]) -> Iterator[Text]:
        silences = sorted(
            (
                (found.silence[1] - found.silence[0], turn.number, found.slowest)
                for turn, found in drawn
                if found.silence
            ),
            key=lambda silence: silence[0],
        )
        if not silences:
            return
        worst, number, slowest = silences[-1]
        middle = silences[(len(silences) - 1) // 2][0]
        line = Text("silence: ")
        if len(silences) > 1:
            line.append(f"median {words.length(middle)}, ")
        line.append(f"worst {words.length(worst)}", "bold yellow")
        line.append(f" in turn {number}")
        if slowest:
            bar, share = slowest
            line.append(f", {words.length(share)} of it {self.safe(bar.label)}")
        yield line

    def _strip(self, drawn: Sequence[tuple[Turn, TurnStages]]) -> Iterator[Text]:
        """Both voices over the whole call."""
        voices = [bar for _, found in drawn for bar in found.bars if bar.kind in {"user", "agent"}]
        if not voices:
            return
        width = self.width - 2 - _LABEL - 1
        scale = Scale(self.call.started_us, max(self.call.last_us, self.call.started_us + 1), width)
        yield Text()
        for voice in ("user", "agent"):
            cells = [" "] * width
            for bar in voices:
                if bar.kind == voice:
                    if bar.sounds:
                        draw_sounds(cells, bar.sounds, scale, self.glyphs)
                    else:
                        for column in scale.range(bar.started_us, bar.ended_us):
                            cells[column] = self.glyphs.speech
            yield self.row(voice, cells, _STYLES[voice])
        yield self.row("", list(axis(scale, self.call.started_us)), "dim")
        legend = (
            f"{self.glyphs.wait} waited for  {self.glyphs.mark} first token or byte  "
            f"{self.glyphs.flow} streaming  {self.glyphs.guide} silence begins, ends"
        )
        yield Text("  " + legend, "dim")

    # A turn

    def turn(self, turn: Turn, found: TurnStages) -> Iterator[Text]:
        yield self._heading(turn, found)
        if turn.user is not None:
            yield from self.words("user", user_text(turn.user), "cyan")
        for answer in (*turn.answers, *turn.dropped):
            yield from self._answer(answer, dropped=answer in turn.dropped)
        scale = Scale(*found.window, self.bars)
        if found.bars:
            yield self.row("", list(axis(scale, found.zero_us)), "dim")
        guides = [scale.column(moment) for moment in found.silence or (found.zero_us,)]
        told: set[str] = set()
        if found.silence and not _spoken(found):
            yield self._gap(found, found.silence, scale)
        for bar in found.bars:
            yield self._bar(bar, scale, guides, found)
            if bar.kind == "user" and found.silence:
                yield self._gap(found, found.silence, scale)
            if bar.span is not None:
                yield from self._below(turn, bar.span, told)
        for span in turn.spans("error"):
            if span.id not in told:
                yield from self.error(span)
        failed = [node for node in turn.answers if node.span.status == "failed"]
        for node in failed:
            if not turn.spans("error") and (error := node.span.result.get("error")):
                yield from self._red(_error_text(error))

    def _heading(self, turn: Turn, found: TurnStages) -> Text:
        rule = self.glyphs.rule
        at = words.clock(turn.started_us - self.call.started_us)
        line = Text().append(f"{rule * 2} ", "dim").append(f"turn {turn.number}", "bold")
        line.append(f" at {at} ", "dim")
        right = Text()
        if found.silence:
            silence = words.length(found.silence[1] - found.silence[0])
            what = "of silence" if _spoken(found) else "until the first word"
            right.append(f" {silence} {what}", "bold")
            if found.slowest:
                bar, share = found.slowest
                name = words.fit(self.safe(bar.label), 20, self.glyphs.ellipsis)
                right.append(", ").append(f"{words.length(share)} of it {name}", "bold yellow")
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
        position = answer.span.result.get("playback_position_s")
        by = {"user": " by the user", "program": " by the program"}.get(
            str(answer.span.result.get("interrupted_by")), ""
        )
        heard = "before it was heard"
        if isinstance(position, int | float) and position > 0:
            heard = f"after {words.length(position * 1e6)} of playback"
        yield self.row("", [], "", note=f"cut off{by} {heard}", note_style="yellow")
        if unspoken:
            yield from self.words("never said", unspoken, "dim", "dim strike")

    def _bar(self, bar: Bar, scale: Scale, guides: Sequence[int], found: TurnStages) -> Text:
        cells = guided(bar_cells(bar, scale, self.glyphs), guides, self.glyphs.guide)
        slow = found.slowest is not None and bar is found.slowest[0]
        failed = bar.span is not None and bar.span.status == "failed"
        style = "bold yellow" if slow else _STYLES[bar.kind]
        style = "red" if failed else "dim" if bar.dropped else style
        first, first_style = "", ""
        if failed:
            first, first_style = "failed", "bold red"
        elif bar.dropped:
            first = "dropped"
        elif bar.open:
            first = "not ended"
        elif bar.first_us is not None:
            first = f"{bar.first_name} {words.length(bar.first_us)}"
        elif bar.span is not None and bar.span.status == "cancelled":
            first = "cancelled"
        line = self.row(bar.label, cells, style)
        line.append(f" {first:>{_FIRST}}", first_style or ("dim" if bar.dropped else ""))
        line.append(f" {words.length(bar.duration_us):>{_LENGTH}}", "bold yellow" if slow else "")
        return line

    def _gap(self, found: TurnStages, gap: tuple[int, int], scale: Scale) -> Text:
        label = words.length(gap[1] - gap[0])
        cells = gap_cells(gap, label, scale, self.glyphs)
        line = self.row("silence" if _spoken(found) else "wait", cells, "yellow")
        line.append(f" {'':>{_FIRST}} {label:>{_LENGTH}}", "bold")
        return line

    def _below(self, turn: Turn, span: StoredSpan, told: set[str]) -> Iterator[Text]:
        """What a bar came to: a tool's input and result, and the errors in it."""
        if kind(span) == "tool":
            yield self._tool(span)
        below = [error for error in turn.spans("error") if error.parent_id == span.id]
        for error in below:
            told.add(error.id)
            yield from self.error(error)

    def _tool(self, span: StoredSpan) -> Text:
        arguments = words.arguments(span.payload.get("inputs", {}))
        room = self.width - 2 - _LABEL - 1
        line = Text(" " * (_LABEL + 3))
        outcome, style = _outcome(span)
        # Both sides get half, and what one does not need the other has.
        given = words.fit(self.safe(arguments), max(room - 4 - cell_len(outcome), room // 2 - 2))
        line.append(given, "dim")
        mark = self.glyphs.cross if style == "red" else self.glyphs.arrow
        line.append(f" {mark} ", style)
        line.append(self.safe(outcome), style)
        return line

    # Parts

    def loose(self, node: Node) -> Iterator[Text]:
        for span in node.within():
            at = words.clock(span.started_us - self.call.started_us)
            if kind(span) == "error":
                yield Text()
                yield from self.error(span, at)
            elif kind(span) not in {"tool_result", "transcription"}:
                length = words.length(span.duration_us) if span.duration_us is not None else ""
                line = f"{self.safe(span.name)} at {at}, in no turn  {length}"
                yield Text()
                yield Text("  " + line, "red" if span.status == "failed" else "dim")

    def error(self, span: StoredSpan, at: str = "") -> Iterator[Text]:
        payload = span.payload
        source = str(payload.get("source", ""))
        text = ": ".join(part for part in (source, _error_text(payload)) if part)
        if payload.get("recoverable"):
            text += " (recoverable)"
        yield from self._red(f"{text} at {at}" if at else text)

    def _red(self, text: str) -> Iterator[Text]:
        room = self.width - 2 - _LABEL - 1 - 2
        mark = self.glyphs.cross
        for line in words.wrap(self.safe(text), room, 3, self.glyphs.ellipsis):
            yield Text(" " * (_LABEL + 3) + f"{mark:<2}{line}", "bold red")
            mark = ""

    def words(self, who: str, text: str, style: str, text_style: str = "") -> Iterator[Text]:
        room = self.width - 2 - _LABEL - 1 - 2
        left, right = self.glyphs.quote, self.glyphs.unquote
        said = self.safe(text)
        if not said:
            yield self.row(who, [], style, note="(no words)", note_style="dim")
            return
        lines = words.wrap(f"{left}{said}{right}", room, _TEXT_LINES, self.glyphs.ellipsis)
        for index, line in enumerate(lines):
            yield self.row(
                who if index == 0 else "", [], style, note=line, note_style=text_style or style
            )

    def row(
        self,
        label: str,
        cells: Sequence[str],
        style: str,
        *,
        note: str = "",
        note_style: str = "",
    ) -> Text:
        """A label on the left and what belongs to it."""
        name = words.fit(self.safe(label), _LABEL, self.glyphs.ellipsis)
        line = Text("  ").append(name, style or "dim")
        line.append(" " * (_LABEL + 3 - line.cell_len))
        guide = self.glyphs.guide
        for cell in cells:
            line.append(cell, "dim" if cell == guide else style)
        return line.append(note, note_style)

    def cut(self, line: Text) -> Text:
        if line.cell_len > self.width:
            line.truncate(self.width, overflow="crop")
            ellipsis = self.glyphs.ellipsis
            line.truncate(self.width - len(ellipsis), overflow="crop")
            line.append(ellipsis)
        line.rstrip()
        return line

    def safe(self, text: str) -> str:
        return words.harmless(text)


def _spoken(found: TurnStages) -> bool:
    return any(bar.kind == "user" for bar in found.bars)


def _open(call: CallTree) -> bool:
    return call.session is not None and call.session.status == "active"


def _status_style(status: str) -> str:
    return {"failed": "bold red", "lost": "yellow", "running": "bold green"}.get(status, "")


def _source(turn: Turn) -> str:
    return str(turn.answers[0].span.payload.get("source", "") if turn.answers else "")


def _error_text(error: object) -> str:
    if not isinstance(error, dict):
        return str(error or "")
    return ": ".join(str(error[key]) for key in ("error_type", "message") if error.get(key))


def _outcome(span: StoredSpan) -> tuple[str, str]:
    """What a tool call came to, and its style."""
    result = span.result
    if error := result.get("error"):
        return _error_text(error), "red"
    outcome = result.get("outcome")
    outputs = mapping(result.get("outputs"))
    match outcome:
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
    return "no result: it did not end", "yellow"
