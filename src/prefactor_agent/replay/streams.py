"""Words and audio out of a span's streams. Words may be missing: redacted, cut, or not captured."""

from __future__ import annotations

import re
from typing import Any

from ..core import placeholders
from ..stored.span import StoredSpan
from .format import Audio, Text

_CUT = re.compile(r"… \[\d+ more (?:characters|items)\]")
"""What bounds put in the place of words (core/bounds.py)."""


class Words:
    """Takes words from a trace, and collects the names of what lacks words."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def lack(self, name: str) -> None:
        if name not in self.missing:
            self.missing.append(name)

    def whole(self, name: str, text: Any) -> str:
        """A text, if all of its words are there; empty otherwise."""
        if not isinstance(text, str) or _is_incomplete(text):
            self.lack(name)
            return ""
        return text

    def pieces(self, name: str, span: StoredSpan, stream: str) -> Text:
        """The text of a stream. Chunks that were kept without their words get them from the whole
        text, if nothing was taken out of that (a pattern that found nothing)."""
        data = span.stream(stream)
        texts = [str(text) for text in data.get("text", ())]
        sizes = data.get("size", ())
        whole = self.whole(name, span.result.get("text", ""))
        if data.get("text_cut"):
            self.lack(name)
        if sum(map(len, texts)) != sum(sizes):
            if sum(sizes) != len(whole):
                self.lack(name)
            texts, position = [], 0
            for size in sizes:
                texts.append(whole[position : position + size])
                position += size
        for text in texts:
            self.whole(name, text)
        return Text(offset_us=tuple(data.get("offset_us", ())), text=tuple(texts))


def _is_incomplete(text: str) -> bool:
    """Whether words of a text, or all of it, are not in the trace."""
    return bool(
        placeholders.ANY_IN_TEXT.search(text)
        or placeholders.TYPE_OF_VALUE.fullmatch(text.strip('"'))
        or _CUT.search(text)
    )


def audio_of(span: StoredSpan) -> Audio | None:
    """What passed through a span's stream of audio; ``None``: nothing was recorded."""
    data = span.stream("audio")
    if not data.get("sample_rate") or not data.get("dbfs"):
        return None
    columns = {key: tuple(data[key]) for key in ("offset_us", "size", "dbfs")}
    return Audio(sample_rate=data["sample_rate"], **columns)
