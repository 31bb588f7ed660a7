"""Reads calls from the archive: only the days, the objects and the columns that are asked for."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, TypeVar

from pydantic_core import from_json

from ..core.json import JSON
from ..core.span import SpanType
from ..journal.columns import checked, joined
from ..stored.recording import Recording
from ..stored.source import Listed
from ..stored.span import StoredSpan, with_streams
from .catalog import Catalog, Day
from .layout import Object, day_of, days_of_id
from .query import Query
from .recordings import fetched
from .storage import ArchiveError, Storage

_FEW = 32
"""So many objects with one call are read at a time for a list."""
_MANY = 256
_ROOT = "parent_id IS NULL"
_HEAD = "session_id, status, epoch_us(started_at), epoch_us(finished_at), digest"
_SPAN = (
    "session_id, id, parent_id, type, name, status, epoch_us(started_at), epoch_us(finished_at), "
    "payload, result, streams"
)
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_SAID = (
    "type IN ('livekit:user_turn', 'livekit:assistant_turn') AND translate(coalesce("
    "result ->> '$.transcript', result ->> '$.spoken_text'), "
    f"'{_UPPER}', '{_LOWER}') LIKE translate(?, '{_UPPER}', '{_LOWER}') ESCAPE '\\'"
)
_OUTLINED = frozenset(
    {
        SpanType.USER_TURN,
        SpanType.ASSISTANT_TURN,
        SpanType.TTS,
        SpanType.REALTIME,
        SpanType.ERROR,
        SpanType.TOOL,
    }
)
"""The types of span in an outline, besides those of single tools and the session's own."""
T = TypeVar("T")


