"""Reads calls from the journal, also while they run."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic_core import from_json

from ..core.json import JSON
from ..stored import recording
from ..stored.recording import Recording
from ..stored.source import Listed, SourceError
from ..stored.span import StoredSpan, with_streams
from . import process, schema
from .columns import extend
from .columns import read as read_columns
from .digests import VERSION as HAVE_DIGESTS
from .digests import keep
from .errors import UnusableJournalError
from .follow import ChangeSign
from .schema import Row

_EARLIEST = -(2**63)
NO_COLUMNS: Mapping[str, Any] = MappingProxyType({})


class JournalError(SourceError):
    """The journal cannot be read, or has no such call."""


def stored_span(
    row: Row, payload: JSON, result: JSON, columns: Mapping[str, JSON] = NO_COLUMNS
) -> StoredSpan:
    """The span of a row.

    Args:
        columns: What passed through its streams, by their names: see :mod:`.columns`.
    """
    return StoredSpan(
        id=row.id,
        session_id=row.session_id,
        parent_id=row.parent_id,
        type=row.type,
        name=row.name,
        status=row.status,
        started_us=row.started_us,
        finished_us=row.finished_us,
        payload=payload,
        result=with_streams(result, columns),
    )


def nothing_yet(path: Path) -> str:
    """What whoever looks for calls is told before the first one, and what to do."""
    return (
        f"no call has been traced yet: there is no journal at {path}"
        " (prefactor-agent init AGENT.py shows how an agent is traced)"
    )


class Journal:
    """A journal, opened for reading: a :class:`..stored.source.Source`.

    Raises:
        JournalError: There is no such file, or it is none of ours, damaged, newer or locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise JournalError(nothing_yet(path))
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

    def listing(self, since_us: int | None = None) -> Iterator[Listed]:
        since = _EARLIEST if since_us is None else since_us
        return self._listed("AND s.started_us >= ?", since)

    def listed(self, session_id: str) -> Listed | None:
        """A call as it stands in the list of calls; ``None``: there is no such call."""
        return next(self._listed("AND s.session_id = ?", session_id), None)

    def _listed(self, only: str, value: object) -> Iterator[Listed]:
        kept = self._version >= HAVE_DIGESTS
        rows = self._rows(
            "SELECT s.session_id, s.status, s.started_us, s.finished_us, "  # noqa: S608  # our own
            f"{'d.digest' if kept else 'NULL'} FROM spans s "
            f"{'LEFT JOIN digests d ON d.session_id = s.session_id' if kept else ''} "
            f"WHERE s.parent_id IS NULL {only} "
            "ORDER BY s.started_us DESC, s.session_id DESC",
            (value,),
        )
        for id_, status, started_us, finished_us, digest in rows:
            yield Listed(id_, status, started_us, finished_us, _digest(digest))

    def ids_around(self) -> list[str]:
        query = "SELECT session_id FROM spans WHERE parent_id IS NULL"
        return [row[0] for row in self._query(query, ())]

    def keep(self, digests: Mapping[str, str]) -> None:
        if self._version == schema.VERSION:  # a reader changes no older file
            keep(self.path, digests)

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
            newest = next(self.listing(), None)
            if newest is not None:
                return newest.id
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

    def recording(self, session_id: str) -> Recording | None:
        return recording.of_call(self.path, session_id)

    def _spans(
        self,
        where: str,
        values: Iterable[Any],
        columns: Mapping[str, Mapping[str, JSON]] = NO_COLUMNS,
    ) -> Iterator[StoredSpan]:
        fields = ", ".join(Row._fields)
        query = f"SELECT {fields} FROM spans WHERE {where}"  # noqa: S608  # never the user's words
        for row in map(Row._make, self._query(query, values)):
            yield stored_span(
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
        return list(self._rows(sql, values))

    def _rows(self, sql: str, values: Iterable[Any]) -> Iterator[Any]:
        """The rows, read as they are taken."""
        try:
            yield from self._connection.execute(sql, tuple(values))
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


def _digest(text: str | None) -> JSON | None:
    """``None`` also of a damaged one, which is worked out again."""
    try:
        value = from_json(text) if text is not None else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class JournalPlace:
    """A journal as a :class:`..stored.source.Place`; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return str(self.path)

    def check(self) -> None:
        if self.path.exists():
            self.open().close()

    def open(self) -> Journal:
        return Journal(self.path)

    def changes(self) -> ChangeSign:
        return ChangeSign(self.path)
