"""Where things stand in the pictures of the overview, worked out by hand."""

from __future__ import annotations

import re

import pytest

from prefactor_agent.view.many.bootstrap import Interval
from prefactor_agent.view.many.compare import Row
from prefactor_agent.view.many.overview import Version
from prefactor_agent.view.many.overview_time import Bucket
from prefactor_agent.view.many.stats import line_of
from prefactor_agent.view.ui import charts
from view.calls import us
from view.many.test_overview import of, seen

DAY = 86_400_000


def days(*values: list[float]) -> list[Bucket]:
    return [
        Bucket(
            us(index * DAY),
            us((index + 1) * DAY),
            1,
            line_of("perceived", sorted(some)) if some else None,
            None,
        )
        for index, some in enumerate(values)
    ]


def chart(*values: list[float]) -> charts.Chart:
    found = charts.chart(days(*values), lambda one: one.dead_air, "turn")
    assert found is not None
    return found


def test_points_stand_in_the_middle_of_their_day() -> None:
    found = chart([1000], [500, 1000, 2000, 2000], [2000])
    assert [point.x for point in found.points] == ["16.667%", "50.000%", "83.333%"]
    # From 182 at 0 ms to 32 at 2000 ms.
    assert [point.median for point in found.points] == ["107.0", "69.5", "32.0"]
    assert [point.p95 for point in found.points] == ["107.0", "32.0", "32.0"]
    assert [point.count_height for point in found.points] == ["5.5", "22.0", "5.5"]
    assert found.points[1].says == ("Sun 22 Nov 2026, 4 turns", "median 1,500 ms, p95 2,000 ms")
    assert [mark.text for mark in found.ticks] == ["0 ms", "500 ms", "1 s", "1.5 s", "2 s"]


def test_a_line_ends_where_nothing_was_measured() -> None:
    found = chart([1000], [1000], [], [2000])
    assert found.runs["median"] == ("M125.00 107.0 L375.00 107.0", "M875.00 32.0")
    assert len(found.points) == 3


def test_what_was_never_measured_has_no_picture() -> None:
    assert charts.chart(days([], []), lambda one: one.dead_air, "turn") is None
    assert charts.chart([], lambda one: one.dead_air, "turn") is None


@pytest.mark.parametrize("highest", [0.2, 1.0, 49.9, 50.1, 999.0, 1000.0, 1001.0, 123_456.0])
def test_an_axis_has_few_round_numbers_and_holds_everything(highest: float) -> None:
    found = chart([highest])
    assert 2 <= len(found.ticks) <= 7
    assert float(found.points[0].p95) >= charts.TOP - 0.1
    for mark in found.ticks:
        assert re.fullmatch(r"[\d,]*(\.\d+)? (ms|s)", mark.text)


def test_the_names_of_two_lines_do_not_cover_each_other() -> None:
    apart, together = chart([500, 2000]), chart([1000])
    assert [mark.text for mark in apart.names] == ["p95", "median"]
    for found in (apart, together):
        high, low = (float(mark.at) for mark in found.names)
        assert low - high >= 15


def test_labels_along_the_time_are_few() -> None:
    found = chart(*[[1000.0]] * 40)
    assert [mark.text for mark in found.times][:2] == ["21 Nov", "28 Nov"]
    assert len(found.times) == 6


def test_the_stages_of_a_bar_follow_each_other() -> None:
    found = charts.bar({"vad": 250.0, "llm_ttft": 500.0, "playback": 0.0, "tts_ttfb": 250.0}, 2000)
    assert [(one.x, one.width) for one in found] == [
        ("0.000%", "12.500%"),
        ("12.500%", "25.000%"),
        ("37.500%", "12.500%"),
    ]
    assert found[1].says == "LLM to first token: 500 ms, 50%"
    assert charts.bar({}, 1) == []


def test_a_version_is_marked_where_it_followed_another() -> None:
    versions = [
        of("c", "v3", [800], day=3),
        of("b", "v2", [800], day=1),
        of("a", "v1", [800]),
    ]
    buckets = days([1], [1], [1], [1])
    found = charts.releases(buckets, seen(versions).versions)
    assert [(one.at, one.shown, one.narrow) for one in found] == [
        ("25.000%", "v2", True),
        ("75.000%", "v3", True),
    ]
    assert charts.releases(buckets, seen(versions[:1]).versions) == []


def test_names_of_versions_that_would_cover_each_other_are_left_out() -> None:
    def version(name: str, at: float) -> Version:
        return Version("Shop", name, us(at * DAY), seen([]).whole)

    buckets = days(*[[1.0]] * 10)
    named = [version("v1", 0), version("v2", 1), version("v3", 1.2), version("v4", 4)]
    found = charts.releases(buckets, named)
    assert [(one.name, one.shown) for one in found] == [("v2", "v2"), ("v3", ""), ("v4", "v4")]
    assert [one.narrow for one in found] == [True, False, False]
    [long] = charts.releases(buckets, [version("v1", 0), version("3f9a" * 16, 5)])
    assert len(long.shown) == 14 and long.shown.endswith("…")


def row(difference: float | None, sure: Interval | None = None, statistic: str = "p95_ms") -> Row:
    after = difference
    before = None if difference is None else 0.0
    return Row("dead air", "vad", statistic, "turns", before, after, (9, 9), (9, 9), sure)


def test_differences_have_one_scale_and_a_colour_if_they_are_sure() -> None:
    found = charts.forest(
        [
            row(-200.0, Interval(-300.0, -100.0)),
            row(100.0, Interval(-50.0, 900.0)),
            row(0.05, Interval(0.02, 0.08), "share"),
            row(None),
            row(150.0),
        ]
    )
    less, wide, share, absent, unsure = found
    # 48 % is 300 ms, the farthest end that is not twice as far as its difference.
    assert less == charts.Span("2.000%", "32.000%", "18.000%", "good")
    assert wide is not None and (wide.x, wide.width, wide.tone) == ("42.000%", "56.000%", "")
    assert share is not None and (share.at, share.tone) == ("80.000%", "bad")
    assert absent is None
    assert unsure is not None and (unsure.at, unsure.tone) == ("74.000%", "")
