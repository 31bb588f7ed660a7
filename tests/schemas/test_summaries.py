"""The one-line summaries, rendered by a real Liquid of what real sessions send."""

from __future__ import annotations

import re

import pytest

from prefactor_agent.schemas.catalog import TOOL_PREFIX
from prefactor_agent.schemas.entry import ToolSchema
from prefactor_agent.schemas.templates import LIMIT
from prefactor_agent.schemas.types import BASE_TYPES
from support.prefactor_server.summaries import render

from .recorded import Sent, sent, templates

OUTCOMES = {
    "livekit:session": "complete failed cancelled",
    "livekit:user_turn": "complete cancelled",
    "livekit:assistant_turn": "complete failed cancelled interrupted empty",
    "livekit:llm": "complete failed cancelled empty tool_call_only",
    "livekit:stt": "complete cancelled",
    "livekit:tts": "complete failed cancelled",
    "livekit:transcription": "complete failed",
    "livekit:realtime": "complete",
    "livekit:tool": "complete failed",
    "livekit:tool:": "complete failed cancelled",
    "livekit:tool_result": "complete failed cancelled",
    "livekit:error": "failed",
    "livekit:state": "complete",
    "livekit:handoff": "complete",
}


def line_of(span: Sent) -> str | None:
    return render(templates()[span.case, span.type], span.payload, span.result)


def lines(case: str, type_: str) -> list[str | None]:
    """The summaries of the spans of a type in one case, in the order of their beginning."""
    return [line_of(span) for span in sent() if (span.case, span.type) == (case, type_)]


@pytest.mark.parametrize("capture_content", [True, False])
@pytest.mark.parametrize("begun", [True, False])
def test_every_summary_is_one_short_line(capture_content: bool, begun: bool) -> None:
    for span in sent(capture_content=capture_content, begun=begun):
        line = line_of(span)
        assert line, f"{span.type} {span.status} of {span.case}: no summary"
        assert len(line) <= LIMIT, line
        assert not re.search(r"\s\s|[\n\r]|^\s|\s$", line), repr(line)
        assert not re.search(r"<0 |\(\s|\{\{|%\}", line), repr(line)


def test_all_outcomes_are_among_them() -> None:
    def known(type_: str) -> str:
        return type_ if type_ in BASE_TYPES else TOOL_PREFIX

    there = {(known(span.type), span.outcome) for span in sent()}
    assert {type_ for type_, _ in there} == OUTCOMES.keys()
    for type_, outcomes in OUTCOMES.items():
        for word in outcomes.split():
            assert (type_, word.replace("_", " ")) in there


@pytest.mark.parametrize(
    ("case", "type_", "expected"),
    [
        ("a_shop", "livekit:session", "Shop: 2 answers, dead air 0.5 s (worst 0.7 s)"),
        ("the_model_stays_away", "livekit:session", "Mine failed: gone"),
        ("a_shop", "livekit:user_turn", "Caller: where is my order"),
        ("a_false_interruption", "livekit:user_turn", "Caller: no words, not taken as a turn"),
        ("interrupted_saying", "livekit:assistant_turn", "Agent: (interrupted) A long good day."),
        ("an_answer_begun_too_early", "livekit:assistant_turn", "Agent: dropped an early answer"),
        ("the_model_stays_away", "livekit:assistant_turn", "Agent failed: gone"),
        ("a_stop_response", "livekit:assistant_turn", "Agent: no words, 1 tool call"),
        ("a_shop", "livekit:llm", "scripted-llm calls look_up_order (45 tokens)"),
        ("a_shop", "livekit:llm", "scripted-llm calls charge_card, basket"),
        ("a_shop", "livekit:llm", "scripted-llm gave no answer"),
        ("the_model_stays_away", "livekit:llm", "scripted-llm failed: gone"),
        ("interrupted_while_the_model_thinks", "livekit:llm", "scripted-llm cancelled"),
        ("a_realtime_model", "livekit:llm", "scripted-realtime (10 tokens)"),
        ("a_shop", "livekit:stt", "scripted-stt: pay it"),
        ("a_shop", "livekit:tts", "scripted-tts: 0.3 s of speech"),
        ("the_voice_stays_away", "livekit:tts", "scripted-tts failed: hoarse"),
        (
            "say_a_generator_that_fails",
            "livekit:tts",
            "scripted-tts: cut off before a sound",
        ),
        (
            "a_realtime_model",
            "livekit:realtime",
            "scripted-realtime: 0.4 s of speech (25 tokens)",
        ),
        ("mocked", "livekit:tool", "look → mocked 1"),
        (
            "a_shop",
            "livekit:tool:look_up_order",
            "look_up_order(42, false) → Order 42 has shipped. It arrives on Friday, before "
            "noon.Order 42 has shipped. It arrives on …",
        ),
        (
            "a_shop",
            "livekit:tool:charge_card",
            "charge_card(4111 1111 1111 1111, 12.5) failed: the bank does not answer",
        ),
        ("a_shop", "livekit:tool:basket", "basket returned"),
        ("a_raw_schema", "livekit:tool:look", "look(1) → 1"),
        ("cancelled_by_itself", "livekit:tool:look", "look cancelled"),
        ("tool_returns_an_agent", "livekit:tool:hand_over", "hand_over hands over to other"),
        ("a_stop_response", "livekit:tool:look", "look ends the turn without an answer"),
        ("a_shop", "livekit:tool_result", "charge_card failed: the bank does not answer"),
        ("the_model_fails_once", "livekit:error", "NotedLLM: gone (tries again)"),
        ("one_with_states", "livekit:state", "agent: thinking to speaking"),
        ("task_in_a_tool", "livekit:handoff", "consent to mine, by ask"),
    ],
)
def test_a_summary_reads_as_a_person_would_write_it(case: str, type_: str, expected: str) -> None:
    assert expected in lines(case, type_)


def test_without_the_words_a_summary_says_how_much_there_was() -> None:
    found = {(span.case, line_of(span)) for span in sent(capture_content=False)}
    assert {
        ("a_shop", "Caller: <17 characters>"),
        ("a_shop", "charge_card(<19 characters>, <float>) failed: ConnectionError"),
        ("a_stop_response", "Agent: no words, 1 tool call"),
        ("the_model_stays_away", "scripted-llm failed: APIConnectionError"),
    } <= found


def test_a_tool_that_no_one_decorated_shows_the_arguments_of_its_own_schema() -> None:
    properties = {"city": {"type": "string"}, 'in "feet"': {"type": "boolean"}}
    said = ToolSchema(input_schema={"type": "object", "properties": properties})
    payload = {"tool_name": "weather", "inputs": {"city": "Oslo", 'in "feet"': True}}
    assert render(said.summary(), payload, None) == "weather(Oslo)"
    assert render(ToolSchema().summary(), payload, None) == "weather"
    assert render(ToolSchema(template="in {{ inputs.city }}").summary(), payload, None) == "in Oslo"


def test_a_template_that_is_no_liquid_gives_no_summary() -> None:
    assert render("{% if a %}", {}, None) is None
    assert render("{{ a }} {{ b }}", {"a": {"c": 1}}, {"b": [1]}) == " "
