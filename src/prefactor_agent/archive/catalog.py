"""Which objects an archive has, day by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from functools import cached_property
from typing import NamedTuple

from .layout import RECORDING, SUFFIX, Object, day_in
from .storage import Storage


class Day(NamedTuple):
    """The objects of one day, of all agents."""

    many: list[Object]
    """Those with the calls of a day."""
    single: dict[str, Object]
    """Those with one call that has ended, by its id. They have the last word on it."""
    running: dict[str, Object]
    """Those with a call that ran when they were written. All others count before them."""
    recordings: dict[str, Object]
    """The recordings of calls, by their ids."""


class Catalog:
    """What is in the storage, looked up once.

    Raises:
        ArchiveError: From every method.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._days: dict[date, Day] = {}

    @cached_property
    def folders(self) -> dict[date, list[str]]:
        """The partitions of each day, the newest day first."""
        found: dict[date, list[str]] = defaultdict(list)
        for agent in self._storage.folders():
            if not agent.startswith("agent="):
                continue
            for folder in self._storage.folders(f"{agent}/"):
                if (day := day_in(folder)) is not None:
                    found[day].append(folder)
        return {day: found[day] for day in sorted(found, reverse=True)}

    def days(self, first: date | None = None, last: date | None = None) -> Iterator[date]:
        """The days that have calls, the newest first; by default all."""
        for day in self.folders:
            if (first is None or day >= first) and (last is None or day <= last):
                yield day

    def day(self, day: date) -> Day:
        if day not in self._days:
            found = [o for part in self.folders[day] for o in self._storage.objects(f"{part}/")]
            self._days[day] = sorted_out(found)
        return self._days[day]


def objects_of(storage: Storage, folder: str) -> list[Object]:
    """The objects of a partition that have calls.

    Raises:
        ArchiveError
    """
    return [one for one in storage.objects(f"{folder}/") if one.path.endswith(SUFFIX)]


def sorted_out(objects: list[Object]) -> Day:
    calls = [one for one in objects if one.path.endswith(SUFFIX)]
    single = {one.session_id: one for one in calls if not one.many and not one.running}
    running = {one.session_id: one for one in calls if one.running}
    recordings = {one.session_id: one for one in objects if one.path.endswith(RECORDING)}
    return Day(sorted(one for one in calls if one.many), single, running, recordings)


class Partition(NamedTuple):
    """What one agent has of one day."""

    folder: str
    objects: int
    bytes: int


def partitions(storage: Storage) -> Iterator[Partition]:
    """All partitions of an archive.

    Raises:
        ArchiveError
    """
    for agent in storage.folders():
        for folder in storage.folders(f"{agent}/"):
            if day_in(folder) is not None:
                found = objects_of(storage, folder)
                yield Partition(folder, len(found), sum(one.size for one in found))
