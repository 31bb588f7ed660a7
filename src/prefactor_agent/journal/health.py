"""Looks a journal over: whether SQLite can read it, and what the tracer noted of its own faults."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from . import schema

CALLS = 100
"""So many calls, the newest, are asked for what the tracer noted."""
SQLITE_VERSION = sqlite3.sqlite_version


class Health(NamedTuple):
    damage: str | None
    """What SQLite finds wrong in the file."""
    outdated: bool
    """The file is of an older version: the next process that writes brings it up to date."""
    failures: int = 0
    """Of the tracer itself, in the newest calls."""
    lost: int = 0
    """Spans that were not kept, in the newest calls."""


def check(path: Path) -> Health:
    """Read a journal that is there, and change nothing in it.

    Raises:
        UnusableJournalError, StorageError
    """
    schema.refuse_directory(path)
    with closing(schema.read_only(path, timeout=2.0)) as connection:
        schema.refuse_others(connection, path)
        [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
        outdated = schema.version_of(connection) < schema.VERSION
        if found != "ok" or outdated:
            return Health(None if found == "ok" else found, outdated)
        failures, lost = connection.execute(
            "SELECT total(json_extract(result, '$.tracer_failures')), "
            "total(json_extract(result, '$.lost_spans')) FROM "
            "(SELECT result FROM spans WHERE parent_id IS NULL AND result IS NOT NULL "
            "ORDER BY started_us DESC LIMIT ?)",
            (CALLS,),
        ).fetchone()
    return Health(None, False, int(failures), int(lost))
