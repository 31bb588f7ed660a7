"""The lines that a call is drawn in: a label on the left, and what belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from ..journal.reader import StoredSpan
from . import words
from .draw import Glyphs
from .values import mapping

LABEL = 13
FIRST = 11
LENGTH = 8
_TEXT_LINES = 6

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
    """Makes lines of one width in one set of characters."""

    def __init__(self, width: int, glyphs: Glyphs) -> None:
        self.width, self.glyphs = width, glyphs
        self.bars = width - 2 - LABEL - 1 - 1 - FIRST - 1 - LENGTH

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
        line.append(" " * (LABEL + 3 - line.cell_len))
        for guide, run in groupby(cells, lambda cell: cell == self.glyphs.guide):
            line.append("".join(run), "dim" if guide else style)
        return line.append(note, note_style)

    def words(self, who: str, text: str, style: str, text_style: str = "") -> Iterator[Text]:
        """What somebody said, broken into lines."""
        room = self.width - 2 - LABEL - 1 - 2
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

    def error(self, span: StoredSpan, at: str = "") -> Iterator[Text]:
        """An error, with the time if it stands by itself."""
        payload = span.payload
        source = str(payload.get("source", ""))
        text = ": ".join(part for part in (source, error_text(payload)) if part)
        if payload.get("recoverable"):
            text += " (recoverable)"
        yield from self.red(f"{text} at {at}" if at else text)

    def red(self, text: str) -> Iterator[Text]:
        room = self.width - 2 - LABEL - 1 - 2
        mark = self.glyphs.cross
        for line in words.wrap(self.safe(text), room, 3, self.glyphs.ellipsis):
            yield Text(" " * (LABEL + 3) + f"{mark:<2}{line}", "bold red")
            mark = ""

    def handoff(self, span: StoredSpan) -> str:
        """``handoff greeter → billing by transfer``."""
        from_, to, why = handoff_of(span)
        why = f", {why}" if why else ""
        return self.safe(f"handoff {from_ or '?'} {self.glyphs.arrow} {to or '?'}{why}")

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


def error_text(error: object) -> str:
    if not isinstance(error, dict):
        return str(error or "")
    return ": ".join(str(error[key]) for key in ("error_type", "message") if error.get(key))


def handoff_of(span: StoredSpan) -> tuple[str, str, str]:
    """From which agent to which, and why; what is not known is empty."""

    def name(key: str) -> str:
        told = span.payload.get(key, span.result.get(key))
        return str(told or "")

    tool, cause = name("tool_name"), name("cause")
    if cause == "task_completed":
        return name("from"), name("to"), f"back to {tool}" if tool else "the task is done"
    by = {"tool": "a tool", "hook": "a hook", "program": "the program"}.get(cause, cause)
    why = f"by {tool or by}" if tool or by else ""
    return name("from"), name("to"), why


def tool_outcome(span: StoredSpan) -> tuple[str, str]:
    """What a tool call came to, and its style."""
    result = span.result
    if error := result.get("error"):
        return error_text(error), "red"
    outputs = mapping(result.get("outputs"))
    match result.get("outcome"):
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
