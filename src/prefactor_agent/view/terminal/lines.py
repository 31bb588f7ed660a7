"""The lines that a call is drawn in: a label on the left, and what belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.text import Text

from ...core.values import error_text, stack_text
from ...stored.span import StoredSpan
from ..model import numbers
from ..model.handoffs import handoff_of
from . import words
from .draw import Scale, axis
from .glyphs import Glyphs

LABEL = 13
FIRST = 11
LENGTH = 8
"""Columns of a row: what it is called, how long the first token or byte took, how long it was."""
MARGIN = 2 + LABEL + 1
"""The columns to the left of what belongs to a label."""
_MARK = 2
"""The columns of what an error begins with, or of the quotes around words."""
_TEXT_LINES = 6
_FEW_LINES = 3

STYLES = {
    "user": "cyan",
    "agent": "green",
    "stt": "cyan",
    "wait": "bright_black",
    "llm": "blue",
    "tool": "magenta",
    "tts": "green",
    "realtime": "green",
}


class Lines:
    """Makes lines of one width in one set of characters.

    Args:
        width: Columns of the whole line.
    """

    def __init__(self, width: int, glyphs: Glyphs) -> None:
        self.width, self.glyphs = width, glyphs
        self.room = width - MARGIN
        """Columns for what belongs to a label."""
        self.bars = self.room - 1 - FIRST - 1 - LENGTH
        """Columns for a bar, with its times to the right of it."""

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
        name = words.fit(self.safe(label), LABEL, self.glyphs.ellipsis)
        line = Text("  ").append(name, style or "dim")
        line.append(" " * (MARGIN - line.cell_len))
        for guide, run in groupby(cells, lambda cell: cell == self.glyphs.guide):
            line.append("".join(run), "dim" if guide else style)
        return line.append(note, note_style)

    def words(
        self, who: str, text: str, style: str, text_style: str = "", *, none: str = "(no words)"
    ) -> Iterator[Text]:
        """What somebody said, broken into lines; ``none``: what is said if that is nothing."""
        left, right = self.glyphs.quote, self.glyphs.unquote
        said = self.safe(text)
        if not said:
            yield self.row(who, [], style, note=none, note_style="dim")
            return
        lines = self.wrapped(f"{left}{said}{right}", _TEXT_LINES)
        for index, line in enumerate(lines):
            yield self.row(
                who if index == 0 else "", [], style, note=line, note_style=text_style or style
            )

    def error(self, span: StoredSpan, at: str = "") -> Iterator[Text]:
        """An error, with the time if it stands by itself."""
        payload = span.payload
        source = str(payload.get("source", ""))
        text = ": ".join(part for part in (source, error_text(payload)) if part)
        if payload.get("recoverable"):
            text += " (recoverable)"
        yield from self.red(f"{text} at {at}" if at else text)
        yield from self.raised_at(span)

    def raised_at(self, span: StoredSpan) -> Iterator[Text]:
        """Where the error of a span was raised: the innermost line of its stack."""
        if lines := stack_text(span.result.get("error")).splitlines():
            at = words.fit(self.safe(f"at {lines[-1]}"), self.room, self.glyphs.ellipsis)
            yield self.indented().append(at, "dim")

    def red(self, text: str) -> Iterator[Text]:
        """What went wrong, in as few lines as it needs."""
        mark = self.glyphs.cross
        for line in self.wrapped(self.safe(text)):
            yield self.indented(f"{mark:<{_MARK}}{line}", "bold red")
            mark = ""

    def heading(self, left: Text, right: Text) -> Iterator[Text]:
        """A rule between two texts; what does not fit beside it stands below it."""
        fill = self.width - left.cell_len - right.cell_len
        if fill >= 0:
            yield left.append(self.glyphs.rule * fill, "dim").append_text(right)
            return
        yield left.append(self.glyphs.rule * (self.width - left.cell_len), "dim")
        for part in self.folded(right[1:]):
            yield Text(" " * (self.width - part.cell_len)).append_text(part)

    def indented(self, text: str = "", style: str = "") -> Text:
        """Text without a label, where what belongs to one stands."""
        return Text(" " * MARGIN + text, style)

    def handoff(self, span: StoredSpan, at: str = "") -> tuple[str, str]:
        """``handoff greeter → billing, by transfer``, with the time if it stands by itself; and its
        style."""
        found = handoff_of(span)
        why = f", {found.why}" if found.why else ""
        said = f"handoff {found.giver or '?'} {self.glyphs.arrow} {found.taker or '?'}{why}"
        said += f" at {at}" if at else ""
        error = f": {found.error}" if found.error else ""
        return self.safe(said + error), "bold red" if found.failed else "blue"

    def axis(self, scale: Scale, zero_us: int) -> Text:
        """An axis of time, and the time of day that its 0 is at."""
        at = numbers.date(zero_us, "%H:%M:%S")
        return self.row(at, list(axis(scale, zero_us)), "dim")

    def folded(self, line: Text) -> Iterator[Text]:
        """The line, broken where it is wider than it may be: at a gap, else between words."""
        while line.cell_len > self.width:
            plain = line.plain
            spaces = [at for at, letter in enumerate(plain) if letter == " " and plain[:at].strip()]
            fitting = [at for at in spaces if cell_len(plain[:at]) <= self.width]
            gaps = [at for at in fitting if plain[at : at + 2] == "  "]
            if not fitting:
                break
            first, line = line.divide([(gaps or fitting)[-1]])
            yield first
            line = line if gaps else line[1:]
        yield line

    def cut(self, line: Text) -> Text:
        """The line, not wider than it may be; what is cut off is marked."""
        if line.cell_len > self.width:
            line.truncate(self.width, overflow="crop")
            ellipsis = self.glyphs.ellipsis
            line.truncate(self.width - len(ellipsis), overflow="crop")
            line.append(ellipsis)
        line.rstrip()
        return line

    def safe(self, text: str) -> str:
        return words.harmless(text)

    def wrapped(self, text: str, lines: int = _FEW_LINES) -> list[str]:
        """Text as lines for :meth:`indented`, broken between words."""
        return words.wrap(text, self.room - _MARK, lines, self.glyphs.ellipsis)
