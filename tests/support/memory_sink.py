"""Where a test's spans go: kept in memory, and given back as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefactor_agent.config import Settings
from prefactor_agent.core.span import Span
from prefactor_agent.journal.rows import span_row
from prefactor_agent.redact import Redactor
from prefactor_agent.testing.collect import Collector
from prefactor_agent.tool_options import hidden_tools

_KEEPS_ALL = Redactor(Settings(journal=Path()), hidden_tools)


class MemorySink(Collector):
    """The product's own collector, with a look at each ``put``; redaction is not its subject."""

    def __init__(self) -> None:
        super().__init__()
        self.puts: list[Span] = []
        """Every ``put``, one entry each: a span that began and ended is here twice."""

    def put(self, span: Span) -> None:
        self.puts.append(span)
        super().put(span)

    @property
    def spans(self) -> list[Span]:
        return list({span.id: span for span in self.puts}.values())

    def of(self, type_: str) -> list[Span]:
        """The spans of one type; of all traced tools for ``livekit:tool:*``."""
        prefix = type_.removesuffix("*")
        return [
            s
            for s in self.spans
            if s.type == type_ or (prefix != type_ and s.type.startswith(prefix))
        ]

    def one(self, type_: str) -> Mapping[str, Any]:
        """The only span of a type, as plain data."""
        (span,) = self.of(type_)
        return self.plain(span)

    def plain(self, span: Span) -> dict[str, Any]:
        """A span as the journal would keep it: only what survives JSON, and its chunks."""
        row = span_row(span, _KEEPS_ALL)
        return {
            "id": row.id,
            "session_id": row.session_id,
            "parent_id": row.parent_id,
            "type": str(row.type),
            "name": row.name,
            "status": row.status,
            "started_us": row.started_us,
            "finished_us": row.finished_us,
            "payload": json.loads(row.payload),
            "result": json.loads(row.result) if row.result is not None else None,
            "chunks": {key: {} for key in span.streams} | self.columns(span, _KEEPS_ALL),
        }

    def as_dicts(self) -> list[dict[str, Any]]:
        return [self.plain(span) for span in self.spans]
