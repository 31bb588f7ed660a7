"""The conversation of a call as text, which the root span shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...core.bounds import STRING_LIMIT
from ...core.placeholders import EMPTY_TEXT
from ...core.text import cut_text
from ...core.values import text

_BREAK = "  \n"
"""A line break that Markdown keeps: Phoenix draws a session's input and output as such."""


class Line(NamedTuple):
    """What one side said in one turn."""

    at_us: int
    """Microseconds after the beginning of the call."""
    by_user: bool
    words: str
    interrupted: bool = False


def words(value: object) -> str:
    """What was said, or nothing; also of a text without content, which is described."""
    return "" if value == EMPTY_TEXT else text(value)


def lines(turns: Iterable[tuple[bool, int, dict[str, object]]], started_us: int) -> list[Line]:
    """The lines of a conversation. A turn in which nothing was said or heard has none.

    Args:
        turns: Whether it is the user's, when it began (microseconds since the Unix epoch) and its
            result.
        started_us: Of the call.
    """
    found = []
    for by_user, at_us, result in turns:
        if said := words(result.get("transcript" if by_user else "spoken_text")):
            interrupted = not by_user and result.get("interrupted") is True
            found.append(Line(at_us - started_us, by_user, said, interrupted))
    return found


def heard(conversation: Iterable[Line]) -> str | None:
    """What the user said, a line a turn; ``None`` if that was nothing."""
    return _bounded(f"{_clock(one.at_us)} {one.words}" for one in conversation if one.by_user)


def whole(conversation: Iterable[Line]) -> str | None:
    """What both said, a line a turn."""
    return _bounded(f"{_clock(one.at_us)} {_speaker(one)}: {one.words}" for one in conversation)


def _speaker(line: Line) -> str:
    if line.by_user:
        return "User"
    return "Agent (interrupted)" if line.interrupted else "Agent"


def _clock(at_us: int) -> str:
    minutes, passed = divmod(max(0, at_us) // 1_000_000, 60)
    return f"{minutes}:{passed:02d}"


def _bounded(lines_: Iterator[str]) -> str | None:
    return cut_text(_BREAK.join(lines_), STRING_LIMIT) or None
