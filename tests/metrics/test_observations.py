"""What a span that has ended adds to the series."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_agent.metrics import series
from prefactor_agent.metrics.observations import call_outcome, counts, of_span
from prefactor_agent.metrics.series import SERIES, Kind, Observation


def observed(
    type_: str,
    result: dict[str, Any],
    *,
    name: str = "look_up",
    status: str = "complete",
    payload: dict[str, Any] | None = None,
) -> list[Observation]:
    assert counts(f"livekit:{type_}")
    return [
        *of_span("Shop", f"livekit:{type_}", name, status, lambda: payload or {}, lambda: result)
    ]


def test_an_answer_adds_its_silence_and_the_stages_that_it_was_measured_with() -> None:
    stages = [
        {"name": "llm_ttft", "ms": 300.0},
        {"name": "tool:look_up", "ms": 1000.0},
        {"name": "tool:pay", "ms": 50.0},
        {"name": "llm_ttft_2", "ms": 200.5},
    ]
    found = observed(
        "assistant_turn", {"latency": {"perceived_ms": 1550.5, "stages": stages}, "barge_in_ms": 40}
    )
    assert found == [
        Observation(series.TURNS, ("Shop", "agent"), 1),
        Observation(series.INTERRUPTIONS, ("Shop",), 0),
        Observation(series.BARGE_IN, (), 0.04),
        Observation(series.DEAD_AIR, ("Shop",), 1.5505),
        Observation(series.STAGE, ("Shop", "llm_ttft"), 0.5005),
        Observation(series.STAGE, ("Shop", "tool"), 1.05),
    ]


def test_an_answer_without_a_silence_adds_none() -> None:
    for latency in (None, {"perceived_ms": 0.0, "stages": []}, {"perceived_ms": "<redacted>"}):
        found = observed("assistant_turn", {"latency": latency, "interrupted": True})
        assert found == [
            Observation(series.TURNS, ("Shop", "agent"), 1),
            Observation(series.INTERRUPTIONS, ("Shop",), 1),
        ]


@pytest.mark.parametrize("type_", ["tool", "tool:look_up"])
def test_a_tool_adds_how_long_it_took(type_: str) -> None:
    labels = ("look_up", "failed")
    assert observed(type_, {"duration_ms": 1200.0}, status="failed") == [
        Observation(series.TOOL_CALLS, labels, 1),
        Observation(series.TOOL, labels, 1.2),
    ]


def test_a_tool_of_which_nobody_knows_how_long_it_took_is_counted_only() -> None:
    assert observed("tool", {}) == [Observation(series.TOOL_CALLS, ("look_up", "complete"), 1)]
    assert observed("tool", {"lost_end": True}, status="failed") == [
        Observation(series.TOOL_CALLS, ("look_up", "lost"), 1)
    ]


def test_a_call_adds_its_outcome_and_what_the_tracer_lost() -> None:
    assert observed("session", {"lost_spans": 3}, status="cancelled") == [
        Observation(series.CALLS, ("Shop", "cancelled"), 1),
        Observation(series.LOST_SPANS, ("Shop",), 3),
        Observation(series.TRACER_FAILURES, ("Shop",), 0),
    ]


def test_a_call_whose_process_is_gone_is_lost_unless_its_session_had_closed() -> None:
    def outcome(payload: dict[str, Any]) -> str:
        found = observed("session", {"lost_end": True}, status="failed", payload=payload)
        assert found[0].labels[1] == call_outcome(payload)
        return found[0].labels[1]

    assert outcome({}) == "lost"
    assert outcome({"closed_at": 1.0, "close_reason": "user_initiated"}) == "complete"
    assert outcome({"closed_at": 1.0, "close_reason": "error"}) == "failed"


@pytest.mark.parametrize("until, seconds", [("audio", [0.75]), ("caller", [])])
def test_a_pickup_counts_that_ended_with_the_sound_of_the_agent(
    until: str, seconds: list[float]
) -> None:
    pickup = {"ms": 750.0, "basis": {"from": "joined", "to": until}}
    found = observed("session", {"pickup": pickup})
    assert [one.value for one in found if one.series == series.PICKUP] == seconds


def test_user_turns_and_errors_count_and_tool_results_do_not() -> None:
    assert observed("user_turn", {}) == [Observation(series.TURNS, ("Shop", "user"), 1)]
    assert observed("error", {}, payload={"source": "LLM"}) == [
        Observation(series.ERRORS, ("Shop", "LLM"), 1)
    ]
    assert not counts("livekit:tool_result")
    assert not counts("livekit:tts")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["latency", "pickup", "barge_in_ms", "duration_ms", "lost_spans", "interrupted"]
)
LATENCY = st.fixed_dictionaries({"perceived_ms": ANYTHING, "stages": ANYTHING})


@given(
    st.sampled_from(["session", "user_turn", "assistant_turn", "tool", "error"]),
    st.dictionaries(KEYS, ANYTHING | LATENCY),
    st.dictionaries(st.sampled_from(["source", "closed_at", "close_reason"]), ANYTHING),
)
def test_whatever_is_in_a_result_only_numbers_that_can_be_are_added(
    type_: str, result: dict[str, Any], payload: dict[str, Any]
) -> None:
    for one in observed(type_, result, payload=payload):
        assert len(one.labels) == len(SERIES[one.series].labels)
        assert all(isinstance(label, str) for label in one.labels)
        assert 0 <= one.value < float("inf")


def test_names_are_as_prometheus_asks() -> None:
    for one in SERIES.values():
        assert one.name.startswith("prefactor_")
        assert one.name.endswith("_total") == (one.kind is Kind.COUNTER)
        assert one.name.endswith("_seconds") >= (one.kind is Kind.HISTOGRAM)
        assert bool(one.bounds) == (one.kind is Kind.HISTOGRAM)
        assert list(one.bounds) == sorted(set(one.bounds))
