"""Writes rows to the journal, in one transaction and few statements."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from .. import tool_options
from ..metrics.series import Observation
from . import totals
from .manyrows import insert
from .process import this_process
from .rows import Chunks, Row, dumps
from .schema import transaction

_CHANGED = """
    ON CONFLICT (id) DO UPDATE SET status = excluded.status,
    started_us = excluded.started_us, finished_us = excluded.finished_us,
        payload = excluded.payload, result = excluded.result
"""
# Another pipeline than the one that records a call may want it delivered.
_RECORDED_BY = (
    "UPDATE calls SET process = ?, wanted = max(wanted, ?), tools = ? WHERE session_id = ?"
)
_ARCHIVED = "INSERT OR IGNORE INTO archive (session_id) VALUES (?)"
_EXPORTED = (
    "INSERT INTO otlp_calls (session_id, wanted) VALUES (?, 1) "
    "ON CONFLICT (session_id) DO UPDATE SET wanted = 1"
)
_LEFT_OPEN = """
    UPDATE spans SET status = 'cancelled', finished_us = ?, result =
    '{"status":"cancelled","lost_end":true}' WHERE session_id = ? AND status = 'active'
"""


class Batch(NamedTuple):
    """What one transaction writes."""

    rows: list[Row]
    chunks: list[Chunks]
    finished: list[tuple[int, str]]
    """The end of each session that is over, in microseconds since the epoch, and its id."""

    def followed_by(self, later: Batch) -> Batch:
        return Batch(
            self.rows + later.rows, self.chunks + later.chunks, self.finished + later.finished
        )


def write(
    connection: sqlite3.Connection,
    batch: Batch,
    *,
    wanted: bool,
    exported: bool = False,
    archived: bool = False,
    counted: bool = False,
) -> list[Observation]:
    """Write a batch as a whole.

    Args:
        wanted: Its calls are to be delivered to Prefactor.
        exported: Its calls are to be sent to OpenTelemetry.
        archived: Its calls are to be written to the archive.
        counted: What ends in it is added to the totals.

    Returns:
        What was added to the totals.

    Raises:
        sqlite3.Error: Nothing was written.
    """
    with transaction(connection):
        ended = totals.uncounted(connection, batch.rows) if counted else []
        insert(connection, "spans", batch.rows, _CHANGED)
        insert(connection, "chunks", batch.chunks)
        if batch.finished:
            for _, session_id in batch.finished if counted else ():
                ended += totals.left_open(connection, session_id)
            connection.executemany(_LEFT_OPEN, batch.finished)
        added = totals.add(connection, ended)
        for row in batch.rows:
            if row.parent_id is None:
                tools = dumps(tool_options.declared_tools())
                connection.execute(_RECORDED_BY, (this_process(), wanted, tools, row.id))
                if exported:
                    connection.execute(_EXPORTED, (row.id,))
                if archived:
                    connection.execute(_ARCHIVED, (row.id,))
    return added
