"""Makes rows of plain values and JSON from spans. Runs on the journal's thread, never on the event
loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json, to_jsonable_python

from ..core.bounds import bounded
from ..core.clock import to_unix_us
from ..core.guard import report
from ..core.plain import plain
from ..core.span import Span
from ..core.text import well_formed
from ..redact import Redactor
from .schema import Row as Row

LEVELS = "audio"
"""The kind of a stream of loudness: the one that is in no hurry."""


class Chunks(NamedTuple):
    """One row of the table ``chunks``."""

    span_id: str
    stream: str
    columns: str


def span_row(span: Span, redactor: Redactor) -> Row:
    """The row of a span as it is now, and once it has ended with the exact sums of its streams."""
    status = span.status  # read first: once it says that the span has ended, the rest is final
    finished = span.finished_ns
    result: str | None = None
    if not span.open:
        outcome = _resolve(span.result, span)
        if span.streams:
            outcome = {**outcome, "streams": {n: s.summary() for n, s in span.streams.items()}}
        result = redacted_json(outcome, span, redactor, is_result=True)
    return Row(
        span.id,
        span.session_id,
        span.parent_id,
        well_formed(span.type),
        well_formed(span.name),
        status.value,
        to_unix_us(span.started_ns),
        to_unix_us(finished) if finished is not None and result is not None else None,
        redacted_json(_resolve(span.payload, span), span, redactor),
        result,
    )


def chunk_rows(span: Span, redactor: Redactor, *, final: bool, levels: bool = True) -> list[Chunks]:
    """What passed through the span's streams since the last call.

    Args:
        final: The span has ended.
        levels: With its loudness.
    """
    found: list[Chunks] = []
    payload = span.payload if isinstance(span.payload, Mapping) else {}
    for name, stream in span.streams.items():
        try:
            if stream.kind == LEVELS and not levels:
                continue
            if columns := stream.take_rows(final=final):
                text = dumps(redactor.columns(columns, payload))
                found.append(Chunks(span.id, name, text))
        except Exception as error:  # only these chunks are lost
            report("span.stream", error, span)
    return found


def redacted_json(value: Any, span: Span, redactor: Redactor, *, is_result: bool = False) -> str:
    """The JSON of a payload or a result, redacted and bounded. If that fails, JSON that names the
    failure: one span must not cost the others."""
    try:
        text = dumps(value, span)
        payload = span.payload if isinstance(span.payload, Mapping) else {}
        if not redactor.text_is_clean(text, span.type, payload):
            # Decoded from the text, in which all values are plain and functions have been called.
            value = from_json(text)
            text = dumps(redactor.value(value, span.type, payload, is_result=is_result))
        return bounded(text)
    except Exception as error:
        report("span.kept", error, span)
        return dumps({"tracer_error": type(error).__name__})


def dumps(value: Any, span: Span | None = None) -> str:
    """The JSON text of a value. A function in it is called for its value; NaN becomes null.

    Args:
        span: Whose value it is, if it is one's.

    Raises:
        ValueError: It is nested too deeply.
    """
    fallback = partial(_fallback, span)
    try:
        return _json(value, fallback)
    except ValueError:  # most often because of half a surrogate pair in a text
        return _json(_well_formed(to_jsonable_python(value, fallback=fallback)), fallback)


def _json(value: Any, fallback: Callable[[Any], Any]) -> str:
    return to_json(value, fallback=fallback, inf_nan_mode="null", bytes_mode="base64").decode()


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_well_formed(part) for part in value]
    return value


def _resolve(part: Any, span: Span) -> Mapping[str, Any]:
    try:
        resolved: Mapping[str, Any] = part() if callable(part) else (part or {})
    except Exception as error:
        report("span.result", error, span)
        return {"tracer_error": type(error).__name__}
    return resolved


def _fallback(span: Span | None, value: Any) -> Any:
    if callable(value):
        try:
            return value()
        except Exception as error:
            report("span.payload", error, span)
            return {"tracer_error": type(error).__name__}
    return plain(value)
