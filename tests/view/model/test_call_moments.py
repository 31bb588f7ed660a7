from __future__ import annotations

from typing import Any

from prefactor_agent.view.model.call_moments import call_moments
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.report import render
from prefactor_agent.view.terminal.waterfall import waterfall
from view.calls import session, spoken_call, us

MOMENTS: list[dict[str, Any]] = [
    {"at_us": 1_000_000, "kind": "user_away"},
    {"at_us": 2_000_000, "kind": "user_back"},
    {"at_us": 3_000_000, "kind": "transcription_timeout", "speech_ms": 1250.0},
    {"at_us": 4_000_000, "kind": "false_interruption", "resumed": False},
    {
        "at_us": 5_000_000,
        "kind": "overlapping_speech",
        "verdict": "backchannel",
        "probability": 0.12,
        "delay_ms": 320.0,
    },
]


def test_each_moment_is_said_in_words() -> None:
    found = list(call_moments(build([session(moments=MOMENTS)])))
    assert [one.words for one in found] == [
        "the caller is away",
        "the caller is back",
        "the caller spoke, and no words came of 1.25 s of speech",
        "a false interruption: the agent stayed silent",
        "the caller spoke over the agent: backchannel (0.12) after 320 ms",
    ]
    assert [one.started_us for one in found] == [us(1000 * n) for n in range(1, 6)]


def test_a_part_off_the_record_has_a_length() -> None:
    part = {"at_us": 1_000_000, "kind": "off_the_record"}
    (open_,) = call_moments(build([session(moments=[part])]))
    assert (open_.words, open_.ended_us) == (
        "off the record: no sound and no words are kept",
        us(1000),
    )
    (over,) = call_moments(build([session(moments=[{**part, "until_us": 13_500_000}])]))
    assert (over.words, over.ended_us) == (f"{open_.words}, for 12.5 s", us(13_500))


def test_what_is_damaged_or_not_known_is_left_out() -> None:
    damaged: list[Any] = [7, {"kind": "user_away"}, {"at_us": 1, "kind": "new"}, {"at_us": "x"}]
    assert list(call_moments(build([session(moments=damaged)]))) == []
    assert list(call_moments(build([]))) == []


def test_they_stand_at_their_time() -> None:
    first, *rest = spoken_call()
    first.result["moments"] = MOMENTS
    lines = [line.plain for line in waterfall([first, *rest], 80, now_us=us(20_000))]
    assert any(line.strip() == "the caller is away at 0:01.0" for line in lines)
    assert "the caller is back" in render([first, *rest])
