"""Text as a person reads it in a terminal: the user's made harmless, and fitted to the width."""

from __future__ import annotations

import json
import unicodedata
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


def arguments(inputs: Any) -> str:
    """``city="Paris", days=2``."""
    if not isinstance(inputs, dict):
        return value(inputs)
    return ", ".join(f"{key}={value(part)}" for key, part in inputs.items())


def value(part: Any) -> str:
    return json.dumps(part, ensure_ascii=False, default=str)
