"""The journal's tables, and how an older file is brought up to date.

One SQLite file holds the calls of all processes. ``PRAGMA user_version`` is the version of the
tables: a file of an older version is migrated when it is opened for writing, a newer one is
refused."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

VERSION = 1

_STEPS: dict[int, str] = {
    # What each version adds to the one before it.
    1: """
    CREATE TABLE spans (
        id          TEXT PRIMARY KEY,
        session_id  TEXT NOT NULL,
        parent_id   TEXT,
        type        TEXT NOT NULL,
        name        TEXT NOT NULL,
        status      TEXT NOT NULL,
        started_us  INTEGER NOT NULL,  -- microseconds since the Unix epoch
        finished_us INTEGER,           -- NULL while the span is active
        payload     TEXT NOT NULL,     -- JSON
        result      TEXT               -- JSON
    );
    CREATE INDEX spans_of_session ON spans (session_id, started_us);
    CREATE INDEX sessions ON spans (started_us) WHERE parent_id IS NULL;
    -- What passed through a span's streams, in the order of rowid, written while the span runs.
    CREATE TABLE chunks (
        span_id TEXT NOT NULL,
        stream  TEXT NOT NULL,
        columns TEXT NOT NULL          -- JSON, lists of equal length
    );
    CREATE INDEX chunks_of_span ON chunks (span_id);
    """,
}


class Row(NamedTuple):
    """One line of the table ``spans``."""

    id: str
    session_id: str
    parent_id: str | None
    type: str
    name: str
    status: str
    started_us: int
    finished_us: int | None
    payload: str
    result: str | None


class NewerJournalError(Exception):
    """The file was written by a newer version of prefactor-agent."""


def migrate(connection: sqlite3.Connection) -> None:
    """Make or bring up to date the tables; safe when several processes do it at once.

    Raises:
        NewerJournalError: The file's version is not known here.
    """
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _version(connection)
        if found > VERSION:
            raise NewerJournalError
        for version in range(found + 1, VERSION + 1):
            for statement in _STEPS[version].split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
