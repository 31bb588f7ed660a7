"""The stable format that others may build on: one JSON object a span. See docs/trace-format.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ...core.clock import unix_us_to_rfc3339
from ...core.json import JSON
from ...stored.span import StoredSpan

# Ends of line to some readers (str.splitlines, JavaScript), and therefore escaped.
_LINE_ENDS = str.maketrans({c: f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"})


def span_object(span: StoredSpan) -> JSON:
    """A span with all keys, in the order of the documented format."""
    duration_us, finished = span.duration_us, span.finished_us
    return {
        "session_id": span.session_id,
        "id": span.id,
        "parent_id": span.parent_id,
        "type": span.type,
        "name": span.name,
        "status": span.status,
        "started_at": unix_us_to_rfc3339(span.started_us),
        "finished_at": unix_us_to_rfc3339(finished) if finished is not None else None,
        "duration_ms": duration_us / 1000 if duration_us is not None else None,
        "payload": span.payload,
        "result": span.result,
    }


def json_line(value: Any) -> str:
    """One line of JSON, without its end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_LINE_ENDS)


def export_lines(spans: Iterable[StoredSpan]) -> Iterator[str]:
    """A line for each span, without its end."""
    for span in spans:
        yield json_line(span_object(span))
