"""What must be true at an OpenTelemetry backend at the end of every test in which something went
wrong."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from prefactor_agent.deliver.otlp.mapping import to_span
from prefactor_agent.journal.ended import EndedSpans
from support.otlp_receiver import OtlpReceiver

from .ended import of_journal


def arrived(
    receiver: OtlpReceiver,
    *journals: Path,
    doubled: bool = False,
    refused: frozenset[str] = frozenset(),
) -> int:
    """Everything that ended is in the journals and at the backend: nothing is lost, each span is
    there as the mapping makes it of the whole journal, its parent is there, and nothing is left to
    do.

    Args:
        doubled: An acknowledgement was lost: then a span may have arrived twice, but the same.
        refused: Names of spans that the backend did not take.

    Returns:
        How many spans that is.
    """
    expected = {}
    for journal in journals:
        with contextlib.closing(EndedSpans(journal)) as todo:
            left = todo.backlog()
            assert (left["spans"], left["calls"]) == (0, 0), f"not delivered: {left}"
        with contextlib.closing(sqlite3.connect(journal)) as connection:
            [active] = connection.execute(
                "SELECT count(*) FROM spans WHERE status = 'active'"
            ).fetchone()
            assert active == 0
        for row in of_journal(journal):
            if (span := to_span(row)) is not None and span.name not in refused:
                expected[span.span_id] = span
    there = {span.span_id: span for span in receiver.spans}
    assert there.keys() == expected.keys()
    for id_, span in there.items():
        assert span == expected[id_], span.name
        parent = span.parent_span_id
        assert not parent or parent in there or refused
    for span in receiver.spans:
        assert span == there[span.span_id], "the same each time"
    if not doubled:
        assert max(receiver.times.values()) == 1
    return len(there)
