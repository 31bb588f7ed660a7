"""What the journal's thread writes, in one transaction and few statements."""

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
_AT_ONCE = (4, 16, 64, 256)
"""Rows of one statement, those that there are not being NULL: sqlite3 gives up the GIL for each
statement it runs, and taking it back from a busy event loop costs more than the writing. So few
sizes, that each is compiled once."""
_VALUES = 999
"""What an old SQLite takes in one statement."""
# A call can be wanted by more than who began to record it.
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
    """When each session that is over ended, and its id."""

    def followed_by(self, later: Batch) -> Batch:
        return Batch(
            self.rows + later.rows, self.chunks + later.chunks, self.finished + later.finished
        )


def write(connection: sqlite3.Connection, batch: Batch, *, wanted: bool) -> None:
    """Write a batch as a whole.

    Args:
        wanted: Its calls are to be delivered.

    Raises:
        sqlite3.Error: Nothing of it is written.
    """
    with transaction(connection):
        _insert(connection, "spans", batch.rows, _CHANGED)
        _insert(connection, "chunks", batch.chunks)
        if batch.finished:
            connection.executemany(_LEFT_OPEN, batch.finished)
        for row in batch.rows:
            if row.parent_id is None:
                told = dumps(tool_options.declared_tools())
                connection.execute(_RECORDED_BY, (this_process(), wanted, told, row.id))


def _insert(
    connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]], changed: str = ""
) -> None:
    columns = len(rows[0]) if rows else 1
    sizes = [size for size in _AT_ONCE if size * columns <= _VALUES]
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
