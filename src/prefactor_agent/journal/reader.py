"""Reads calls from the journal, also while they run."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.json import JSON
from . import process, schema
from .columns import extend
from .columns import read as read_columns
from .errors import UnusableJournalError
from .schema import Row

NO_COLUMNS: Mapping[str, Any] = MappingProxyType({})


class JournalError(Exception):
    """The journal cannot be read, or has no such call. The message is one line that says what to
    do."""


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One span as the journal has it. Times are microseconds since the Unix epoch."""

    id: str
    session_id: str
    parent_id: str | None
    type: str
    name: str
    status: str
    started_us: int
    finished_us: int | None
    payload: JSON
    result: JSON

    @classmethod
    def of(
        cls, row: Row, payload: JSON, result: JSON, columns: Mapping[str, JSON] = NO_COLUMNS
    ) -> StoredSpan:
        """The span of a row.

        Args:
            columns: What passed through its streams, by their names: see :mod:`.columns`.
        """
        if columns:
            streams = dict(_mapping(result.get("streams")))
            for name, part in columns.items():
                streams[name] = {**_mapping(streams.get(name)), **part}
            result = {**result, "streams": streams}
        return cls(
            id=row.id,
            session_id=row.session_id,
            parent_id=row.parent_id,
            type=row.type,
            name=row.name,
            status=row.status,
            started_us=row.started_us,
            finished_us=row.finished_us,
            payload=payload,
            result=result,
        )

    @property
    def at_provider(self) -> bool:
        """Whether the model's provider ran this tool itself, and reported it when it was over:
        nobody knows when it began."""
        ran = self.payload.get("run_by") == "provider" and self.finished_us is not None
        return ran and "duration_ms" not in self.result

    @property
    def duration_us(self) -> int | None:
        """``None``: the span is open, or nobody knows when it began."""
        if self.finished_us is None or self.at_provider:
            return None
        return self.finished_us - self.started_us

    def stream(self, name: str) -> JSON:
        """What passed through one of the span's streams; empty if it has no such stream."""
        streams = self.result.get("streams")
        stream = streams.get(name) if isinstance(streams, dict) else None
        return stream if isinstance(stream, dict) else {}


