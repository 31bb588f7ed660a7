"""Puts the calls of a day together, so that many are read as quickly as one.

It is safe while hosts write and others compact. The new object is written first; only what is in it
is removed then, and only if it has not changed in the meantime. Whoever reads in between finds a
call twice, and takes one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ..core.ids import Ids
from .catalog import Day, objects_of, sorted_out
from .layout import DAY, SUFFIX, day_in
from .query import Query
from .storage import ArchiveError, Storage

LEAST = 2
"""Objects that are worth to be put together."""
SETTLED = timedelta(hours=24)
"""A call that was still running when it was written is left alone for so long after its day: its
end, or the process that finds its journal, replaces it."""


class Compacted(NamedTuple):
    """What was done with one partition."""

    folder: str
    calls: int
    objects: int
    """That were put together."""
    bytes_before: int
    bytes_after: int


def compact(storage: Storage, scratch: Path, today: date | None = None) -> Iterator[Compacted]:
    """Put together the calls of each agent and day, save those of today.

    Args:
        scratch: A folder for what is written meanwhile.
        today: Default: the present day (UTC).

    Raises:
        ArchiveError, duckdb.Error, OSError
    """
    now = datetime.now(UTC).date() if today is None else today
    for agent in storage.folders():
        for folder in storage.folders(f"{agent}/"):
            day = day_in(folder)
            if day is None or day >= now:
                continue
            objects = sorted_out(objects_of(storage, folder))
            settled = now - day > SETTLED
            if (done := _together(storage, folder, objects, settled, scratch)) is not None:
                yield done


def _together(
    storage: Storage, folder: str, day: Day, settled: bool, scratch: Path
) -> Compacted | None:
    parts = [*day.many, *day.single.values(), *(day.running.values() if settled else ())]
    if len(parts) < LEAST:
        return None
    query = Query(storage)
    try:
        data, calls, used = query.together(parts, scratch)
    finally:
        query.close()
    path = f"{folder}/{DAY}{Ids().new()}{SUFFIX}"
    storage.put(path, data)
    there = storage.head(path)
    if there is None or there.size != len(data):
        raise ArchiveError(f"{path} was not written as a whole to {storage.address}")
    storage.delete([one.path for one in used if storage.head(one.path) == one])
    return Compacted(folder, calls, len(used), sum(one.size for one in used), len(data))
