"""What the to-dos of all targets have in common: which calls there are, and who delivers them.

A call is delivered by the process that has claimed it, for as long as the lease lasts: usually the
one that records it, and another once that one is gone. Every transaction here is short: the writer
of a running call never waits for more than one."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic_core import from_json, to_json

from ..core import forks
from . import schema, totals
from .process import alive, this_process

LEASE_S = 30.0
"""How long a claim of a call holds, unless the process renews it."""
FOREIGN_S = 900.0
"""A call of another machine counts as left behind after so long without a new span."""
BUSY_S = 5.0


class Call(Protocol):
    """A call with something left to do for a target."""

    @property
    def session_id(self) -> str: ...
    @property
    def process(self) -> str | None:
        """The process that records it; ``None``: the journal does not name it."""

    @property
    def wanted(self) -> int:
        """Whether that process wanted it delivered to this target."""

    @property
    def status(self) -> str: ...


C = TypeVar("C", bound=Call)


class ToDo(ABC, Generic[C]):
    """What is left to do for one target: a connection of its own to the journal. Used by one
    thread.

    Raises:
        sqlite3.Error: From every method: the journal cannot be read or written now.
        UnusableJournalError: From the constructor.
    """

    _OWNER: ClassVar[str]
    """Reads ``owner, owned_until`` of a session's id; no row: there is no such call."""
    _CLAIM: ClassVar[str]
    """Writes ``(owner, owned_until, session_id)``, and has the call's spans listed."""
    _RELEASE: ClassVar[str]
    """Gives up the claims of an owner."""

    def __init__(self, path: Path) -> None:
        self._me = this_process()
        with forks.fork_safe():
            self._connection = schema.connect(path, BUSY_S)

    def close(self) -> None:
        with forks.fork_safe():
            self._connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with forks.fork_safe(), schema.transaction(self._connection) as connection:
            yield connection

    def _as_json(self, query: str, values: tuple[Any, ...]) -> Any:
        """Many rows as one row of JSON.

        sqlite3 releases the GIL for each row it steps to; to get it back from a busy event loop
        takes up to 5 ms, in which the loop wakes this thread for nothing each time it looks for
        events."""
        return from_json(self._connection.execute(query, values).fetchone()[0])

    def streams(self, ids: list[str]) -> dict[str, dict[str, list[str]]]:
        """The chunk columns of spans, as JSON texts in order of time, by span and stream."""
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        rows: list[tuple[int, str, str, str]] = self._as_json(
            "SELECT json_group_array(json_array(rowid, span_id, stream, columns)) FROM chunks "
            "WHERE span_id IN (SELECT value FROM json_each(?))",
            (to_json(ids).decode(),),
        )
        for _, span_id, stream, columns in sorted(rows):
            found[span_id][stream].append(columns)
        return found

    @abstractmethod
    def calls(self, *, wanted: bool = False) -> list[C]:
        """The calls with something left to do, oldest first.

        Args:
            wanted: Leave out the calls that were recorded while this target was not set; there may
                be years of them.
        """

    @abstractmethod
    def call(self, session_id: str) -> C | None: ...

    @abstractmethod
    def backlog(self) -> dict[str, int]:
        """Counts of what is left: ``calls``, ``spans``, ``parked``, ``parked_calls``, ``unwanted``
        calls (recorded while this target was not set)."""

    @abstractmethod
    def parked(self) -> list[tuple[str, str, int]]:
        """``(type, error, how many)`` of what is parked."""

    def rejected(self) -> list[tuple[int, str]]:
        """How many spans the target took and then dropped, by what it said of them."""
        return []

    @abstractmethod
    def unpark(self) -> int:
        """Have refused spans and calls tried again; returns how many spans those are."""

    def claim(self, session_id: str) -> bool:
        """Claim a call for this process, or renew the claim. ``False``: another process has it."""
        now = _now_us()
        row = self._connection.execute(self._OWNER, (session_id,)).fetchone()
        if row is None or not self._may_take(row[0], row[1], now):
            return False
        if row[0] == self._me and row[1] - now > LEASE_S * 500_000:
            return True
        with self._writing() as connection:
            row = connection.execute(self._OWNER, (session_id,)).fetchone()
            if row is None or not self._may_take(row[0], row[1], now):
                return False
            connection.execute(self._CLAIM, (self._me, now + int(LEASE_S * 1e6), session_id))
        return True

    def _may_take(self, owner: str | None, until: int, now: int) -> bool:
        if owner is None or owner == self._me or until < now:
            return True
        # A clock that was stepped back would make a lease last for ever.
        return until > now + LEASE_S * 2e6 or alive(owner) is False

    def release(self) -> None:
        """Give up all claims of this process."""
        with self._writing() as connection:
            connection.execute(self._RELEASE, (self._me,))

    def left_behind(self, row: C) -> bool:
        """Whether a call is open only because its process is gone."""
        return row.status == "active" and left_behind(self._connection, row.session_id, row.process)

    def end_left_behind(self, session_id: str) -> None:
        """End the spans that a process which is gone left open: failed, at its last write."""
        with self._writing() as connection:
            last = connection.execute(
                "SELECT max(max(started_us), max(coalesce(finished_us, 0))) FROM spans "
                "WHERE session_id = ?",
                (session_id,),
            ).fetchone()[0]
            unseen = totals.left_open(connection, session_id)
            connection.execute(
                "UPDATE spans SET status = 'failed', finished_us = max(started_us, ?), result = "
                "json_patch(coalesce(result, '{}'), ?) WHERE session_id = ? AND status = 'active'",
                (
                    last,
                    '{"status":"failed","reason":"process ended","lost_end":true,"error":'
                    '{"error_type":"ProcessEnded","message":"process ended"}}',
                    session_id,
                ),
            )
            totals.add(connection, unseen)


def left_behind(connection: sqlite3.Connection, session_id: str, process: str | None) -> bool:
    """Whether the process that recorded an open call is gone.

    Args:
        process: That process; ``None``: the journal does not name it.
    """
    if process is not None and (lives := alive(process)) is not None:
        return not lives
    last = connection.execute(
        "SELECT max(max(started_us), max(coalesce(finished_us, 0))) FROM spans "
        "WHERE session_id = ?",
        (session_id,),
    ).fetchone()[0]
    return bool(_now_us() - (last or 0) > FOREIGN_S * 1e6)


def _now_us() -> int:
    return time.time_ns() // 1000
