"""Writes many rows in few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

_ROWS_AT_ONCE = (4, 16, 64, 256)
"""Rows of one statement; rows that are missing are NULL. sqlite3 releases the GIL for each
statement, and getting it back from a busy event loop costs more than the write. There are few
sizes, so that each statement is compiled once."""
_MOST_VALUES = 999
"""The most values that an old SQLite takes in one statement."""


def insert(
    connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]], changed: str = ""
) -> None:
    """Insert rows into a table, in a transaction of the caller's.

    Args:
        changed: The clause for rows that are there already.
    """
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
