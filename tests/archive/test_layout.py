"""Where a call lies, and where it is looked for."""

from __future__ import annotations

from datetime import date

import pytest

from archive.hosts import stamped
from prefactor_agent.archive.catalog import sorted_out
from prefactor_agent.archive.layout import (
    Object,
    day_in,
    day_of,
    days_of_id,
    escaped,
    object_path,
    partition,
)
from prefactor_agent.core.ids import Ids

NOON_US = 1_795_262_400_000_000


def test_a_call_lies_under_its_agent_and_the_day_it_began() -> None:
    assert partition("Shop", NOON_US) == "agent=Shop/date=2026-11-21"
    assert object_path("f", "id", running=True) == "f/id.running.parquet"
    assert day_in("agent=date/date=2026-11-21/x.parquet") == date(2026, 11, 21)
    assert day_in("agent=Shop/date=soon") is None


@pytest.mark.parametrize(
    ("agent", "expected"),
    [("Shop", "Shop"), ("a b", "a%20b"), ("../x", "..%2Fx"), ("a=b", "a%3Db"), ("", "%20")],
)
def test_names_are_percent_encoded(agent: str, expected: str) -> None:
    assert escaped(agent) == expected


def test_long_names_stay_different() -> None:
    one, other = escaped("ä" * 400), escaped("ä" * 401)
    assert one != other and max(len(one), len(other)) < 256


def test_an_id_says_the_day() -> None:
    id_ = stamped(NOON_US, 1)
    for length in (32, 10, 8, 7):
        found = days_of_id(id_[:length])
        assert found is not None and found[0] <= date(2026, 11, 21) <= found[1]
    assert days_of_id(id_) == (date(2026, 11, 20), date(2026, 11, 22))
    assert days_of_id("another") is None, "u and o are in no id"
    assert days_of_id("") is None
    assert days_of_id("z" * 32) is None
    today = days_of_id(Ids().new())
    assert today is not None and (today[1] - today[0]).days == 2
    assert day_of(0) == date(1970, 1, 1)


def test_what_has_ended_counts_before_what_ran() -> None:
    objects = [
        Object("f/a.running.parquet", 1, None),
        Object("f/a.parquet", 2, None),
        Object("f/b.running.parquet", 1, None),
        Object("f/day-x.parquet", 3, None),
    ]
    day = sorted_out(objects)
    assert [one.path for one in day.many] == ["f/day-x.parquet"]
    assert {id_: one.path for id_, one in day.single.items()} == {"a": "f/a.parquet"}
    assert set(day.running) == {"a", "b"}
