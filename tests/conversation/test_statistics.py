"""Figures over many turns."""

from __future__ import annotations

from conversation.turns import MS, one
from prefactor_agent.conversation import median, percentile, summarize


def test_a_call_is_summed_up():
    turns = [one(1000 * MS, vad=300 * MS, llm_ttft=700 * MS), one(3000 * MS, vad=2600 * MS)]
    assert summarize(turns) == {
        "turns": 2,
        "median_ms": 2000.0,
        "p95_ms": 3000.0,
        "worst_ms": 3000.0,
        "slowest_stage": "vad",
    }
    assert summarize([]) is None


def test_percentiles_are_values_that_there_were():
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 95), percentile(values, 100), percentile([7.0], 95)) == (95, 100, 7)
    assert (median(values), median([3.0, 1.0, 2.0])) == (50.5, 2)


def test_a_silence_of_no_length_is_not_counted():
    early = one(0)
    early.over_budget = {"vad": 1.0}
    assert summarize([early]) is None
    summary = summarize([early, one(1000 * MS, vad=300 * MS)])
    assert summary is not None
    assert (summary["turns"], summary["median_ms"], "over_budget" in summary) == (1, 1000.0, False)
