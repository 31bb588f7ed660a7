from __future__ import annotations

from prefactor_agent.view.export.outline import outline
from prefactor_agent.view.model.bars import turn_bars
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.silences import silences
from prefactor_agent.view.model.updates import (
    answered_us,
    over_us,
    ran_us,
    reports,
    result_turn,
    updates,
)
from view.calls import spoken_call, us
from view.tool_calls import background_call


def test_each_report_says_when_it_was_made_and_where_it_was_spoken() -> None:
    call = build(background_call())
    (tool,) = call.spans("tool")
    found = updates(call, tool)
    assert [one.at_us for one in found] == [us(2500), us(3000), us(4200)]
    assert [one.text for one in found] == ["searching", "a quiet note", "found three"]
    assert [one.inline for one in found] == [True, False, False]
    assert [one.silent for one in found] == [False, True, False]
    assert [one.turn and one.turn.number for one in found] == [None, None, 2]
    turn = result_turn(call, tool)
    assert turn is not None
    assert turn.number == 3


def test_an_answer_says_which_tool_it_reports() -> None:
    call = build(background_call())
    said = [reports(answer) for turn in call.turns for answer in turn.answers]
    assert said == ["", "reports book", "reports the result of book"]


def test_a_tool_in_the_background_has_its_true_life() -> None:
    call = build(background_call())
    (tool,) = call.spans("tool")
    assert (answered_us(call, tool), over_us(call, tool)) == (us(2500), us(5500))
    assert ran_us(tool) == 3_100_000
    (first, *_) = call.turns
    (bar,) = [
        one for one in turn_bars(call, first, silences(call).of(first)).bars if one.span is tool
    ]
    assert (bar.started_us, bar.ended_us, bar.waiting) == (us(2400), us(5500), (us(2400), us(2500)))
    assert bar.background


def test_a_tool_that_ended_with_its_turn_did_not_outlive_it() -> None:
    call = build(spoken_call())
    (tool,) = call.spans("tool")
    assert (over_us(call, tool), answered_us(call, tool), updates(call, tool)) == (None, None, ())
    assert ran_us(tool) == 1_000_000


def test_what_was_redacted_is_no_report() -> None:
    spans = background_call()
    spans[4].result.update(updates=["[redacted]", {"at_us": "<int>", "text": "x"}], finished_us="x")
    spans[5].payload["reply_to"] = ["[redacted]"]
    spans[6].payload["reply_to"] = [{"tool_id": 7, "tool_name": None, "update_ids": "x"}]
    call = build(spans)
    (tool,) = call.spans("tool")
    assert (updates(call, tool), over_us(call, tool), result_turn(call, tool)) == ((), None, None)
    assert reports(call.turns[1].answers[0]) == ""
    assert reports(call.turns[2].answers[0]) == "reports a tool"


def test_programs_get_the_reports_and_what_they_led_to() -> None:
    first, second, third = outline(background_call())["turns"]
    (tool,) = [stage for stage in first["stages"] if stage["stage"] == "book"]
    assert tool["duration_ms"] == 3100.0
    assert [(one["at_ms"], one["text"], one["turn"]) for one in tool["updates"]] == [
        (2500.0, "searching", None),
        (3000.0, "a quiet note", None),
        (4200.0, "found three", 2),
    ]
    assert first["reply_to"] == []
    assert second["reply_to"] == [{"tool_id": "t1", "tool_name": "book", "result": False}]
    assert third["reply_to"] == [{"tool_id": "t1", "tool_name": "book", "result": True}]
    assert [stage["updates"] for stage in first["stages"] if stage["stage"] == "llm"] == [[]]
