"""Calls by hand, written to a journal as the writer writes them, and counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from prefactor_agent.journal import schema
from prefactor_agent.journal.inserts import Batch, write
from prefactor_agent.journal.schema import Row
from prefactor_agent.metrics.series import Observation
from prefactor_agent.stored.span import StoredSpan


def row(span: StoredSpan) -> Row:
    open_ = span.finished_us is None
    return Row(
        span.id,
        span.session_id,
        span.parent_id,
        span.type,
        span.name,
        span.status,
        span.started_us,
        span.finished_us,
        json.dumps(span.payload),
        None if open_ else json.dumps(dict(span.result)),
    )


def count(path: Path, *calls: Sequence[StoredSpan]) -> list[Observation]:
    """Write the calls, each in one transaction; returns what was added to the totals."""
    added = []
    with closing(schema.connect(path, 5.0)) as connection:
        for call in calls:
            ended = [
                (span.finished_us, span.id)
                for span in call
                if span.parent_id is None and span.finished_us is not None
            ]
            batch = Batch([row(span) for span in call], [], ended)
            added += write(connection, batch, wanted=False, counted=True)
    return added
