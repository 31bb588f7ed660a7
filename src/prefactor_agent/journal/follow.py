"""What has happened in a journal since the last look."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..core.json import JSON
from . import schema
from .current import CurrentFile
from .errors import UnusableJournalError
from .place import Identity

_COLUMNS = ", ".join(("rowid", *schema.Row._fields))
_WORDS = ("transcript", "spoken_text", "text", "message", "close_reason")


class Event(NamedTuple):
    """A span began, or ended."""

    what: str
    id: str
    session_id: str
    parent_id: str | None
    type: str
    name: str
    status: str
    started_us: int
    finished_us: int | None
    words: str


@dataclass
class _Reading:
    """How far an open journal was read."""

    connection: sqlite3.Connection
    version: int = -1
    last: int = 0
    """The ``rowid`` of the newest span that was seen."""
    open: set[int] = field(default_factory=set)
    """The ``rowid`` of each span that was seen to begin and not to end."""

    def rows(self, where: str, value: int | str) -> list[tuple[int, schema.Row]]:
        found = self.connection.execute(
            f"SELECT {_COLUMNS} FROM spans WHERE {where} ORDER BY rowid",  # noqa: S608  # ours
            (value,),
        ).fetchall()
        return [(rowid, schema.Row(*row)) for rowid, *row in found]

    def close(self) -> None:
        self.connection.close()


class Follower:
    """Sees what is written after it was made, and the calls that run at that moment. A journal that
    does not exist yet is waited for."""

    def __init__(self, path: Path) -> None:
        self._all_is_new = not path.exists()
        self._file = CurrentFile(path, self._open, _Reading.close)

    def close(self) -> None:
        self._file.close()

    def look(self) -> Iterator[Event]:
        """
        Raises:
            UnusableJournalError, StorageError: The journal cannot be read.
        """
        if self._file.was_replaced():
            self._all_is_new = True
        reading = self._file.get()
        if reading is None or (version := schema.data_version(reading.connection)) == (
            reading.version
        ):
            return
        reading.version = version
        seen = json.dumps([*reading.open])
        for rowid, row in reading.rows("rowid IN (SELECT value FROM json_each(?))", seen):
            if row.status != "active":
                reading.open.discard(rowid)
                yield _event("ended", row)
        for rowid, row in reading.rows("rowid > ?", reading.last):
            reading.last = rowid
            if row.status == "active":
                reading.open.add(rowid)
                yield _event("begun", row)
            else:
                yield _event("ended", row)

    def _open(self, path: Path) -> _Reading | None:
        connection = schema.follow(path, timeout=2.0)
        if connection is None:
            return None
        if not schema.has_tables(connection):
            connection.close()
            return None
        if self._all_is_new:
            return _Reading(connection)
        running = connection.execute(
            "SELECT min(rowid) FROM spans WHERE session_id IN (SELECT id FROM spans "
            "WHERE parent_id IS NULL AND status = 'active')"
        ).fetchone()[0]
        newest = connection.execute("SELECT max(rowid) FROM spans").fetchone()[0]
        return _Reading(connection, last=(newest or 0) if running is None else running - 1)


class ChangeSign:
    """Tells whether a journal has changed, which need not exist yet. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._file = CurrentFile(
            path, lambda path: schema.follow(path, timeout=1.0), sqlite3.Connection.close
        )

    def look(self) -> tuple[Identity | None, int]:
        """What is another value after each change. Raises nothing."""
        try:
            connection = self._file.get()
            version = 0 if connection is None else schema.data_version(connection)
        except (sqlite3.Error, UnusableJournalError):
            self._file.close()
            return None, -1
        return self._file.identity, version

    def close(self) -> None:
        self._file.close()


def _event(what: str, row: schema.Row) -> Event:
    payload, result = _object(row.payload), _object(row.result)
    words = _words(result) or _words(result.get("error")) or _words(payload)
    return Event(
        what=what,
        id=row.id,
        session_id=row.session_id,
        parent_id=row.parent_id,
        type=row.type,
        name=row.name,
        status=row.status,
        started_us=row.started_us,
        finished_us=row.finished_us,
        words=words,
    )


def _object(text: str | None) -> JSON:
    """Empty also of a damaged row, which is shown without its words."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(part: Any) -> str:
    """What a person would want to read of a span, on one line."""
    if isinstance(part, dict):
        for key in _WORDS:
            if isinstance(text := part.get(key), str) and text:
                return " ".join(text.split())[:100]
    return ""
