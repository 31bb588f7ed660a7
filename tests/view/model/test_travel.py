"""How the sound travelled, in words and as a lane, with numbers worked out by hand."""

from __future__ import annotations

from typing import Any

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.ending import ending
from prefactor_agent.view.model.summarize import summarize
from prefactor_agent.view.model.travel import Sample, in_words, samples
from prefactor_agent.view.report import render
from prefactor_agent.view.terminal.waterfall import waterfall
from view.calls import session, span, us
from view.report.test_report import Page

SOUND = {
    "user": {
        "at_us": [5_000_000, 10_000_000],
        "lost_percent": [0.0, 5.0],
        "jitter_ms": [2.0, 38.2],
        "buffer_ms": [40.0, 60.0],
        "concealed_percent": [0.0, 2.4],
        "packets": 490,
        "packets_lost": 10,
    },
    "agent": {
        "at_us": [5_000_000, 10_000_000],
        "lost_percent": [None, 20.0],
        "jitter_ms": [None, 1.0],
        "packets": 500,
        "packets_lost": 0,
    },
    "quality": [
        {"at_us": 1_000_000, "voice": "user", "quality": "excellent"},
        {"at_us": 8_500_000, "voice": "user", "quality": "poor"},
    ],
    "echo": {"turns": 2, "of_turns": 5, "delay_ms": 320.0, "attenuation_db": 12.0},
}


def call(**result: Any) -> list[StoredSpan]:
    return [
        session(20_000, **result),
        span("a1", "assistant_turn", 1_000, 3_000, result={"spoken_text": "Hello."}),
    ]


def test_each_fact_is_said_in_words() -> None:
    assert in_words(build(call(sound=SOUND, reconnects=2))) == [
        "caller: 2.0 % of the packets lost, 1.2 % of the sound made up, jitter up to 38 ms",
        "agent: none of the packets lost, jitter up to 1 ms",
        "connection of the caller poor at 0:08.5",
        "the agent was reconnected 2 times",
        "the agent's echo in 2 of 5 answers, 320 ms later",
    ]


def test_a_call_without_any_of_it_says_nothing() -> None:
    assert in_words(build(call())) == []
    assert samples(build(call())) == []
    assert not [
        line for line in waterfall(call(), 100, now_us=us(60_000)) if "sound:" in line.plain
    ]


def test_the_lane_is_as_bad_as_the_worst_of_three_measures() -> None:
    """Ten per cent lost, or made up, or 100 ms of jitter, is as bad as it gets."""
    assert samples(build(call(sound=SOUND))) == [
        Sample("user", 0, 5_000_000, 0.02),
        Sample("user", 5_000_000, 10_000_000, 0.5),
        Sample("agent", 0, 5_000_000, 0.0),
        Sample("agent", 5_000_000, 10_000_000, 1.0),
    ]


def test_what_does_not_belong_there_is_left_out() -> None:
    odd = {"user": {"at_us": ["x", 5_000_000], "lost_percent": "none"}, "agent": 3, "quality": [1]}
    assert [one.badness for one in samples(build(call(sound=odd)))] == [0.0]
    assert in_words(build(call(sound=odd))) == []


def test_show_has_a_line_and_the_page_a_row_and_a_lane() -> None:
    spans = call(sound=SOUND)
    lines = [line.plain for line in waterfall(spans, 200, now_us=us(60_000))]
    (line,) = [line for line in lines if line.startswith("sound: ")]
    assert "caller: 2.0 % of the packets lost" in line
    page = Page(render(spans))
    assert "agent: none of the packets lost" in page.text
    assert page.data["sound"][1] == [500_000, 1_000_000, False, 0.5]
    assert page.data["sound"][3] == [500_000, 1_000_000, True, 1.0]


def test_who_ended_the_call_if_it_was_nobody_in_it() -> None:
    def said(by: str) -> str:
        tree = build(call(hung_up_by=by))
        return ending(tree, summarize(tree))[0]

    assert said("network") == "ended by the program: the network failed"
    assert said("server") == "ended by the program: the server ended the call"
    assert said("agent") == "ended by the program"