class Journal:
    """A journal, opened for reading.

    Raises:
        JournalError: There is no such file, or it is none of ours, damaged, newer or locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise JournalError(f"no call has been traced yet: there is no journal at {path}")
        try:
            schema.refuse_directory(path)
            self._connection = schema.read_only(path, timeout=2.0)
            try:
                schema.refuse_others(self._connection, path)
                self._version = schema.version_of(self._connection)
            except BaseException:
                self.close()
                raise
        except UnusableJournalError as error:
            raise JournalError(str(error)) from None
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def close(self) -> None:
        self._connection.close()

    def sessions(self, limit: int | None = None) -> list[StoredSpan]:
        """The sessions' own spans, newest first."""
        return list(
            self._spans(
                "parent_id IS NULL ORDER BY started_us DESC, rowid DESC LIMIT ?",
                (-1 if limit is None else limit,),
            )
        )

    def heads(self) -> list[tuple[str, str]]:
        """Id and status of all calls, newest first."""
        return self._query(
            "SELECT id, status FROM spans WHERE parent_id IS NULL "
            "ORDER BY started_us DESC, rowid DESC",
            (),
        )

    def saying(self, words: str) -> set[str]:
        """The calls in which somebody said this, or a part of it; ASCII letters of either case."""
        pattern = re.sub(r"([\\%_])", r"\\\1", words)
        found = self._query(
            "SELECT DISTINCT session_id FROM spans WHERE type IN ('livekit:user_turn', "
            "'livekit:assistant_turn') AND coalesce(json_extract(result, '$.transcript'), "
            "json_extract(result, '$.spoken_text')) LIKE ? ESCAPE '\\'",
            (f"%{pattern}%",),
        )
        return {row[0] for row in found}

    def progress(self, session_id: str) -> tuple[int, int]:
        """How many spans of a call there are, and how many of them have ended."""
        begun, ended = self._query(
            "SELECT count(*), count(finished_us) FROM spans WHERE session_id = ?", (session_id,)
        )[0]
        return begun, ended

    def find(self, name: str = "last") -> str:
        """The id of the call that ``name`` means: an id, any unique beginning of one, or ``last``.

        Raises:
            JournalError: No call, or more than one, is meant.
        """
        if name == "last":
            newest = self.sessions(limit=1)
            if newest:
                return newest[0].session_id
            # The session's own span may be missing, as any other.
            rows = self._query("SELECT session_id FROM spans ORDER BY started_us DESC LIMIT 1", ())
            if not rows:
                raise JournalError(f"no call has been traced yet: {self.path} is empty")
            last: str = rows[0][0]
            return last
        if not name.isascii():  # SQLite takes no bytes that are not UTF-8
            raise JournalError(f"no call begins with {name!r}: see prefactor-agent sessions")
        # Ids have digits and small letters: anything else finds nothing, and is no pattern.
        found = self._query(
            "SELECT session_id FROM spans WHERE parent_id IS NULL AND substr(id, 1, ?) = ? "
            "ORDER BY started_us DESC LIMIT 4",
            (len(name), name),
        ) or self._query(
            "SELECT DISTINCT session_id FROM spans WHERE substr(session_id, 1, ?) = ? LIMIT 4",
            (len(name), name),
        )
        if not found:
            raise JournalError(f"no call begins with {name!r}: see prefactor-agent sessions")
        if len(found) > 1:
            listed = ", ".join(row[0] for row in found[:3]) + (" …" if len(found) > 3 else "")
            raise JournalError(f"{name!r} could be {listed}: give more of the id")
        id_: str = found[0][0]
        return id_

    def call(self, session_id: str) -> list[StoredSpan]:
        """All spans of a call in the order in which they began, with what passed through their
        streams."""
        columns: dict[str, dict[str, JSON]] = defaultdict(lambda: defaultdict(dict))
        for span_id, stream, data in self._query(
            "SELECT span_id, stream, columns FROM chunks WHERE span_id IN "
            "(SELECT id FROM spans WHERE session_id = ?) ORDER BY rowid",
            (session_id,),
        ):
            try:
                extend(columns[span_id][stream], read_columns(data))
            except ValueError as error:
                raise self._damaged(span_id, f"stream {stream}: {error}") from None
        return list(
            self._spans("session_id = ? ORDER BY started_us, rowid", (session_id,), columns)
        )

    def outline(self, session_id: str) -> list[StoredSpan]:
        """The turns, tools, voices and errors of a call, without what passed through their streams:
        enough to count them and their silences, and little to read however long the call is."""
        return list(
            self._spans(
                "session_id = ? AND (parent_id IS NULL OR type IN ('livekit:user_turn', "
                "'livekit:assistant_turn', 'livekit:tts', 'livekit:realtime', 'livekit:error', "
                "'livekit:tool') "
                "OR substr(type, 1, 13) = 'livekit:tool:') ORDER BY started_us, rowid",
                (session_id,),
            )
        )

    def last_sign(self, session_id: str) -> int:
        """When a call last recorded something, in microseconds since the epoch."""
        (ended,) = self._query(
            "SELECT max(coalesce(finished_us, started_us)) FROM spans WHERE session_id = ?",
            (session_id,),
        )[0]
        last: int = ended or 0
        # Only its latest chunks say how far an open span has come.
        for started_us, columns in self._query(
            "SELECT started_us, columns FROM spans JOIN chunks ON chunks.rowid = "
            "(SELECT max(rowid) FROM chunks WHERE span_id = spans.id) "
            "WHERE session_id = ? AND finished_us IS NULL",
            (session_id,),
        ):
            with contextlib.suppress(ValueError):
                last = max(last, started_us + max(read_columns(columns)["offset_us"], default=0))
        return last

    def alive(self, session_id: str) -> bool | None:
        """Whether the process that records a call still runs.

        ``None``: it ran on another machine, or the journal does not name it."""
        if self._version < 2:
            return None
        rows = self._query("SELECT process FROM calls WHERE session_id = ?", (session_id,))
        return process.alive(rows[0][0]) if rows and rows[0][0] else None

    def counts(self, session_id: str) -> dict[str, int]:
        """How many spans of each type a call has, and of each status (as ``status:failed``)."""
        rows = self._query(
            "SELECT type, status, count(*) FROM spans WHERE session_id = ? GROUP BY type, status",
            (session_id,),
        )
        counts: dict[str, int] = defaultdict(int)
        for type_, status, count in rows:
            counts[type_] += count
            counts[f"status:{status}"] += count
        return dict(counts)

    def _spans(
        self,
        where: str,
        values: Iterable[Any],
        columns: Mapping[str, Mapping[str, JSON]] = NO_COLUMNS,
    ) -> Iterator[StoredSpan]:
        fields = ", ".join(Row._fields)
        query = f"SELECT {fields} FROM spans WHERE {where}"  # noqa: S608  # never the user's words
        for row in map(Row._make, self._query(query, values)):
            yield StoredSpan.of(
                row,
                self._object(row, row.payload),
                self._object(row, row.result or "{}"),
                columns.get(row.id, NO_COLUMNS),
            )

    def _object(self, row: Row, text: str) -> JSON:
        try:
            value: Any = json.loads(text)
            if isinstance(value, dict):
                return value
            what = f"{type(value).__name__} in the place of an object"
        except ValueError as error:
            what = str(error)
        raise self._damaged(row.id, what)

    def _damaged(self, span_id: str, what: str) -> JournalError:
        return JournalError(f"{self.path} is damaged at the span {span_id}: {what}")

    def _query(self, sql: str, values: Iterable[Any]) -> list[Any]:
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _trouble(self, error: sqlite3.Error) -> JournalError:
        if "locked" in str(error) or "busy" in str(error):
            return JournalError(f"{self.path} is locked by another program: try again in a moment")
        if "no such table" in str(error):
            return JournalError(f"no call has been traced yet: {self.path} is empty")
        if isinstance(error, sqlite3.OperationalError):
            return JournalError(f"{self.path} cannot be read ({error}): check its permissions")
        return JournalError(f"{self.path} is damaged or no journal ({error})")


def _mapping(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}
