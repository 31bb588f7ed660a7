"""What passed through a node, chunk by chunk, within a fixed bound of memory.

On the event loop a chunk costs two list appends: when, and what (by reference). Everything else,
sizes and sums and the text itself, is worked out when the stream is *absorbed*, which the journal's
thread does at every flush. A stream keeps its first chunks one by one; past ``DETAIL`` it merges
more and more of them into one row, keeping the counts, the sums and the extremes exact, and says
so."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from livekit.agents import llm, stt
from livekit.agents.types import FlushSentinel

from .clock import now_ns

if TYPE_CHECKING:
    pass

JSON = dict[str, Any]

DETAIL = 2_000
"""Chunks that a stream keeps one by one."""
ROWS_PER_STEP = 500
"""Rows after which twice as many chunks go into each further row."""
UNABSORBED = 4_096
"""Chunks that may wait to be absorbed before the event loop does it itself."""
TEXT_LIMIT = 262_144
"""Characters of text that a stream keeps; it goes on counting past that."""


class Stream:
    """A stream of text chunks. The other kinds differ in how they read a chunk."""

    kind = "text"
    unit = "characters"

    __slots__ = (
        "_absorbed",
        "_lock",
        "_pending",
        "_rows",
        "_text_kept",
        "count",
        "first_ns",
        "items",
        "largest",
        "last_ns",
        "longest_gap_ns",
        "rows_closed",
        "smallest",
        "started_ns",
        "text",
        "times",
        "total",
    )

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.times: list[int] = []
        self.items: list[Any] = []
        self._lock = threading.Lock()
        self._rows: list[list[Any]] = []
        self._pending: list[Any] | None = None
        self._text_kept = 0
        self.rows_closed = 0
        self.text: list[str] = []
        self.count = 0
        self.total = 0
        self.smallest: int | None = None
        self.largest = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.longest_gap_ns = 0

    # On the event loop. The wrappers in nodes.py inline this pair of appends for text.

    def add(self, item: Any) -> None:
        self.times.append(now_ns())
        self.items.append(item)
        if len(self.items) >= UNABSORBED:
            self.absorb()

    @property
    def first(self) -> int | None:
        """When the first chunk passed, also before it was absorbed."""
        if self.first_ns is not None:
            return self.first_ns
        return next(iter(self.times), None)

    # On whichever thread keeps the spans.

    def absorb(self) -> None:
        """Work through the chunks that wait. Does nothing while another thread is at it."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            waiting = len(self.items)  # the item is appended last: its time is there already
            times, items = self.times[:waiting], self.items[:waiting]
            del self.times[:waiting]
            del self.items[:waiting]
            for moment, item in zip(times, items, strict=True):
                self._absorb(moment, item)
        finally:
            self._lock.release()

    def take_rows(self, *, final: bool = False) -> JSON | None:
        """The rows closed since the last call, as columns; with ``final`` the one in the making
        too."""
        self.absorb()
        if final and self._pending is not None:
            self._close_pending()
        rows, self._rows = self._rows, []
        return self.columns(rows) if rows else None

    def columns(self, rows: Iterable[list[Any]]) -> JSON:
        offsets, sizes, values, counts = zip(*rows, strict=True)
        columns: JSON = {
            "offset_us": list(offsets),
            "size": list(sizes),
            self.value_name(): list(values),
        }
        if any(count != 1 for count in counts):
            columns["n"] = list(counts)
        return columns

    def value_name(self) -> str:
        return "text"

    def summary(self) -> JSON:
        """The exact counts, sums and extremes of the whole stream."""
        summary: JSON = {
            "kind": self.kind,
            "unit": self.unit,
            "count": self.count,
            "total": self.total,
        }
        if self.count and self.first_ns is not None and self.last_ns is not None:
            summary |= {
                "first_us": (self.first_ns - self.started_ns) // 1000,
                "last_us": (self.last_ns - self.started_ns) // 1000,
                "longest_gap_us": self.longest_gap_ns // 1000,
                "smallest": self.smallest,
                "largest": self.largest,
            }
        if self.count > self.rows_closed:
            summary["merged"] = True
        if self._text_kept > TEXT_LIMIT:
            summary["text_cut"] = True
        return summary

    def read(self, item: Any) -> tuple[int, Any]:
        """The size of a chunk, and what is kept of it."""
        text = item if isinstance(item, str) else ""
        return len(text), self.keep_text(text)

    def keep_text(self, text: str) -> str:
        # str(): a TimedString carries timings that the trace does not need, and is a subclass.
        kept = str(text)
        if self._text_kept + len(kept) > TEXT_LIMIT:
            kept = kept[: max(0, TEXT_LIMIT - self._text_kept)]
        self._text_kept += len(text)
        if kept:
            self.text.append(kept)
        return kept

    def merge(self, row: list[Any], value: Any, size: int) -> None:
        """Fold a chunk into a row that stands for several."""
        row[2] += value

    def _absorb(self, moment: int, item: Any) -> None:
        size, value = self.read(item)
        self.count += 1
        self.total += size
        if self.last_ns is None:
            self.first_ns = moment
        else:
            self.longest_gap_ns = max(self.longest_gap_ns, moment - self.last_ns)
        self.last_ns = moment
        self.smallest = size if self.smallest is None else min(self.smallest, size)
        self.largest = max(self.largest, size)

        pending = self._pending
        if pending is None:
            self._pending = pending = [(moment - self.started_ns) // 1000, size, value, 1]
        else:
            self.merge(pending, value, size)
            pending[1] += size
            pending[3] += 1
        if pending[3] >= self._row_capacity():
            self._close_pending()

    def _row_capacity(self) -> int:
        """How many chunks go into the present row: 1, then 2, 4, 8 …"""
        steps = max(0, self.rows_closed - DETAIL + ROWS_PER_STEP) // ROWS_PER_STEP
        return 1 << min(steps, 20)

    def _close_pending(self) -> None:
        assert self._pending is not None
        self._rows.append(self._pending)
        self._pending = None
        self.rows_closed += 1


class LLMOutput(Stream):
    """What an LLM node yields: text, ``ChatChunk``s with text, tool calls and usage, flush
    marks."""

    __slots__ = ("finish_reason", "request_id", "tool_calls", "usage")

    def __init__(self, started_ns: int) -> None:
        super().__init__(started_ns)
        self.tool_calls: list[JSON] = []
        self.usage: JSON | None = None
        self.request_id: str | None = None
        self.finish_reason: str | None = None

    def read(self, item: Any) -> tuple[int, Any]:
        if isinstance(item, str):
            return super().read(item)
        if not isinstance(item, llm.ChatChunk):
            return 0, "" if isinstance(item, FlushSentinel) else f"<{type(item).__name__}>"
        if item.id:
            self.request_id = item.id
        if item.usage is not None:
            self.usage = item.usage.model_dump(exclude_none=True)
        if item.delta is None:
            return 0, ""
        for call in item.delta.tool_calls:
            self.tool_calls.append(
                {"call_id": call.call_id, "name": call.name, "arguments": call.arguments}
            )
        text = item.delta.content or ""
        return len(text), self.keep_text(text)


class SpeechEvents(Stream):
    """What an STT node yields. Events are few: each is kept with its texts."""

    kind = "event"
    unit = "characters"

    __slots__ = ()

    def value_name(self) -> str:
        return "event"

    def read(self, item: Any) -> tuple[int, Any]:
        if isinstance(item, str):
            return len(item), {"type": "text", "text": self.keep_text(item)}
        if not isinstance(item, stt.SpeechEvent):
            return 0, {"type": type(item).__name__}
        event: JSON = {"type": item.type.value}
        if not item.alternatives:
            return 0, event
        best = item.alternatives[0]
        event["text"] = self.keep_text(best.text)
        if best.confidence:
            event["confidence"] = round(best.confidence, 4)
        return len(best.text), event

    def merge(self, row: list[Any], value: Any, size: int) -> None:
        row[2] = value  # an interim transcript is replaced by the next one


class AudioLevels(Stream):
    """Audio frames: how many samples, and how loud. Fed by :class:`.audio.AudioTap`.

    The loudness of a frame is worked out when it passes (the frame may be changed in place right
    after); what waits to be absorbed is one integer, ``samples << 8 | -level``."""

    kind = "audio"
    unit = "samples"

    __slots__ = ("channels", "energy", "loudest", "sample_rate")

    def __init__(self, started_ns: int) -> None:
        super().__init__(started_ns)
        self.sample_rate: int | None = None
        self.channels: int | None = None
        self.loudest: int | None = None

    def value_name(self) -> str:
        return "dbfs"

    def read(self, item: Any) -> tuple[int, Any]:
        level = -(item & 0xFF)
        self.loudest = level if self.loudest is None else max(self.loudest, level)
        return item >> 8, level

    def merge(self, row: list[Any], value: Any, size: int) -> None:
        # The loudest of a row: a curve of peaks still shows each word when it is drawn small.
        row[2] = max(row[2], value)

    @property
    def seconds(self) -> float | None:
        return self.total / self.sample_rate if self.sample_rate else None

    def summary(self) -> JSON:
        summary = super().summary()
        if self.sample_rate:
            summary |= {
                "sample_rate": self.sample_rate,
                "channels": self.channels,
                "seconds": round(self.total / self.sample_rate, 6),
                "loudest_dbfs": self.loudest,
            }
        return summary
