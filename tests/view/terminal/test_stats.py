"""Latency over many calls, with numbers worked out by hand."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

from prefactor_agent.journal.reader import StoredSpan
from prefactor_agent.view.terminal.stats import chosen, collect, compare, table, turns_of


def turn(call: str, index: int, *, over: bool = False, **stages: float) -> StoredSpan:
    names = [(name.replace("__", ":"), ms) for name, ms in stages.items()]
    latency: dict[str, Any] = {
        "perceived_ms": sum(stages.values()),
        "stages": [{"name": name, "ms": ms} for name, ms in names],
        "basis": {"from": "audio", "to": "audio"},
    }
    if over:
        latency["over_budget"] = {"perceived": 1.5}
    return span(call, "livekit:assistant_turn", {"turn_index": index}, {"latency": latency})


def span(
    call: str, type_: str, payload: dict[str, Any], result: dict[str, Any], at: int = 0
) -> StoredSpan:
    own = f"{call}-{payload.get('turn_index')}"
    return StoredSpan(own, call, call, type_, type_, "complete", at, at + 1, payload, result)


def shown(drawn: RenderableType) -> str:
    console = Console(file=StringIO(), width=160, color_system=None)
    console.print(drawn)
    return console.file.getvalue()  # type: ignore[attr-defined]


SPANS = [
    turn("a", 2, vad=500, llm_ttft=300),
    turn("a", 4, vad=500, llm_ttft=100, tool__look_up=1400, over=True),
    turn("b", 2, vad=700, llm_ttft=200),
    span("b", "livekit:user_turn", {}, {}),
    span("b", "livekit:assistant_turn", {"turn_index": 1}, {"spoken_text": "Hello."}),
]


def test_only_turns_with_a_latency_count():
    turns = [(one.session_id, one.perceived_ms) for one in turns_of(SPANS)]
    assert turns == [("a", 800), ("a", 2000), ("b", 900)]


def test_each_stage_has_its_count_median_p95_and_worst():
    stats = collect(turns_of(SPANS))
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
    line = collect(turns_of([doubled])).line("tool:a")
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
    assert [one.name for one in collect(turns_of(spans)).lines] == [
        "perceived", "vad", "llm_ttft", "llm_tool_call", "tool:x", "llm_queue_2", "llm_ttft_2",
        "tts_ttfb", "leading_silence", "unattributed",
    ]  # fmt: skip


def test_the_table_shows_them():
    text = shown(table(collect(turns_of(SPANS))))
    assert "3 answered turns in 2 calls, 1 over budget" in text
    assert [line.split() for line in text.splitlines()][3] == [
        "perceived", "3", "900", "ms", "2,000", "ms", "2,000", "ms",
    ]  # fmt: skip
    assert "No answered turn" in shown(table(collect([])))


def test_two_versions_stand_side_by_side():
    before, after = collect(turns_of(SPANS[:2])), collect(turns_of(SPANS[2:]))
    text = shown(compare(before, after, ("1.0", "1.1")))
    perceived = next(line for line in text.splitlines() if line.startswith("perceived"))
    figures = " ".join(perceived.split())
    assert figures == "perceived 1,400 ms 900 ms -500 ms 2,000 ms 900 ms -1100 ms"
    vad = next(line for line in text.splitlines() if line.startswith("vad"))
    assert "+200 ms" in vad
    assert "No answered turn of 1.1" in shown(compare(before, collect([]), ("1.0", "1.1")))


def test_calls_are_chosen_by_date_agent_and_version():
    calls = [
        span("a", "livekit:session", {"agent_name": "shop", "agent_version": "1"}, {}, at=100),
        span("b", "livekit:session", {"agent_class": "Shop", "agent_version": 2}, {}, at=200),
        span("c", "livekit:session", {"job": {"agent_name": "phone"}}, {}, at=300),
    ]
    assert [one.session_id for one in chosen(calls)] == ["a", "b", "c"]
    assert [one.session_id for one in chosen(calls, since_us=200)] == ["b", "c"]
    assert [one.session_id for one in chosen(calls, agent="phone")] == ["c"]
    assert [one.session_id for one in chosen(calls, agent="Shop", version="2")] == ["b"]
