"""Redaction: what must not be kept is taken out before anything is written, to the journal too.

Three layers, each on by a setting of its own: content capture off (of a payload or a result only
that is kept which its span type declares as no content, see :mod:`.schemas.types`), keys and
patterns, and a function of the user's. In any case binary data is replaced by a description of
it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from .config import Redact, Settings
from .core.json import JSON
from .core.placeholders import HIDDEN, REDACTED, of_size, of_type
from .schemas import parts
from .schemas.content import CONTENT, Part
from .schemas.types import type_of

KeyPath = tuple[str, ...]
"""The keys above a value; lists have none."""

OFF_THE_RECORD = "off_the_record"
"""In the payload of a span whose words are not kept: the program said so while it lasted."""

_LONG = 160
"""Characters from which on a run of base64 is taken for binary data, not for a name or a word."""
_DATA_URI_MIN = 20
"""Characters from which on a text can hold a data URI with anything in it."""
_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_LONG},}}={{0,2}}")
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,[A-Za-z0-9+/=_%-]*")
_RUN = re.compile(r"[A-Za-z0-9+/_-]*")
_JSON_BEGINS = re.compile(r"[ \t\r\n]*[{\[]")
_IN_RUN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-")


class _Place(NamedTuple):
    """Where in a payload or a result a value is."""

    path: KeyPath
    part: Part
    """What the span's type declares of it."""
    masks: bool
    """Content is taken out."""


class Redactor:
    """Takes out what the settings say. One per writer.

    Args:
        settings: Those in force when the writer was made.
        hidden_tools: Gives the tools that are hidden besides those of the settings. It is asked
            again for each span: a tool may be made, and hidden, while calls run.

    Raises:
        re.error: A pattern is no regular expression (``configure`` refuses those).
    """

    def __init__(self, settings: Settings, hidden_tools: Callable[[], Collection[str]]) -> None:
        self._content = settings.capture_content
        self._keys = frozenset(key.lower() for key in settings.redact_keys)
        patterns = settings.redact_patterns
        self._pattern = re.compile("|".join(f"(?:{p})" for p in patterns)) if patterns else None
        self._user: Redact | None = settings.redact
        self._hidden = settings.hide_tools
        self._hidden_besides = hidden_tools
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
        if self._looks or self._is_hidden(span_type, span):
            return False
        hidden = (*self._hidden, *self._hidden_besides())
        if any(name in text for name in hidden):
            return False
        return not _maybe_binary(text)

    def value(
        self,
        value: Any,
        span_type: str,
        span: Mapping[str, Any] = {},
        *,
        is_result: bool = False,
    ) -> Any:
        """A span's payload as it may be kept, or its result.

        Args:
            span: The span's payload, which names the tool of a tool's span.
        """
        declared = type_of(span_type)
        part = declared.kept_result if is_result else declared.kept
        masks = not self._content or self._is_hidden(span_type, span)
        kept = self._walk(value, _Place((), part, masks))
        if span.get(OFF_THE_RECORD) and not is_result:
            kept[OFF_THE_RECORD] = True  # who reads it sees why nothing is there
        return kept

    def columns(self, columns: JSON, span: Mapping[str, Any] = {}) -> JSON:
        """Chunks of a stream as they may be kept: without their texts where anything has to be
        taken out of texts; the whole text is in the result, redacted.

        Args:
            span: The payload of the span that the stream is of.
        """
        if self._hides_chunks or span.get(OFF_THE_RECORD):
            return {name: _sizes_only(name, values) for name, values in columns.items()}
        if "text" in columns:
            return {**columns, "text": [_without_binary(text) for text in columns["text"]]}
        return columns

    def _is_hidden(self, span_type: str, span: Mapping[str, Any]) -> bool:
        """Whether all words of a span are: it is off the record, or of a hidden tool."""
        of_tool = span_type.startswith("livekit:tool") and self._hides(span.get("tool_name"))
        return of_tool or span.get(OFF_THE_RECORD) is True

    def _hides(self, tool: Any) -> bool:
        return tool in self._hidden or tool in self._hidden_besides()

    def _walk(self, value: Any, at: _Place) -> Any:
        """What may be kept of a value."""
        if isinstance(value, str):
            return self._words(value, at)
        if isinstance(value, bool | int | float):
            return self._number(value, at)
        if isinstance(value, bytes | bytearray | memoryview):
            return of_size(len(value), "bytes")
        if isinstance(value, Mapping):
            # A message of a tool's, or a call of it, inside an LLM's input or output.
            if not at.masks and self._hides(_named(value)):
                part = at.part if at.part.keys else parts.KEPT_MESSAGE
                at = at._replace(part=part, masks=True)
            if at.masks and not at.part.keys:
                return of_size(len(value), "keys")
            return self._fields(value, at)
        if isinstance(value, list | tuple):
            below = at._replace(part=at.part.item())
            return [self._walk(part, below) for part in value]
        return value

    def _fields(self, value: Mapping[Any, Any], at: _Place) -> JSON:
        kept: JSON = {}
        for key, part in value.items():
            name, text = key, str(key)
            # The names that the tracer gives stay: who reads a trace looks for them.
            if self._pattern is not None and not at.part.own_keys and isinstance(key, str):
                name = self._pattern.sub(REDACTED, key)
                if name in kept:
                    name = f"{name} ({len(kept) + 1})"
            if text.lower() in self._keys:
                kept[name] = REDACTED
            else:
                below = at._replace(path=(*at.path, text), part=at.part.field(text))
                kept[name] = self._walk(part, below)
        return kept

    def _words(self, text: str, at: _Place) -> Any:
        if at.masks and not at.part.text:
            return of_size(len(text), "characters")
        if self._reads_json and _JSON_BEGINS.match(text):
            text = self._json(text, at)
        return self._text(text, at.path)

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
            kept = self._walk(value, at._replace(part=CONTENT))
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
        if at.part.number:
            return value  # the tracer measured it: any digits come up in a time
        kept: Any = value
        if self._pattern is not None and not at.masks:
            matches = self._pattern.search(to_json(value).decode())
            kept = REDACTED if matches and not isinstance(value, bool) else value
        if self._user is not None:
            kept = self._ask(at.path, kept)
        return of_type(kept) if at.masks else kept

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


def _without_binary(text: str) -> str:
    if len(text) < _DATA_URI_MIN:
        return text
    if "base64," in text:
        text = _DATA_URI.sub(
            lambda found: f"<{found[1] or 'data'}, {len(found[0])} characters of base64>", text
        )
    if len(text) < _LONG:
        return text
    return _BASE64.sub(lambda found: of_size(len(found[0]), "characters of base64"), text)


def _sizes_only(column: str, values: list[Any]) -> list[Any]:
    """A column of chunks without content."""
    if column in parts.KEPT_COLUMNS:
        return values
    return [_declared_of(value) if isinstance(value, Mapping) else "" for value in values]


def _declared_of(event: Mapping[str, Any]) -> JSON:
    return {key: part for key, part in event.items() if key in parts.KEPT_EVENT}


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
