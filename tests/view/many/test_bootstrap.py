"""Intervals, on cases worked out by hand and on generated calls whose difference is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_agent import conversation
from prefactor_agent.view.many.bootstrap import (
    Sample,
    Statistic,
    interval,
    median,
    p95,
    share,
)

CALLS = st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=12)


def repeated(calls: Sequence[Sequence[float]], times: Sequence[int]) -> list[float]:
    return [value for call, often in zip(calls, times, strict=True) for value in [*call] * often]


def sample_of(calls: Sequence[Sequence[float]]) -> Sample:
    values = np.array([value for call in calls for value in call], np.float64)
    numbers = np.repeat(np.arange(len(calls), dtype=np.int64), [len(call) for call in calls])
    return Sample.of(values, numbers)


@given(CALLS, st.data())
def test_a_weighted_statistic_is_that_of_the_repeated_values(
    calls: list[list[int]], data: st.DataObject
) -> None:
    calls = [call for call in calls if call] or [[1]]
    times = [data.draw(st.integers(0, 3)) for _ in calls]
    values = repeated(calls, times) or repeated(calls, times := [1] * len(calls))
    sample = sample_of(calls)
    weights = np.array(times)[sample.of_call]
    assert median(sample.values, weights) == conversation.median(values)
    assert p95(sample.values, weights) == conversation.percentile(values, 95)
    assert share(sample.values, weights) == pytest.approx(sum(values) / len(values))


def test_the_same_values_have_the_same_interval() -> None:
    before = sample_of([[float(900 + call), 1000.0] for call in range(20)])
    after = sample_of([[float(700 + call), 800.0] for call in range(20)])
    assert interval(before, after, median) == interval(before, after, median)


def test_an_interval_of_calls_that_are_all_alike_is_a_point() -> None:
    before, after = (sample_of([[ms, ms]] * 10) for ms in (900.0, 690.0))
    found = interval(before, after, p95)
    assert found == (-210, -210)
    assert found.certain


def test_an_interval_of_the_same_on_both_sides_holds_zero() -> None:
    sample = sample_of([[float(call), float(call * 7 % 11)] for call in range(30)])
    found = interval(sample, sample, median)
    assert found is not None
    assert found.low < 0 < found.high and not found.certain


@pytest.mark.parametrize(
    ("calls", "statistic"),
    [
        ([[1.0] * 50] * 9, median),  # too few calls
        ([[1.0]] * 19, p95),  # too few values
        ([[0.0] * 50] * 20, share),  # nothing happened
        ([[1.0] * 50] * 20, share),  # it happened each time
    ],
)
def test_too_few_have_no_interval(calls: list[list[float]], statistic: Statistic) -> None:
    sample = sample_of(calls)
    assert interval(sample, sample, statistic) is None


def test_a_call_without_a_value_does_not_count() -> None:
    sample = sample_of([[], [3.0, 1.0], []])
    assert (sample.calls, sample.count) == (1, 2)
    assert sample_of([]).statistic(median) is None


def generated(draw: np.random.Generator, shift: float) -> Sample:
    """Calls of 10 turns, some of callers with a slow line: the turns of a call are alike."""
    lines = draw.normal(6.6, 0.25, 30)
    return sample_of([np.exp(draw.normal(line, 0.4, 10)) + shift for line in lines])


@pytest.mark.parametrize("statistic", [median, p95])
def test_nineteen_of_twenty_intervals_hold_the_true_difference(statistic: Statistic) -> None:
    draw, held, tries = np.random.default_rng(7), 0, 120
    for _ in range(tries):
        before, after = generated(draw, 0), generated(draw, -150)
        found = interval(before, after, statistic, resamples=250)
        assert found is not None
        held += found.low <= -150 <= found.high
    assert 0.89 <= held / tries <= 0.99


def test_turns_of_one_call_do_not_count_as_independent() -> None:
    draw = np.random.default_rng(7)
    before, after = generated(draw, 0), generated(draw, 0)
    found = interval(before, after, median)
    alone = interval(*(sample_of([[one] for one in s.values]) for s in (before, after)), median)
    assert found is not None and alone is not None
    assert found.high - found.low > 1.2 * (alone.high - alone.low)
