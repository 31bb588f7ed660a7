"""Where the spans of a test go: kept in memory, as the journal would keep them."""

from __future__ import annotations

import json

from .. import config
from ..core.json import JSON
from ..core.span import Span
from ..journal.columns import extend
from ..journal.reader import stored_span
from ..journal.rows import chunk_rows, span_row
from ..redact import Redactor
from ..stored.span import StoredSpan
from ..tool_options import hidden_tools


class Collector:
    """Keeps every span that is put. A :class:`prefactor_agent.core.span.Sink`.

    No thread, no file: a span is made into plain values when somebody looks at it."""

    def __init__(self) -> None:
        self._spans: dict[str, Span] = {}
        self._chunks: dict[str, dict[str, JSON]] = {}
        self._ended: dict[str, StoredSpan] = {}

    def put(self, span: Span) -> None:
        known = self._spans.setdefault(span.id, span)
        if known is not span:  # more is known of a span that has ended
            self._spans[span.id] = span
            self._ended.pop(span.id, None)

    def flush(self, timeout: float) -> bool:
        return True

    def clear(self) -> None:
        """Forget everything so far. Sessions that go on are recorded on."""
        self._spans.clear()
        self._chunks.clear()
        self._ended.clear()

    def stored(self) -> list[StoredSpan]:
        """The spans in the order in which they began, as they are now and as the journal would
        keep them: without what the settings take out."""
        redactor = Redactor(config.settings(), hidden_tools)
        found = [self._stored(span, redactor) for span in self._spans.values()]
        return sorted(found, key=lambda span: span.started_us)

    def columns(self, span: Span, redactor: Redactor) -> dict[str, JSON]:
        """What passed through the span's streams so far. (A stream gives each row once; what was
        taken before is kept here.)"""
        kept = self._chunks.setdefault(span.id, {})
        for chunks in chunk_rows(span, redactor, final=not span.open):
            extend(kept.setdefault(chunks.stream, {}), json.loads(chunks.columns))
        return kept

    def _stored(self, span: Span, redactor: Redactor) -> StoredSpan:
        if (known := self._ended.get(span.id)) is not None:
            return known
        open_now = span.open
        columns = self.columns(span, redactor)
        row = span_row(span, redactor)
        result: JSON = json.loads(row.result) if row.result else {}
        stored = stored_span(row, json.loads(row.payload), result, columns)
        if not open_now:
            self._ended[span.id] = stored
        return stored
