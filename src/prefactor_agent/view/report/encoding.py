"""What the page's script draws from: the call as JSON, small enough for long calls.

Long lists of numbers are kept as differences, each in as few bytes as it needs (zigzag varints, in
base64). Texts and messages that occur more than once are kept once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...journal.reader import StoredSpan
from .. import stagenames
from ..turns import kind
from ..values import JSON, listing, mapping
from .curves import Run
from .text import ACTING
from .view import View

TICK_US = 10
"""The unit of time of the data; everything is rounded to it."""
_SHARED_FROM = 24
"""Texts shorter than this are not worth a reference."""
_COLUMNS = {"offset_us", "size", "text", "event", "dbfs", "n"}
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&" + ACTING}


def to_block(value: Any) -> str:
    """JSON that is safe inside a ``<script>`` element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.translate(_ESCAPES)


def varints(values: Iterable[int]) -> str:
    out = bytearray()
    append = out.append
    for value in values:
        value = value << 1 if value >= 0 else ((-value) << 1) - 1
        while value > 0x7F:
            append(value & 0x7F | 0x80)
            value >>= 7
        append(value)
    return base64.b64encode(out).decode("ascii")


def deltas(values: Iterable[int]) -> str:
    """Rising numbers as what each adds to the one before."""

    def steps() -> Iterable[int]:
        before = 0
        for value in values:
            yield value - before
            before = value

    return varints(steps())


class _Shared:
    """Strings and values that the data holds once and refers to by number."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.values: list[Any] = []
        self._string_index: dict[str, int] = {}
        self._value_index: dict[str, int] = {}

    def string(self, text: str) -> int:
        index = self._string_index.get(text)
        if index is None:
            index = self._string_index[text] = len(self.strings)
            self.strings.append(text)
        return index

    def value(self, value: Any) -> int:
        key = json.dumps(value, default=str)
        index = self._value_index.get(key)
        if index is None:
            packed = self.pack(value)
            index = self._value_index[key] = len(self.values)
            self.values.append(packed)
        return index

    def pack(self, value: Any) -> Any:
        """A value with its long texts replaced by ``{"$s": number}`` and its messages by ``{"$l":
        numbers}``; a key of the user's that begins with ``$`` gets a second one."""
        if isinstance(value, str):
            return {"$s": self.string(value)} if len(value) >= _SHARED_FROM else value
        if isinstance(value, dict):
            packed = {}
            for key, part in value.items():
                key = f"${key}" if key.startswith("$") else key
                if key == "messages" and isinstance(part, list):
                    packed[key] = {"$l": [self.value(message) for message in part]}
                else:
                    packed[key] = self.pack(part)
            return packed
        if isinstance(value, list):
            return [self.pack(part) for part in value]
        return value


def encode(view: View) -> JSON:
    """Everything that the timeline and the details are drawn from."""
    call, shared, names = view.call, _Shared(), _Names()
    spans = call.spans_by_time
    number_of = {span.id: index for index, span in enumerate(spans)}
    details, streams = [], []
    for index, span in enumerate(spans):
        result = span.result
        if "streams" in result:
            result = {key: value for key, value in result.items() if key != "streams"}
        details.append([shared.pack(span.payload), shared.pack(result)])
        for name, stream in mapping(span.result.get("streams")).items():
            if isinstance(stream, dict):
                streams.append([index, names(name), *_stream(stream, shared)])
    stages = {name: index for index, name in enumerate(view.silences.stage_names)}
    lasted = dict(_states(spans, call.last_us))
    places = ((span, call.turn_of(span)) for span in spans)
    return {
        "tick_us": TICK_US,
        "origin_us": call.started_us,
        "end": -(-view.ends_us // TICK_US),
        "ids": [span.id for span in spans],
        "types": [names(span.type) for span in spans],
        "titles": [names(span.name) for span in spans],
        "status": [names(span.status) for span in spans],
        "start": deltas(call.at(span) // TICK_US for span in spans),
        "took": varints(_took(span, lasted) for span in spans),
        "parent": [number_of.get(span.parent_id or "", -1) for span in spans],
        "turn": varints(turn.number if turn else 0 for _, turn in places),
        "anchor": [number_of.get(view.anchors.get(span.id, ""), -1) for span in spans],
        "streams": streams,
        "user": [_run(run) for run in view.user],
        "agent": [_run(run) for run in view.agent],
        "stages": [[stagenames.label(name), style] for name, style in view.styles.items()],
        "gaps": [
            [
                (silence.begins_us - call.started_us) // TICK_US,
                (silence.ends_us - call.started_us) // TICK_US,
                round(silence.ms, 3),
                number_of[silence.answer.span.id],
                [[stages[stage.name], round(stage.ms, 3)] for stage in silence.stages],
            ]
            for silence in view.silences.all
        ],
        "names": names.all,
        "strings": shared.strings,
        "values": shared.values,
        "details": details,
    }


class _Names:
    def __init__(self) -> None:
        self.all: list[str] = []
        self._index: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        if name not in self._index:
            self._index[name] = len(self.all)
            self.all.append(name)
        return self._index[name]


def _took(span: StoredSpan, lasted: dict[str, int]) -> int:
    took = lasted.get(span.id, span.duration_us)
    return -1 if took is None else max(0, took // TICK_US)


def _states(spans: Sequence[StoredSpan], last_us: int) -> Iterator[tuple[str, int]]:
    """How long each state lasted: a change has no length, the state goes on until the next one."""
    next_: dict[str, int] = {}
    for span in reversed(spans):
        if kind(span) == "state":
            yield span.id, next_.get(span.name, max(last_us, span.started_us)) - span.started_us
            next_[span.name] = span.started_us


def _run(run: Run) -> list[Any]:
    return [run.begins_us // TICK_US, base64.b64encode(run.levels).decode("ascii")]


def _stream(stream: JSON, shared: _Shared) -> list[Any]:
    """Kind, the exact counts, when each chunk passed, how much it was, and what."""
    offsets = listing(stream.get("offset_us"))
    facts = {key: value for key, value in stream.items() if key not in _COLUMNS}
    times = deltas(int(offset) // TICK_US for offset in offsets)
    if "dbfs" in stream:
        levels = bytes(max(0, min(127, 127 + int(v))) for v in listing(stream["dbfs"]))
        sizes = [int(size) for size in listing(stream.get("size"))]
        even = sizes[0] if sizes and min(sizes) == max(sizes) else varints(sizes)
        return ["audio", facts, times, even, base64.b64encode(levels).decode("ascii")]
    if "event" in stream:
        return ["event", facts, times, shared.pack(listing(stream["event"]))]
    texts = [text if isinstance(text, str) else str(text) for text in listing(stream.get("text"))]
    whole = "".join(texts)
    ascii_ = whole.isascii()
    sizes = [len(text) if ascii_ else _utf16(text) for text in texts]
    return ["text", facts, times, varints(sizes), shared.string(whole)]


def _utf16(text: str) -> int:
    """How long a text is in JavaScript."""
    return len(text) + sum(character > "\uffff" for character in text)
