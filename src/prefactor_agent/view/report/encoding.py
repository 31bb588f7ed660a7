"""What the page's script draws from: the call as JSON, small enough for long calls.

Long lists of numbers are kept as differences, each in as few bytes as it needs (zigzag varints, in
base64). Texts and messages that occur more than once are kept once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

from ...core.json import JSON
from ...core.values import as_list, mapping
from ...stored.recording import Recording
from ...stored.span import StoredSpan
from ..model import stagenames, travel
from ..model.calltree import CallTree
from ..model.keys import keys_of
from ..model.off_the_record import off_the_record
from ..model.silences import Silence
from ..model.turns import kind
from ..model.updates import over_us, updates
from .curves import Run, level
from .listening import heard_turns
from .safe import ACTING
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
    """Each in as few bytes as it needs, in base64."""
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
    return varints(after - before for before, after in pairwise(chain((0,), values)))


class _Strings:
    """Strings that the data holds once and refers to by number."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def __call__(self, string: str) -> int:
        number = self._numbers.setdefault(string, len(self.all))
        if number == len(self.all):
            self.all.append(string)
        return number


class _Shared:
    """Texts and values that the data holds once and refers to by number."""

    def __init__(self) -> None:
        self.string = _Strings()
        self.values: list[Any] = []
        self._value_numbers: dict[str, int] = {}

    def value(self, value: Any) -> int:
        key = json.dumps(value, default=str)
        if key not in self._value_numbers:
            packed = self.pack(value)  # which may add others
            self._value_numbers[key] = len(self.values)
            self.values.append(packed)
        return self._value_numbers[key]

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
    """Everything that the timeline and the details are drawn from. Lists that have as many items as
    ``ids`` are of the spans; a place in them is how spans refer to each other (-1: to none)."""
    call, shared, names = view.call, _Shared(), _Strings()
    spans = call.spans_by_time
    place_of = {span.id: place for place, span in enumerate(spans)}
    stage_of = {name: index for index, name in enumerate(view.silences.stage_names)}
    details, streams = _contents(call, names, shared)
    lasted = {**dict(_states(spans, call.last_us)), **dict(_background(call))}
    turns = (call.turn_of(span) for span in spans)
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
        "parent": [place_of.get(span.parent_id or "", -1) for span in spans],
        "turn": varints(turn.number if turn else 0 for turn in turns),
        "anchor": [place_of.get(view.anchors.get(span.id, ""), -1) for span in spans],
        "streams": streams,
        "keys": [
            [call_us // TICK_US, key.digit, key.sent]
            for key in keys_of(call)
            if (call_us := key.at_us - call.started_us) >= 0
        ],
        "sound": [
            [one.from_us // TICK_US, one.to_us // TICK_US, one.voice == "agent", one.badness]
            for one in travel.samples(call)
        ],
        "user": [_run(run) for run in view.user],
        "agent": [_run(run) for run in view.agent],
        "stages": [[stagenames.label(name), style] for name, style in view.styles.items()],
        "gaps": [
            _gap(silence, call.started_us, place_of, stage_of) for silence in view.silences.all
        ],
        "names": names.all,
        "strings": shared.string.all,
        "values": shared.values,
        "details": details,
    }


def encode_recording(view: View, recording: Recording) -> JSON:
    """What is added to it to play the call: from when to when there is sound, when each turn is
    heard, and what was kept off the record."""
    call = view.call
    begins_us = recording.begins_us - call.started_us
    place_of = {span.id: place for place, span in enumerate(call.spans_by_time)}
    return {
        "recording": {
            "from": begins_us // TICK_US,
            "to": (begins_us + round(recording.duration_s * 1e6)) // TICK_US,
            "turns": [
                [place_of[turn.span_id], turn.begins_us // TICK_US, turn.ends_us // TICK_US]
                for turn in heard_turns(call)
            ],
            "off": [
                [(at - call.started_us) // TICK_US for at in part] for part in off_the_record(call)
            ],
        }
    }


def _contents(call: CallTree, names: _Strings, shared: _Shared) -> tuple[list[Any], list[Any]]:
    """What each span says, and the streams of all of them."""
    details, streams = [], []
    for place, span in enumerate(call.spans_by_time):
        result = span.result
        if "streams" in result:
            result = {key: value for key, value in result.items() if key != "streams"}
        details.append([shared.pack(span.payload), shared.pack(result)])
        for name, stream in mapping(span.result.get("streams")).items():
            if isinstance(stream, dict):
                streams.append([place, names(name), *_stream(stream, shared)])
        if kind(span) == "tool" and (reported := _reported(call, span)):
            streams.append([place, names("updates"), *_stream(reported, shared)])
    return details, streams


def _reported(call: CallTree, tool: StoredSpan) -> JSON:
    """What a tool reported while it ran, in the form of a stream."""
    found = [one for one in updates(call, tool) if one.at_us >= tool.started_us]
    if not found:
        return {}
    return {
        "count": len(found),
        "offset_us": [one.at_us - tool.started_us for one in found],
        "event": [
            {"type": "for the model alone" if one.silent else "update", "text": one.text}
            for one in found
        ],
    }


def _background(call: CallTree) -> Iterator[tuple[str, int]]:
    """How long each tool ran that outlived its turn."""
    for tool in call.spans_by_time:
        if kind(tool) == "tool" and (over := over_us(call, tool)) is not None:
            yield tool.id, over - tool.started_us


def _gap(
    silence: Silence, zero_us: int, place_of: dict[str, int], stage_of: dict[str, int]
) -> list[Any]:
    return [
        (silence.begins_us - zero_us) // TICK_US,
        (silence.ends_us - zero_us) // TICK_US,
        round(silence.ms, 3),
        place_of[silence.answer.span.id],
        [[stage_of[stage.name], round(stage.ms, 3)] for stage in silence.stages],
    ]


def _took(span: StoredSpan, lasted: dict[str, int]) -> int:
    """How long a span was, in ticks; -1: it has no end; -2: not known."""
    if span.at_provider:
        return -2
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
    offsets = as_list(stream.get("offset_us"))
    facts = {key: value for key, value in stream.items() if key not in _COLUMNS}
    times = deltas(int(offset) // TICK_US for offset in offsets)
    if "dbfs" in stream:
        levels = bytes(map(level, as_list(stream["dbfs"])))
        sizes = [int(size) for size in as_list(stream.get("size"))]
        even = sizes[0] if sizes and min(sizes) == max(sizes) else varints(sizes)
        return ["audio", facts, times, even, base64.b64encode(levels).decode("ascii")]
    if "event" in stream:
        return ["event", facts, times, shared.pack(as_list(stream["event"]))]
    texts = [text if isinstance(text, str) else str(text) for text in as_list(stream.get("text"))]
    whole = "".join(texts)
    ascii_ = whole.isascii()
    sizes = [len(text) if ascii_ else _utf16(text) for text in texts]
    return ["text", facts, times, varints(sizes), shared.string(whole)]


def _utf16(text: str) -> int:
    """How long a text is in JavaScript."""
    return len(text) + sum(character > "\uffff" for character in text)
