"""What must not be kept is taken out before anything is written, the journal included. Pure.

Three layers, each on by a setting of its own: content capture off (words, arguments and results go;
names, times and sizes stay), keys and patterns, and a function of the user's. In any case binary
data is replaced by a description of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from . import tool_options
from .config import Redact, Settings
from .core.json import JSON

KeyPath = tuple[str, ...]
"""The keys above a value; lists have none."""

REDACTED = "[redacted]"
HIDDEN = "[hidden: the redact function failed]"

_LONG = 160
"""Characters from which on a run of base64 is taken for binary data, not for a name or a word."""
_DATA_URI_MIN = 20
"""Characters from which on a text can hold a data URI with anything in it."""
_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_LONG},}}={{0,2}}")
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,[A-Za-z0-9+/=_%-]*")
_RUN = re.compile(r"[A-Za-z0-9+/_-]*")
_JSON_BEGINS = re.compile(r"[ \t\r\n]*[{\[]")
_IN_RUN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-")

_STRUCTURE = frozenset(
    [
        "name",
        "type",
        "status",
        "source",
        "reason",
        "close_reason",
        "state",
        "kind",
        "unit",
        "role",
        "modality",
        "language",
        "outcome",
        "interrupted_by",
        "preemptive",
        "label",
        "model",
        "provider",
        "code",
        "level",
        "tools",
        "agent",
        "tool",
        "from",
        "to",
    ]
)
"""Keys whose texts are names, not words; besides those that end as in :data:`_NAMES`."""
_NAMES = re.compile(
    r"(?:^|_)(?:id|ids|sid|at|us|ns|ms|name|class|type|kind|status|reason|model|state)$"
    r"|^finishReason$"
)
_CONTENT = frozenset(
    [
        "inputs",
        "outputs",
        "output",
        "input",
        "arguments",
        "content",
        "text",
        "transcript",
        "generated_text",
        "spoken_text",
        "message",
        "metadata",
        "attributes",
        "instructions",
        "stacktrace",
        "details",
        "data",
        "args",
        "kwargs",
        "participant",
        "participants",
        "outcome_reason",
    ]
)
"""Everything below these is words, whatever it is called."""
_CONTENT_OF_LLM = _CONTENT - {"inputs"}
"""What an LLM call is given has names of its own in it: the model, the tools, who said what."""


class _Place(NamedTuple):
    """Where in a payload or a result a value is."""

    path: KeyPath
    opening: frozenset[str]
    """The keys that have nothing but words below them."""
    masks: bool
    """Words are taken out."""
    inside: bool
    """Below one of those keys."""


class Redactor:
    """Takes out what the settings say. One per writer.

    Raises:
        re.error: A pattern is no regular expression (``configure`` refuses those).
    """

    def __init__(self, settings: Settings) -> None:
        self._content = settings.capture_content
        self._keys = frozenset(key.lower() for key in settings.redact_keys)
        patterns = settings.redact_patterns
        self._pattern = re.compile("|".join(f"(?:{p})" for p in patterns)) if patterns else None
        self._user: Redact | None = settings.redact
        self._hidden = settings.hide_tools
        # Keys are also in the arguments and the answers of tools, which an LLM gets as JSON text.
        self._reads_json = bool(self._keys or self._user)
        self._looks = bool(not self._content or self._keys or self._pattern or self._user)
        # A chunk is a piece of a text: what a pattern would find lies across several, and so does a
        # key in JSON text with its value.
        self._hides_chunks = not self._content or self._pattern or self._reads_json

    def text_is_clean(self, text: str, span_type: str = "", span: Mapping[str, Any] = {}) -> bool:
        """Whether JSON text can be kept as it is: nothing is set, it is of no hidden tool and names
        none, and nothing in it can be binary. A walk through every payload would cost more than all
        the rest of keeping it.

        Args:
            span: The payload of the span that the text is of.
        """
        if self._looks or self._of_hidden_tool(span_type, span):
            return False
        if any(name in text for hidden in (self._hidden, tool_options.hidden) for name in hidden):
            return False
        return not _maybe_binary(text)

    def value(self, value: Any, span_type: str, span: Mapping[str, Any] = {}) -> Any:
        """A payload or a result as it may be kept.

        Args:
            span: The span's payload, which names the tool of a tool's span.
        """
        masks = not self._content or self._of_hidden_tool(span_type, span)
        opening = _CONTENT_OF_LLM if span_type == "livekit:llm" else _CONTENT
        return self._walk(value, _Place((), opening, masks, False))

    def columns(self, columns: JSON, span_type: str) -> JSON:
        """Chunks of a stream as they may be kept: without their texts where anything has to be
        taken out of texts; the whole text is in the result, redacted."""
        if "text" in columns:
            if self._hides_chunks:
                return {**columns, "text": [""] * len(columns["text"])}
            return {**columns, "text": [_without_binary(text) for text in columns["text"]]}
        if "event" in columns and self._hides_chunks:
            return {**columns, "event": [_without_text(event) for event in columns["event"]]}
        return columns

    def _of_hidden_tool(self, span_type: str, span: Mapping[str, Any]) -> bool:
        return span_type.startswith("livekit:tool") and self._hides(span.get("tool_name"))

    def _hides(self, tool: Any) -> bool:
        # A tool may be made while calls run: what it says of itself is looked up each time.
        return tool in self._hidden or tool in tool_options.hidden

    def _walk(self, value: Any, at: _Place) -> Any:
        """What may be kept of a value."""
        if isinstance(value, str):
            if at.masks and (at.inside or not _is_name(at.path)):
                return f"<{len(value)} characters>"
            if self._reads_json and _JSON_BEGINS.match(value):
                value = self._json(value, at)
            return self._text(value, at.path)
        if isinstance(value, bool | int | float):
            return self._number(value, at)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if isinstance(value, Mapping):
            # A message of a tool's, or a call of it, inside an LLM's input or output.
            if not at.masks and self._hides(_named(value)):
                at = at._replace(opening=_CONTENT_OF_LLM, masks=True)
            return f"<{len(value)} keys>" if _has_words_for_keys(at) else self._parts(value, at)
        if isinstance(value, list | tuple):
            if at.masks and at.path == ("inputs",):
                # No arguments by name: a model may send anything.
                at = at._replace(path=(*at.path, ""))
            return [self._walk(part, at) for part in value]
        return value

    def _parts(self, value: Mapping[Any, Any], at: _Place) -> JSON:
        kept: JSON = {}
        for key, part in value.items():
            name = key
            # The names that the tracer gives stay: who reads a trace looks for them.
            if self._pattern is not None and at.inside and isinstance(key, str):
                name = self._pattern.sub(REDACTED, key)
                if name in kept:
                    name = f"{name} ({len(kept) + 1})"
            kept[name] = self._part(key, part, at)
        return kept

    def _part(self, key: Any, part: Any, at: _Place) -> Any:
        if isinstance(key, str) and key.lower() in self._keys:
            return REDACTED
        below = at._replace(path=(*at.path, str(key)), inside=at.inside or _opens(key, at))
        return self._walk(part, below)

    def _json(self, text: str, at: _Place) -> str:
        """What may be kept of a text that can be JSON: written again if anything in it was
        replaced, the text itself if not.

        JSON text in JSON text goes as deep as it comes: as each level doubles the backslashes,
        there are few."""
        try:
            value = from_json(text)
        except ValueError:
            return text
        try:
            kept = self._walk(value, at)
        except RecursionError:  # what was not looked through is not kept
            return REDACTED
        written = to_json(kept, serialize_unknown=True)
        return text if written == to_json(value) else written.decode()

    def _text(self, text: str, path: KeyPath) -> Any:
        kept: Any = _without_binary(text)
        if self._pattern is not None:
            kept = self._pattern.sub(REDACTED, kept)
        return self._ask(path, kept) if self._user is not None else kept

    def _number(self, value: float, at: _Place) -> Any:
        kept: Any = value
        # What the tracer measured stays: any digits come up in a time.
        if self._pattern is not None and at.inside and not at.masks:
            matches = self._pattern.search(to_json(value).decode())
            kept = REDACTED if matches and not isinstance(value, bool) else value
        if self._user is not None:
            kept = self._ask(at.path, kept)
        return f"<{type(kept).__name__}>" if at.masks and at.inside else kept

    def _ask(self, path: KeyPath, value: Any) -> Any:
        """What the user's function makes of a value."""
        assert self._user is not None
        try:
            return self._user(path, value)
        except Exception:  # whatever it was about to hide stays hidden
            return HIDDEN


