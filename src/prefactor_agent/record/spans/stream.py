"""What passed through a node, chunk by chunk, within a fixed bound of memory.

On the event loop a chunk costs two list appends: when, and what (by reference). Everything else,
sizes and sums and the text itself, is worked out when the stream is *absorbed*, which the journal's
thread does at every flush. A stream keeps its first chunks one by one; past ``DETAIL`` it merges
more and more of them into one row, keeping the counts, the sums and the extremes exact, and says
so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from livekit.agents import llm, stt

from ...core.clock import now_ns
from ...core.forks import at_fork
from ...core.json import JSON

DETAIL = 2_000
"""Chunks that a stream keeps one by one."""
ROWS_PER_STEP = 500
"""Rows after which twice as many chunks go into each further row."""
UNABSORBED = 4_096
"""Chunks that may wait to be absorbed before the event loop does it itself."""
TEXT_LIMIT = 262_144
"""Characters of text that a stream keeps; it goes on counting past that."""


_absorbing = threading.Lock()
"""One for all streams: they are absorbed one after the other anyway, and a lock is not free."""


def _in_child() -> None:
    global _absorbing
    _absorbing = threading.Lock()  # a thread that is not there may hold the other


at_fork(after_in_child=_in_child)


class Stream:
    """A stream of text chunks. The other kinds differ in how they read a chunk."""

    kind = "text"
    unit = "characters"
    value_name = "text"

    __slots__ = (
        "_counts",
        "_offsets",
        "_pending",
        "_sizes",
        "_text_seen",
        "_values",
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
        # The rows that were not taken yet, as columns.
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._values: list[Any] = []
        self._counts: list[int] = []
        self._pending: list[Any] | None = None
        self._text_seen = 0
        self.rows_closed = 0
        self.text: list[str] = []
        self.count = 0
        self.total = 0
        self.smallest: int | None = None
        self.largest = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.longest_gap_ns = 0

    # On the event loop. The wrapper in passthrough.py has this in line for text.

    def extract(self, item: Any) -> Any:
        """What to keep of a chunk until it is absorbed."""
        return item

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
        if not self.items or not _absorbing.acquire(blocking=False):
            return
        try:
            waiting = len(self.items)  # the item is appended last: its time is there already
            times, items = self.times[:waiting], self.items[:waiting]
            del self.times[:waiting]
            del self.items[:waiting]
            sizes, values = self.read(items)
            self._measure(times, sizes)
            if self.rows_closed + waiting <= DETAIL:
                started = self.started_ns
                self._offsets += [(moment - started) // 1000 for moment in times]
                self._sizes += sizes
                self._values += values
                self._counts += [1] * waiting
                self.rows_closed += waiting
            else:
                for row in zip(times, sizes, values, strict=True):
                    self._merge_in(*row)
        finally:
            _absorbing.release()

    def take_rows(self, *, final: bool = False) -> JSON | None:
        """The rows closed since the last call, as columns; ``final``: the one in the making too."""
        self.absorb()
        if final and self._pending is not None:
            self._close_pending()
        if not self._offsets:
            return None
        columns: JSON = {
            "offset_us": self._offsets,
            "size": self._sizes,
            self.value_name: self._values,
        }
        if max(self._counts) > 1:
            columns["n"] = self._counts
        self._offsets, self._sizes, self._values, self._counts = [], [], [], []
        return columns

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
        if self._text_seen > TEXT_LIMIT:
            summary["text_cut"] = True
        return summary

    def read(self, items: list[Any]) -> tuple[list[int], list[Any]]:
        """The sizes of some chunks, and what is kept of each."""
        return self.keep_text([_text(item) if isinstance(item, str) else "" for item in items])

    def keep_text(self, texts: list[str]) -> tuple[list[int], list[str]]:
        """The sizes of some texts, and the texts as far as they fit the limit."""
        sizes = [len(text) for text in texts]
        before, self._text_seen = self._text_seen, self._text_seen + sum(sizes)
        if self._text_seen > TEXT_LIMIT:
            room = max(0, TEXT_LIMIT - before)
            for index, text in enumerate(texts):
                texts[index] = text[:room]
                room -= len(texts[index])
        self.text += texts
        return sizes, texts

    def merge(self, row: list[Any], value: Any) -> None:
        """Fold a chunk into a row that stands for several."""
        row[2] += value

    def _measure(self, times: list[int], sizes: list[int]) -> None:
        previous = self.last_ns if self.last_ns is not None else times[0]
        gaps = [moment - before for before, moment in zip([previous, *times], times, strict=False)]
        self.longest_gap_ns = max(self.longest_gap_ns, *gaps)
        if self.first_ns is None:
            self.first_ns = times[0]
        self.last_ns = times[-1]
        self.count += len(times)
        self.total += sum(sizes)
        smallest = min(sizes)
        self.smallest = smallest if self.smallest is None else min(self.smallest, smallest)
        self.largest = max(self.largest, *sizes)

    def _merge_in(self, moment: int, size: int, value: Any) -> None:
        pending = self._pending
        if pending is None:
            self._pending = pending = [(moment - self.started_ns) // 1000, size, value, 1]
        else:
            self.merge(pending, value)
            pending[1] += size
            pending[3] += 1
        # How many chunks go into the present row: 1, then 2, 4, 8 …
        steps = max(0, self.rows_closed - DETAIL + ROWS_PER_STEP) // ROWS_PER_STEP
        if pending[3] >= 1 << min(steps, 20):
            self._close_pending()

    def _close_pending(self) -> None:
        assert self._pending is not None
        offset, size, value, count = self._pending
        self._offsets.append(offset)
        self._sizes.append(size)
        self._values.append(value)
        self._counts.append(count)
        self._pending = None
        self.rows_closed += 1


class LLMOutput(Stream):
    """What an LLM node yields: text, ``ChatChunk``s with text, tool calls and usage, flush
    marks."""

    __slots__ = ("_token_at", "request_id", "token_ns", "tool_calls", "usage")

    def __init__(self, started_ns: int) -> None:
        super().__init__(started_ns)
        self.token_ns: int | None = None
        self._token_at: int | None = None
        """Which of the chunks that are being absorbed is the first token."""
        self.tool_calls: list[JSON] = []
        self.usage: JSON | None = None
        self.request_id: str | None = None

    def extract(self, item: Any) -> Any:
        """What to keep of a chunk until it is absorbed: of most, only their text.

        A chunk is a tree of objects that dies young without us. Kept until the next flush, some
        hundred of them grow old in the garbage collector, whose passes take longer than all else.
        """
        try:
            delta = item.delta
            text = delta.content
            if not text or delta.tool_calls or item.usage is not None:
                return item
            if self.request_id is None:
                self.request_id = item.id
            return text
        except Exception:  # no chunk; what its attributes raise is its own affair
            return item

    @property
    def first(self) -> int | None:
        """When the first token passed: a chunk with text or a tool call. Providers send empty
        chunks before it (the role, a sign that they are alive)."""
        if self.token_ns is not None:
            return self.token_ns
        items, times = self.items[:], self.times[:]
        if len(items) != len(times):
            return None  # another thread is absorbing them
        return next((at for at, item in zip(times, items, strict=True) if _is_token(item)), None)

    def read(self, items: list[Any]) -> tuple[list[int], list[Any]]:
        if self.token_ns is None:
            self._token_at = next((at for at, one in enumerate(items) if _is_token(one)), None)
        return self.keep_text([self._text_of(item) for item in items])

    def _measure(self, times: list[int], sizes: list[int]) -> None:
        if self.token_ns is None and self._token_at is not None:
            self.token_ns = times[self._token_at]
        super()._measure(times, sizes)

    def _text_of(self, item: Any) -> str:
        if isinstance(item, str):
            return _text(item)
        if not isinstance(item, llm.ChatChunk):
            return ""
        if item.id:
            self.request_id = item.id
        if item.usage is not None:
            self.usage = item.usage.model_dump(exclude_none=True)
        delta = item.delta
        if delta is None:
            return ""
        for call in delta.tool_calls:
            self.tool_calls.append(
                {"call_id": call.call_id, "name": call.name, "arguments": call.arguments}
            )
        return delta.content or ""


def _is_token(item: Any) -> bool:
    if isinstance(item, str):
        return item != ""
    delta = item.delta if isinstance(item, llm.ChatChunk) else None
    return delta is not None and bool(delta.content or delta.tool_calls)


class SpeechEvents(Stream):
    """What an STT node yields. Events are few: each is kept with its texts."""

    kind = "event"
    value_name = "event"

    __slots__ = ()

    def read(self, items: list[Any]) -> tuple[list[int], list[Any]]:
        sizes, texts = self.keep_text([_speech_text(item) for item in items])
        return sizes, [_event(item, text) for item, text in zip(items, texts, strict=True)]

    def merge(self, row: list[Any], value: Any) -> None:
        row[2] = value  # an interim transcript is replaced by the next one


def _speech_text(item: Any) -> str:
    if isinstance(item, stt.SpeechEvent):
        return (item.alternatives[0].text or "") if item.alternatives else ""
    return _text(item) if isinstance(item, str) else ""


def _text(item: str) -> str:
    """The characters alone: a TimedString carries timings that the trace does not need, and an enum
    of texts calls itself by its name."""
    return str.__str__(item)


def _event(item: Any, text: str) -> JSON:
    if not isinstance(item, stt.SpeechEvent):
        return {"type": "text" if isinstance(item, str) else type(item).__name__, "text": text}
    event: JSON = {"type": item.type.value}
    if item.alternatives:
        event["text"] = text
        if item.alternatives[0].confidence:  # LiveKit says 0.0 where it is not known
            event["confidence"] = round(item.alternatives[0].confidence, 4)
    return event


class AudioLevels(Stream):
    """Audio frames: how many samples, and how loud. Fed by the two voices in record/audio.

    What waits to be absorbed is one integer for each frame, ``samples << 8 | -level``. The items
    can come a little after their times: the voice works out the loudness of several frames at once.
    """

    kind = "audio"
    unit = "samples"
    value_name = "dbfs"

    __slots__ = ("channels", "loudest", "sample_rate", "source")

    def __init__(self, started_ns: int) -> None:
        super().__init__(started_ns)
        self.sample_rate: int | None = None
        self.channels: int | None = None
        self.loudest: int | None = None
        self.source: Callable[[], object] | None = None

    def complete(self) -> None:
        """The span ends: have the source add what has passed and was not added yet."""
        source, self.source = self.source, None
        if source is not None:
            source()

    def read(self, items: list[Any]) -> tuple[list[int], list[Any]]:
        levels = [-(item & 0xFF) for item in items]
        loudest = max(levels)
        self.loudest = loudest if self.loudest is None else max(self.loudest, loudest)
        return [item >> 8 for item in items], levels

    def merge(self, row: list[Any], value: Any) -> None:
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
