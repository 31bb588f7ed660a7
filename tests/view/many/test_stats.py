"""Latency over many calls, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

from prefactor_agent.view.many.stats import collect
from view.calls import session
from view.latencies import SPANS, latencies_of, span, turn
from view.pickups import picked_up


def test_only_turns_with_a_latency_count():
    turns = [turn for call in latencies_of(SPANS) for turn in call.turns]
    assert [(one.session_id, one.perceived_ms) for one in turns] == [
        ("a", 800),
        ("a", 2000),
        ("b", 900),
    ]


def test_each_stage_has_its_count_median_p95_and_worst():
    stats = collect(latencies_of(SPANS))
    assert (stats.calls, stats.turns, stats.over_budget) == (2, 3, 1)
    assert [
        (one.name, one.count, one.median_ms, one.p95_ms, one.worst_ms) for one in stats.lines
    ] == [
        ("perceived", 3, 900, 2000, 2000),
        ("vad", 3, 500, 700, 700),
        ("llm_ttft", 3, 200, 300, 300),
        ("tool:look_up", 1, 1400, 1400, 1400),
    ]
    assert stats.as_json()["stages"][0] == {
        "name": "perceived",
        "count": 3,
        "median_ms": 900,
        "p95_ms": 2000,
        "worst_ms": 2000,
    }


def test_a_stage_that_came_twice_in_a_turn_counts_with_its_sum():
    latency = {"perceived_ms": 30, "stages": [{"name": "tool:a", "ms": 10}] * 3}
    doubled = span("a", "livekit:assistant_turn", {}, {"latency": latency})
    line = collect(latencies_of([doubled])).line("tool:a")
    assert line is not None
    assert (line.count, line.median_ms) == (1, 30)


def test_stages_stand_in_the_order_in_which_they_happen():
    spans = [
        turn(
            "a", 2,
            leading_silence=1, tts_ttfb=1, llm_ttft_2=1, llm_queue_2=1, tool__x=1,
            llm_tool_call=1, llm_ttft=1, vad=1, unattributed=1,
        )
    ]  # fmt: skip
    assert [one.name for one in collect(latencies_of(spans)).lines] == [
        "perceived", "vad", "llm_ttft", "llm_tool_call", "tool:x", "llm_queue_2", "llm_ttft_2",
        "tts_ttfb", "leading_silence", "unattributed",
    ]  # fmt: skip


def test_pickups_have_figures_of_their_own():
    spoke_first = picked_up(until="caller")
    slow = picked_up(ms=4000.0, stages=[{"name": "process", "ms": 4000.0}])
    calls = [
        replace(session(pickup=one), id=id_, session_id=id_)
        for id_, one in {"a": picked_up(), "b": slow, "c": spoke_first}.items()
    ]
    stats = collect(latencies_of(calls))
    assert (stats.calls, stats.turns, stats.lines) == (0, 0, ())
    assert [(one.name, one.count, one.median_ms, one.worst_ms) for one in stats.pickup] == [
        ("pickup", 2, 3000, 4000),
        ("dispatch", 1, 200, 200),
        ("accept", 1, 2, 2),
        ("process", 2, 2400, 4000),
        ("connect", 1, 400, 400),
        ("llm_ttft", 1, 300, 300),
        ("tts_ttfb", 1, 298, 298),
    ]
    assert stats.as_json()["pickup"][0]["name"] == "pickup"
