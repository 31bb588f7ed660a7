"""Figures over time, on days that are known."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import pairwise

import pytest

from prefactor_agent.view.many.overview_calls import PeriodCalls
from prefactor_agent.view.many.overview_time import MOST, over_time, spans_of
from view.many.test_overview import NEW, OLD

HOUR, DAY = 3_600_000_000, 86_400_000_000


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone().timestamp() * 1e6)


def test_each_day_has_its_figures() -> None:
    begins = at("2026-11-21T00:00")  # the calls are of 06:31 on four days
    calls = [one.gathered for one in PeriodCalls([*NEW, *OLD]).of()]
    found = over_time(calls, [begins + day * DAY for day in range(6)])
    assert [one.calls for one in found] == [1, 1, 1, 1, 0]
    medians = [one.dead_air.median_ms if one.dead_air else None for one in found]
    assert medians == [1000, 1200, 800, 800, None]
    first = found[0]
    assert (first.begins_us, first.ends_us) == (begins, begins + DAY)
    assert first.dead_air is not None and first.pickup is not None
    assert (first.dead_air.count, first.dead_air.p95_ms) == (3, 2000)
    assert (first.pickup.count, first.pickup.median_ms) == (1, 2000)


def test_a_call_at_an_edge_is_of_the_part_that_begins() -> None:
    calls = [one.gathered for one in PeriodCalls(OLD).of()]
    [second, first] = sorted(calls[0].started_us, reverse=True)
    found = over_time(calls, [first, second, second + 1])
    assert [one.calls for one in found] == [1, 1]


@pytest.mark.parametrize(
    ("begins", "ends", "first", "second", "count"),
    [
        ("2026-11-21T06:31", "2026-11-21T06:32", "2026-11-21T06:30", "2026-11-21T06:35", 1),
        ("2026-11-20T06:31", "2026-11-21T06:31", "2026-11-20T06:00", "2026-11-20T07:00", 25),
        ("2026-11-14T06:31", "2026-11-21T06:31", "2026-11-14T06:00", "2026-11-14T12:00", 29),
        ("2026-10-22T06:31", "2026-11-21T06:31", "2026-10-22T00:00", "2026-10-23T00:00", 31),
        ("2026-08-23T06:31", "2026-11-21T06:31", "2026-08-17T00:00", "2026-08-24T00:00", 14),
    ],
)
def test_parts_are_as_long_as_people_count(
    begins: str, ends: str, first: str, second: str, count: int
) -> None:
    edges = spans_of(at(begins), at(ends))
    assert edges[:2] == [at(first), at(second)]
    assert len(edges) - 1 == count
    assert edges[-2] <= at(ends) < edges[-1]


def test_a_day_on_which_clocks_change_is_one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    edges = spans_of(at("2026-10-20T12:00"), at("2026-11-01T12:00"))
    lengths = {(later - earlier) // HOUR for earlier, later in pairwise(edges)}
    assert lengths == {24, 25}
    assert edges[0] == at("2026-10-20T00:00")


def test_of_many_years_there_are_more_parts_than_usual() -> None:
    edges = spans_of(at("1970-01-02T00:00"), at("2070-01-01T00:00"))
    assert MOST < len(edges) < 120
