"""A trace as plain data that is the same in every run. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.json import JSON
from ..stored.span import StoredSpan
from ..view.model.turns import kind
from .tree import children

_TIME = re.compile(
    r"_(?:us|ms|s|at|seconds|delay|duration|speed)$|^(?:timestamp|real_time_factor)$"
)
_ITEM = re.compile(r"^item_[0-9a-f]{12}$")
"""What LiveKit calls an item of the history (llm/chat_context.py, ``utils.shortuuid``)."""
_DATA = frozenset(["inputs", "outputs", "output", "arguments"])
"""What the agent's own code gives and takes: numbers in it are values, not measurements."""
_STREAM = ("kind", "text", "event")
"""What stays of a stream: when and in how many pieces audio came depends on the machine."""


def snapshot(spans: Sequence[StoredSpan]) -> list[JSON]:
    """The trees of all sessions, for a comparison with what was written down before.

    - Ids are ``span-1``, ``span-2`` … in the order of the tree, other ids (``speech_id`` …) are
      named in the same way, and stay equal where they were.
    - The clock is a logical one: it begins at 0, and each beginning and end of a span is one
      second later than the one before it in the tree.
    - A measurement is ``"<measured>"``; that it was made stays.
    - Of audio only its being there stays.
    """
    below = children(spans)
    names = _Names()
    for root in below[None]:
        _name_all(root, below, names)
    clock = iter(range(len(spans) * 2))
    return [_span(root, below, names, clock) for root in below[None]]


class _Names:
    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def name(self, value: str, noun: str) -> str:
        if value not in self._known:
            self._counts[noun] = self._counts.get(noun, 0) + 1
            self._known[value] = f"{noun}-{self._counts[noun]}"
        return self._known[value]


def _name_all(
    span: StoredSpan, below: Mapping[str | None, list[StoredSpan]], names: _Names
) -> None:
    names.name(span.id, "span")
    for child in below[span.id]:
        _name_all(child, below, names)


def _span(
    span: StoredSpan, below: Mapping[str | None, list[StoredSpan]], names: _Names, clock: Any
) -> JSON:
    made: JSON = {
        "id": names.name(span.id, "span"),
        "type": span.type,
        "name": span.name,
        "status": span.status,
        "started_s": next(clock),
        "payload": _plain(span.payload, names, kind(span) == "tool"),
        "children": [_span(child, below, names, clock) for child in below[span.id]],
        "result": _plain(span.result, names, kind(span).startswith("tool")),
    }
    made["finished_s"] = next(clock) if span.finished_us is not None else None
    return made


def _plain(value: Any, names: _Names, data: bool, key: str = "") -> Any:
    """
    Args:
        data: ``value`` is of a tool's span, where inputs and outputs are the agent's own.
    """
    if data and key in _DATA:
        return value
    if isinstance(value, Mapping):
        if key == "streams":
            return {name: _stream(part) for name, part in sorted(value.items())}
        if key == "moments_us":
            return sorted(value)
        return {name: _plain(part, names, data, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part, names, data, key) for part in value]
    if isinstance(value, str) and value and (key.endswith("_id") or _ITEM.match(value)):
        return names.name(value, "item" if key == "id" else key.removesuffix("_id"))
    if isinstance(value, float) or (_TIME.search(key) and isinstance(value, int)):
        return "<measured>" if not isinstance(value, bool) else value
    return value


def _stream(stream: Mapping[str, Any]) -> JSON:
    return {key: stream[key] for key in _STREAM if key in stream}
