"""Writes rows to the journal, in one transaction and few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from .. import tool_options
from .process import this_process
from .rows import Chunks, Row, dumps
from .schema import transaction

_CHANGED = """
    ON CONFLICT (id) DO UPDATE SET status = excluded.status,
    started_us = excluded.started_us, finished_us = excluded.finished_us,
        payload = excluded.payload, result = excluded.result
"""
_ROWS_AT_ONCE = (4, 16, 64, 256)
"""Rows of one statement; rows that are missing are NULL. sqlite3 releases the GIL for each
statement, and getting it back from a busy event loop costs more than the write. There are few
sizes, so that each statement is compiled once."""
_MOST_VALUES = 999
"""The most values that an old SQLite takes in one statement."""
# Another pipeline than the one that records a call may want it delivered.
_RECORDED_BY = (
    "UPDATE calls SET process = ?, wanted = max(wanted, ?), tools = ? WHERE session_id = ?"
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


def write(connection: sqlite3.Connection, batch: Batch, *, wanted: bool) -> None:
    """Write a batch as a whole.

    Args:
        wanted: Its calls are to be delivered.

    Raises:
        sqlite3.Error: Nothing was written.
    """
    with transaction(connection):
        _insert(connection, "spans", batch.rows, _CHANGED)
        _insert(connection, "chunks", batch.chunks)
        if batch.finished:
            connection.executemany(_LEFT_OPEN, batch.finished)
        for row in batch.rows:
            if row.parent_id is None:
                tools = dumps(tool_options.declared_tools())
                connection.execute(_RECORDED_BY, (this_process(), wanted, tools, row.id))


def _insert(
    connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]], changed: str = ""
) -> None:
    columns = len(rows[0]) if rows else 1
    sizes = [size for size in _ROWS_AT_ONCE if size * columns <= _MOST_VALUES]
    for begun in range(0, len(rows), sizes[-1]):
        part = rows[begun : begun + sizes[-1]]
        size = next(size for size in sizes if size >= len(part))
        nothing = [None] * (columns * (size - len(part)))
        connection.execute(_statement(table, columns, size, changed), [*chain(*part), *nothing])


@cache
def _statement(table: str, columns: int, rows: int, changed: str) -> str:
    values = ", ".join([f"({', '.join('?' * columns)})"] * rows)
    return (
        f"INSERT INTO {table} SELECT * FROM (VALUES {values}) "  # noqa: S608  # our own names
        f"WHERE column1 IS NOT NULL {changed}"
    )
