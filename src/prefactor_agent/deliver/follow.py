"""What has happened in a journal since the last look."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ..core.json import JSON
from ..journal import schema
from ..journal.place import Identity, file_identity

_COLUMNS = (
    "rowid, id, session_id, parent_id, type, name, status, started_us, finished_us, payload, result"
)
_ID = 10
"""Characters of a call's id: the millisecond it began in. A command takes them as its name."""
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

    def as_json(self) -> JSON:
        return self._asdict()

    def as_line(self) -> str:
        at = self.started_us if self.what == "begun" else self.finished_us or self.started_us
        clock = datetime.fromtimestamp(at / 1e6).astimezone().strftime("%H:%M:%S.%f")[:-3]
        indent = "" if self.parent_id is None else "  "
        outcome = "..." if self.what == "begun" else self.status
        took = (
            f" {(self.finished_us - self.started_us) / 1000:.0f} ms"
            if self.what == "ended" and self.finished_us is not None
            else ""
        )
        name = self.type.removeprefix("livekit:")
        words = f"  {self.words}" if self.words else ""
        return f"{clock}  {self.session_id[:_ID]}  {indent}{name} {outcome}{took}{words}"


class Follower:
    """Sees what is written after it was made, and the calls that run at that moment. A journal that
    does not exist yet is waited for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._all_is_new = not path.exists()
        self._file: Identity | None = None
        self._version = -1
        self._last = 0
        self._open: set[int] = set()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def look(self) -> Iterator[Event]:
        """
        Raises:
            UnusableJournalError, sqlite3.Error: The journal cannot be read.
        """
        connection = self._connect()
        if connection is None:
            return
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        self._version = version
        for row in self._rows("rowid IN (SELECT value FROM json_each(?))", [*self._open]):
            if row[6] != "active":
                self._open.discard(row[0])
                yield _event("ended", row)
        for row in self._rows("rowid > ?", self._last):
            self._last = row[0]
            if row[6] == "active":
                self._open.add(row[0])
                yield _event("begun", row)
            else:
                yield _event("ended", row)

    def _connect(self) -> sqlite3.Connection | None:
        found = file_identity(self._path)
        if found is None:
            return self._connection
        if self._connection is not None and found != self._file:
            # Set aside as damaged, and a new one begun.
            self.close()
            self._connection, self._all_is_new = None, True
            self._version, self._last, self._open = -1, 0, set()
        self._file = found
        if self._connection is None:
            connection = schema.follow(self._path, timeout=2.0)
            if connection is None:
                return None
            tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'spans'")
            if tables.fetchone() is None:
                connection.close()
                return None
            self._connection = connection
            # Of what is there already, the calls that run.
            running = connection.execute(
                "SELECT min(rowid) FROM spans WHERE session_id IN (SELECT id FROM spans "
                "WHERE parent_id IS NULL AND status = 'active')"
            ).fetchone()[0]
            newest = connection.execute("SELECT max(rowid) FROM spans").fetchone()[0]
            if self._all_is_new:
                return connection
            self._last = (running - 1) if running is not None else (newest or 0)
        return self._connection

    def _rows(self, where: str, value: Any) -> list[Any]:
        assert self._connection is not None
        given = json.dumps(value) if isinstance(value, list) else value
        return self._connection.execute(
            f"SELECT {_COLUMNS} FROM spans WHERE {where} ORDER BY rowid",  # noqa: S608  # ours
            (given,),
        ).fetchall()


def _event(what: str, row: Any) -> Event:
    payload, result = _object(row[9]), _object(row[10])
    return Event(
        what=what,
        id=row[1],
        session_id=row[2],
        parent_id=row[3],
        type=row[4],
        name=row[5],
        status=row[6],
        started_us=row[7],
        finished_us=row[8],
        words=_words(result) or _words(result.get("error")) or _words(payload),
    )


def _object(text: str | None) -> JSON:
    """Empty also of a damaged row, which is told without its words."""
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
