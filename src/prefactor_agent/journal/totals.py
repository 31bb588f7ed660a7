"""The totals of all calls that a journal has seen, which the writer adds to as spans end.

A span counts once, in the transaction that writes its end, so the totals are as true as the spans,
and they stay when calls are pruned. Of a histogram each bucket has a row of its own, with the
number and the sum of what fell in it alone, in microseconds: whole numbers, which add up
exactly."""

from __future__ import annotations

import math
import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from ..core.guard import report
from ..core.json import JSON
from ..core.values import agent_of, mapping
from ..metrics.observations import counts, of_span
from ..metrics.series import MOST_VALUES, OPEN_LABELS, OTHER, SERIES, Kind, Observation
from . import schema
from .manyrows import insert
from .schema import Row

Labels = tuple[str, ...]
_NO_BOUND = ""
"""Of a counter."""
_SINCE = 7
"""The version of the journal that has all of it."""
_WAITING = {
    "prefactor": (
        "SELECT count(*), min(coalesce(s.finished_us, s.started_us)), "
        "(SELECT count(*) FROM outbox WHERE state >= 2) FROM outbox o INDEXED BY outbox_due "
        "JOIN calls c ON c.session_id = o.session_id JOIN spans s ON s.id = o.span_id "
        "WHERE o.due = 1 AND o.state < 2 AND c.wanted = 1"
    ),
    "otlp": (
        "SELECT count(*), min(s.finished_us), "
        "(SELECT count(*) FROM otlp_spans WHERE error IS NOT NULL) "
        "FROM otlp_spans o INDEXED BY otlp_due JOIN otlp_calls c ON c.session_id = o.session_id "
        "JOIN spans s ON s.id = o.span_id WHERE o.error IS NULL AND c.wanted = 1"
    ),
}
"""By target, what waits to be sent there."""
_ROW = ", ".join(Row._fields)
_ENDED_BEFORE = (
    "SELECT json_group_array(id) FROM spans LEFT JOIN calls ON calls.session_id = spans.id "
    "WHERE id IN (SELECT value FROM json_each(?)) AND (status <> 'active' OR counted = 1)"
)
_AGENTS = (
    "SELECT json_group_object(id, json_object('job', json_extract(payload, '$.job'), "
    "'agent_class', json_extract(payload, '$.agent_class'), "
    "'agent_name', json_extract(payload, '$.agent_name'))) FROM spans "
    "WHERE id IN (SELECT value FROM json_each(?)) AND json_valid(payload)"
)
_LABELS = "SELECT json_group_array(json_array(label, value)) FROM total_labels"
_MORE = (
    "ON CONFLICT (series, labels, bound) DO UPDATE SET count = count + excluded.count, "
    "sum_us = sum_us + excluded.sum_us"
)
_UNSEEN_END = '{"lost_end":true}'


class Waiting(NamedTuple):
    """What waits to be sent to one target."""

    spans: int
    oldest_us: int | None
    """When the one began to wait that has waited longest, in microseconds since the epoch."""
    parked: int
    """Spans that were refused."""


class Totals(NamedTuple):
    """What a journal has counted, and what waits in it."""

    counts: Mapping[tuple[str, Labels], float]
    """By series and labels, the value of each counter."""
    lengths: Mapping[tuple[str, Labels], tuple[Mapping[float, int], float]]
    """By series and labels, of each histogram: how many fell in each bucket (by its upper bound,
    not cumulated), and the sum in seconds."""
    waiting: Mapping[str, Waiting]
    """By target of delivery."""


def uncounted(connection: sqlite3.Connection, rows: Iterable[Row]) -> list[Row]:
    """The rows of spans that end, and count, with these rows: ask before they are written."""
    ended = [row for row in rows if row.status != "active" and counts(row.type)]
    if not ended:
        return []
    ids = to_json([row.id for row in ended]).decode()
    before = set(from_json(connection.execute(_ENDED_BEFORE, (ids,)).fetchone()[0]))
    return [row for row in ended if row.id not in before]


def left_open(connection: sqlite3.Connection, session_id: str) -> list[Row]:
    """The same of the spans of a call that are still open, before somebody ends them who has not
    seen their ends."""
    found = connection.execute(
        f"SELECT {_ROW} FROM spans WHERE session_id = ? AND status = 'active'",  # noqa: S608  # ours
        (session_id,),
    ).fetchall()
    ended = (Row(*row)._replace(status="failed", result=_UNSEEN_END) for row in found)
    return uncounted(connection, ended)


