"""Values as a person reads them in a terminal: text of the user's made harmless, numbers, dates."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime
from typing import Any

from rich.cells import cell_len, chop_cells, set_cell_size

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LONGEST = 4_000
"""Characters of one text that are shown at most."""


def harmless(text: str) -> str:
    """One line of visible characters: control sequences and direction marks are spelled out.

    What was said, and what a tool returned, comes from strangers: it must not move the cursor,
    change colours or turn the line around."""
    cut = text[: _LONGEST + 1]
    line = " ".join(cut.split())
    if not line.isascii() or not line.isprintable():
        line = "".join(_visible(character) for character in line)
    return line if len(cut) <= _LONGEST else line[:_LONGEST] + "…"


def _visible(character: str) -> str:
    # The joiner holds emoji and several scripts together, and does nothing else.
    if character == "\u200d" or unicodedata.category(character) not in _UNSEEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """``text`` in at most ``width`` cells; what is cut off is marked."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - cell_len(ellipsis))).rstrip() + ellipsis


def wrap(text: str, width: int, limit: int, ellipsis: str = "…") -> list[str]:
    """``text`` broken between words into lines of ``width`` cells, at most ``limit`` of them."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
            continue
        if not lines[-1]:
            lines.pop()
        lines += chop_cells(word, width) if cell_len(word) > width else [word]
        if len(lines) > limit:
            break
    if len(lines) > limit:
        return [*lines[: limit - 1], fit(lines[limit - 1] + " " * width, width, ellipsis)]
    return lines


def length(microseconds: float) -> str:
    """``0.5 ms``, ``320 ms``, ``1.42 s``, ``12.3 s``, ``2:05``, ``1:02:05``."""
    ms = microseconds / 1000
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    )


def clock(microseconds: int) -> str:
    """A moment of a call, from its beginning: ``0:04.1``."""
    tenths = max(0, microseconds) // 100_000
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{start}:{tenths // 10:02}.{tenths % 10}"


def date(unix_us: int, form: str = "%d %b %Y %H:%M:%S") -> str:
    """In the reader's own time zone."""
    return f"{datetime.fromtimestamp(unix_us / 1e6).astimezone():{form}}"


def count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def arguments(inputs: Any) -> str:
    """``city="Paris", days=2``."""
    if not isinstance(inputs, dict):
        return value(inputs)
    return ", ".join(f"{key}={value(part)}" for key, part in inputs.items())


def value(part: Any) -> str:
    return json.dumps(part, ensure_ascii=False, default=str)