class Archive:
    """An archive, opened for reading: a :class:`..stored.source.Source`.

    Raises:
        ArchiveError: From every method; from the constructor, if there is none.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._storage = Storage(address)
        self._catalog = Catalog(self._storage)
        self._query = Query(self._storage)
        self._ids: set[str] = set()
        self._last: tuple[str, list[StoredSpan]] = ("", [])

    def close(self) -> None:
        self._query.close()

    def listing(self, since_us: int | None = None) -> Iterator[Listed]:
        first = day_of(since_us) if since_us is not None else None
        for day in self._catalog.days(first=first):
            for call in self._of_day(self._catalog.day(day)):
                if since_us is None or call.started_us >= since_us:
                    yield call

    def _of_day(self, day: Day) -> Iterator[Listed]:
        """The calls of a day, the newest first. An object with one call has the last word."""
        self._ids.update(day.single, day.running)
        together = {call.id: call for call in self._heads(day.many) if call.id not in day.single}
        self._ids.update(together)
        single = {**{i: o for i, o in day.running.items() if i not in together}, **day.single}
        newest = sorted(together.values(), key=_age, reverse=True)
        yield from heapq.merge(newest, self._singly(single), key=_age, reverse=True)

    def _singly(self, objects: Mapping[str, Object]) -> Iterator[Listed]:
        # An id begins with the moment at which it was made.
        for few in _in_parts(sorted(objects, reverse=True), _FEW):
            found = self._heads([objects[id_] for id_ in few])
            yield from sorted(found, key=_age, reverse=True)

    def _heads(self, objects: list[Object]) -> Iterator[Listed]:
        for id_, status, started_us, finished_us, digest, _ in self._query.rows(
            _HEAD, objects, _ROOT
        ):
            yield Listed(id_, status, started_us, finished_us, _object(digest))

    def ids_around(self) -> list[str]:
        """The calls of the days that were listed: those of others have other beginnings."""
        return sorted(self._ids)

    def find(self, name: str = "last") -> str:
        if name == "last":
            newest = next(self.listing(), None)
            if newest is None:
                raise ArchiveError(f"no call is in the archive {self.address} yet")
            return newest.id
        found = self._beginning(name, days_of_id(name)) or self._beginning(name, None)
        if not found:
            raise ArchiveError(f"no call begins with {name!r}: see prefactor-agent sessions")
        if len(found) > 1:
            listed = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
            raise ArchiveError(f"{name!r} could be {listed}: give more of the id")
        return found[0]

    def _beginning(self, name: str, within: tuple[date, date] | None) -> list[str]:
        found: set[str] = set()
        for day in self._days(within):
            objects = self._catalog.day(day)
            single = (*objects.single, *objects.running)
            found.update(id_ for id_ in single if id_.startswith(name))
            rows = self._query.rows(
                "session_id", objects.many, f"{_ROOT} AND starts_with(session_id, ?)", (name,)
            )
            found.update(row[0] for row in rows)
        return sorted(found)

    def _days(self, within: tuple[date, date] | None) -> Iterable[date]:
        return self._catalog.days(*within) if within is not None else self._catalog.days()

    def call(self, session_id: str) -> list[StoredSpan]:
        if self._last[0] != session_id:
            found = self._spans(session_id, days_of_id(session_id))
            self._last = (session_id, found or self._spans(session_id, None))
        return self._last[1]

    def _spans(self, session_id: str, within: tuple[date, date] | None) -> list[StoredSpan]:
        for day in self._days(within):
            objects = self._catalog.day(day)
            if (single := objects.single.get(session_id)) is not None:
                return self._spans_in([single], session_id)
            if spans := self._spans_in(objects.many, session_id):
                return spans
            if (running := objects.running.get(session_id)) is not None:
                return self._spans_in([running], session_id)
        return []

    def _spans_in(self, objects: list[Object], session_id: str) -> list[StoredSpan]:
        rows = self._query.rows(_SPAN, objects, "session_id = ?", (session_id,))
        objects_seen = {row[-1] for row in rows}
        if len(objects_seen) > 1:  # two programs compacted the same day at the same time
            rows = [row for row in rows if row[-1] == max(objects_seen)]
        return [self._span(*row[:-1]) for row in rows]

    def _span(self, session_id: str, id_: str, *rest: Any) -> StoredSpan:
        *head, payload, result, streams = rest
        try:
            columns = {
                name: joined(map(checked, parts))
                for name, parts in from_json(streams or "{}").items()
            }
            whole = with_streams(from_json(result or "{}"), columns)
            parent_id, type_, name, status, started_us, finished_us = head
            return StoredSpan(
                id_, session_id, parent_id, type_, name, status, started_us, finished_us,
                from_json(payload), whole,
            )  # fmt: skip
        except (ValueError, TypeError, AttributeError) as error:
            raise ArchiveError(
                f"the archive {self.address} is damaged at the span {id_}: {error}"
            ) from None

    def outline(self, session_id: str) -> list[StoredSpan]:
        return [
            span
            for span in self.call(session_id)
            if span.parent_id is None
            or span.type in _OUTLINED
            or span.type.startswith(f"{SpanType.TOOL}:")
        ]

    def last_sign(self, session_id: str) -> int:
        last = 0
        for span in self.call(session_id):
            last = max(last, span.finished_us or span.started_us)
            if span.finished_us is None:
                streams = span.result.get("streams") or {}
                ends = [max(s.get("offset_us") or [0]) for s in streams.values()]
                last = max(last, span.started_us + max(ends, default=0))
        return last

    def alive(self, session_id: str) -> bool | None:
        return None

    def progress(self, session_id: str) -> tuple[int, int]:
        spans = self.call(session_id)
        return len(spans), sum(span.finished_us is not None for span in spans)

    def saying(self, words: str) -> set[str]:
        pattern = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found: set[str] = set()
        for day in self._catalog.days():
            objects = self._catalog.day(day)
            single = [*objects.single.values(), *objects.running.values()]
            for batch in (objects.many, *_in_parts(single, _MANY)):
                rows = self._query.rows("DISTINCT session_id", batch, _SAID, (f"%{pattern}%",))
                found.update(row[0] for row in rows)
        return found

    def recording(self, session_id: str) -> Recording | None:
        for day in self._days(days_of_id(session_id)):
            if (found := self._catalog.day(day).recordings.get(session_id)) is not None:
                return fetched(self._storage, found)
        return None

    def keep(self, digests: Mapping[str, str]) -> None:
        """An object is never changed: it has its digest since it was written."""


def _age(call: Listed) -> tuple[int, str]:
    """The journal's order, turned round: of two calls at once the one with the greater id."""
    return call.started_us, call.id


def _in_parts(many: list[T], size: int) -> Iterator[list[T]]:
    for begun in range(0, len(many), size):
        yield many[begun : begun + size]


def _object(text: str | None) -> JSON | None:
    try:
        value = from_json(text) if text is not None else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