def _named(value: Mapping[Any, Any]) -> str | None:
    """The name in a message or a call, which may be a tool's."""
    name = value.get("name")
    return name if isinstance(name, str) else None


def _opens(key: Any, at: _Place) -> bool:
    # Below ``streams`` are counts and sums under the streams' names, "text" and "output" among
    # them.
    return key in at.opening and at.path[:1] != ("streams",)


def _has_words_for_keys(at: _Place) -> bool:
    """Whether the keys of a mapping are a tool's data that is not kept: in the values of its
    parameters, whose names stay, and in what it returned."""
    in_an_argument = len(at.path) > 1 and at.path[0] == "inputs" and "inputs" in at.opening
    return at.masks and (in_an_argument or at.path[:2] == ("outputs", "output"))


def _is_name(path: KeyPath) -> bool:
    return bool(path) and (path[-1] in _STRUCTURE or _NAMES.search(path[-1]) is not None)


def _without_binary(text: str) -> str:
    if len(text) < _DATA_URI_MIN:
        return text
    if "base64," in text:
        text = _DATA_URI.sub(
            lambda found: f"<{found[1] or 'data'}, {len(found[0])} characters of base64>", text
        )
    if len(text) < _LONG:
        return text
    return _BASE64.sub(lambda found: f"<{len(found[0])} characters of base64>", text)


def _without_text(event: Any) -> Any:
    if isinstance(event, Mapping):
        return {key: part for key, part in event.items() if key != "text"}
    return event


def _maybe_binary(text: str) -> bool:
    """Whether a data URI or a long run of base64 can be in a text. Looks at few of its characters:
    a run so long covers one of every so many places, and a search would cost several times as much
    as the rest of keeping the text."""
    if ";base64," in text:
        return True
    for place in range(_LONG - 1, len(text), _LONG):
        if text[place] not in _IN_RUN:
            continue
        run = _RUN.match(text, place)
        start, end = place, run.end() if run is not None else place
        while start and end - start < _LONG and text[start - 1] in _IN_RUN:
            start -= 1
        if end - start >= _LONG:
            return True
    return False