def add(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Observation]:
    """Add the rows of spans that end and count, once they are written, in the same transaction.

    Returns:
        What was added, with the labels under which it was.
    """
    if not rows:
        return []
    ids = to_json(list({row.session_id for row in rows})).decode()
    sessions: JSON = from_json(connection.execute(_AGENTS, (ids,)).fetchone()[0])
    found: list[Observation] = []
    for row in rows:
        found += _observed(row, agent_of(mapping(sessions.get(row.session_id))))
    return record(connection, found)


def record(connection: sqlite3.Connection, found: Iterable[Observation]) -> list[Observation]:
    """Add observations, in a transaction of the caller's; returns them as :func:`add` does."""
    labelled = _within_limits(connection, found)
    added: dict[tuple[str, str, str], tuple[float, int]] = {}
    for name, values, value in labelled:
        if SERIES[name].kind is Kind.HISTOGRAM:
            key, more, us = (name, _as_text(values), _bound(name, value)), 1.0, round(value * 1e6)
        else:
            key, more, us = (name, _as_text(values), _NO_BOUND), value, 0
        before = added.get(key, (0, 0))
        added[key] = before[0] + more, before[1] + us
    insert(connection, "totals", [(*key, *more) for key, more in added.items()], _MORE)
    return labelled


def read(path: Path, timeout: float = 2.0) -> Totals:
    """The totals of a journal that is there.

    Args:
        timeout: Seconds to wait for a process that writes.

    Raises:
        UnusableJournalError, StorageError: It cannot be read.
    """
    schema.refuse_directory(path)
    with closing(schema.read_only(path, timeout)) as connection:
        schema.refuse_others(connection, path)
        if schema.version_of(connection) < _SINCE:  # the next process that writes brings it them
            return Totals({}, {}, {})
        rows = connection.execute("SELECT * FROM totals").fetchall()
        waiting = {
            target: Waiting(*connection.execute(query).fetchone())
            for target, query in _WAITING.items()
        }
    return Totals(*_gathered(rows), waiting)


@lru_cache(1024)
def _as_text(labels: Labels) -> str:
    return to_json(labels).decode()


def _bound(name: str, value: float) -> str:
    bounds = SERIES[name].bounds
    place = bisect_left(bounds, value)
    return repr(bounds[place] if place < len(bounds) else math.inf)


def _gathered(rows: Iterable[tuple[str, str, str, float, int]]) -> tuple[Any, Any]:
    counts: dict[tuple[str, Labels], float] = {}
    buckets: dict[tuple[str, Labels], dict[float, int]] = defaultdict(dict)
    sums: dict[tuple[str, Labels], int] = defaultdict(int)
    for series, labels, bound, count, us in rows:
        key = series, tuple(from_json(labels))
        if bound == _NO_BOUND:
            counts[key] = count
        else:
            buckets[key][float(bound)] = int(count)
            sums[key] += us
    return counts, {key: (found, sums[key] / 1e6) for key, found in buckets.items()}


def _observed(row: Row, agent: str) -> list[Observation]:
    try:
        payload, result = partial(from_json, row.payload), partial(from_json, row.result or "{}")
        return [*of_span(agent, row.type, row.name, row.status, payload, result)]
    except Exception as error:  # the span is kept all the same
        report("metrics", error)
        return []


def _within_limits(
    connection: sqlite3.Connection, found: Iterable[Observation]
) -> list[Observation]:
    """The observations, with ``OTHER`` in the place of a value that is one too many for its
    label."""
    known: dict[str, set[str]] = defaultdict(set)
    for label, value in from_json(connection.execute(_LABELS).fetchone()[0]):
        known[label].add(value)

    def limited(label: str, value: str) -> str:
        if label not in OPEN_LABELS or value in known[label]:
            return value
        if len(known[label]) >= MOST_VALUES:
            return OTHER
        known[label].add(value)
        connection.execute("INSERT INTO total_labels VALUES (?, ?)", (label, value))
        return value

    return [
        Observation(name, tuple(map(limited, SERIES[name].labels, values)), value)
        for name, values, value in found
    ]
