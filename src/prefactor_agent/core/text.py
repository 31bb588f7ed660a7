"""Texts: numbers of things in words that agree, why a file cannot be used, long texts cut to a
length, broken ones mended."""

from __future__ import annotations

import re

_CUT = re.compile(r"… \[(\d+) more characters\]$")


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 call``, ``2 calls``; ``many`` where an ``s`` does not make the plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def cut_text(text: str, limit: int) -> str:
    """A text with its end cut off, and a mark that says how much is missing. Of a text that was cut
    before, the mark does not count, and what is missing adds up."""
    if len(text) <= limit:
        return text
    missing = 0
    if (marked := _CUT.search(text, max(0, len(text) - 40))) is not None:
        missing, text = int(marked[1]), text[: marked.start()]
        if len(text) <= limit:
            return f"{text}{marked[0]}"
    return f"{text[:limit]}… [{missing + len(text) - limit} more characters]"


def why(error: OSError) -> str:
    """What the system says of a file that cannot be used: ``No such file or directory``."""
    return error.strerror or type(error).__name__


def well_formed(text: str) -> str:
    """A text that can be written as UTF-8. Half an emoji, which is what a model's stream or a JSON
    escape can end with, becomes the sign for a character that is none; two halves become one."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
