from __future__ import annotations

from dataclasses import replace

from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.summarize import summarize
from prefactor_agent.view.model.turns import cut_off, unspoken_text, user_text
from view.calls import session, span, spoken_call, unanswered_call


def test_a_question_and_its_answer_are_one_turn() -> None:
    call = build(list(reversed(spoken_call())))
    (turn,) = call.turns
    assert turn.user is not None
    assert [node.span.id for node in turn.answers] == ["a1"]
    assert [s.id for s in turn.spans("llm", "tool", "tts")] == ["l1", "t1", "p1", "l2"]
    assert turn.answers[0].children[1].children[0].span.id == "r1"
    assert turn.interrupted
    assert not call.loose


def test_greeting_stands_alone_and_turns_are_in_the_order_of_time() -> None:
    greeting = span("g", "assistant_turn", 100, 900, payload={"source": "say"})
    call = build([*spoken_call(), greeting])
    assert [(t.number, t.user is not None, t.answers[0].span.id) for t in call.turns] == [
        (1, False, "g"),
        (2, True, "a1"),
    ]


def test_typed_message_that_begins_with_its_answer_comes_first() -> None:
    call = build(
        [
            session(),
            span("a", "assistant_turn", 5, 30, result={"user_turn_id": "u"}),
            span("u", "user_turn", 5, 5, payload={"modality": "text"}),
        ]
    )
    (turn,) = call.turns
    assert turn.user is not None
    assert turn.user.span.id == "u"


def test_dropped_preemptive_answer_is_kept_apart_in_the_turn_it_was_begun_in() -> None:
    dropped = span("d", "assistant_turn", 2500, 2550, result={"preemptive": "dropped"})
    (turn,) = build([*spoken_call(), dropped]).turns
    assert [node.span.id for node in turn.dropped] == ["d"]
    assert [node.span.id for node in turn.answers] == ["a1"]


def test_say_in_a_tool_stands_alone() -> None:
    filler = span("f", "assistant_turn", 3100, 3900, payload={"source": "say"})
    call = build([*spoken_call(), filler])
    assert [turn.nodes[-1].span.id for turn in call.turns] == ["a1", "f"]


def test_a_span_whose_parent_is_missing_hangs_below_the_session() -> None:
    call = build([session(), span("x", "llm", 10, 20, "gone")])
    assert [node.span.id for node in call.loose] == ["x"]
    assert not call.turns


def test_a_call_without_its_session_span_keeps_its_turns() -> None:
    call = build(spoken_call()[1:])
    assert call.session is None
    assert len(call.turns) == 1
    assert summarize(call).status == "lost"


def test_a_call_of_no_spans_is_empty() -> None:
    call = build([])
    assert (call.turns, call.loose, call.session) == ((), (), None)


def test_spans_below_each_other_lose_nothing() -> None:
    call = build([session(), span("x", "llm", 1, 2, "y"), span("y", "tts", 2, 3, "x")])
    assert sorted(s.id for s in call.spans("llm", "tts")) == ["x", "y"]


def test_answer_that_has_not_ended_goes_with_the_question_before_it() -> None:
    (turn,) = build(unanswered_call()).turns
    assert turn.user is not None
    assert user_text(turn.user) == "Where is order 42?"
    assert [node.span.id for node in turn.answers] == ["a1"]


def test_speech_that_the_program_began_answers_nothing_before_it_says_so() -> None:
    spans = unanswered_call()
    spans[3] = replace(spans[3], payload={"source": "say", "user_initiated": True})
    assert [turn.user is not None for turn in build(spans).turns] == [True, False]


def test_unspoken_text_is_what_follows_the_spoken() -> None:
    (turn,) = build(spoken_call()).turns
    assert unspoken_text(turn.answers[0]) == "Anything else?"


def test_unspoken_text_follows_the_spoken_across_two_parts() -> None:
    parts = span(
        "a",
        "assistant_turn",
        0,
        9,
        result={
            "interrupted": True,
            "generated_text": "One moment.Here it is, all of it.",
            "spoken_text": "One moment. Here it",
        },
    )
    (turn,) = build([session(), parts]).turns
    assert unspoken_text(turn.answers[0]) == "is, all of it."


def test_speech_heard_to_its_end_was_not_cut_off() -> None:
    result = {
        "interrupted": True,
        "generated_text": "Goodbye!",
        "spoken_text": "Goodbye!",
        "segments": [{"started_us": 1, "finished_us": 2, "interrupted": False}],
    }
    (turn,) = build([session(), span("a", "assistant_turn", 0, 9, result=result)]).turns
    assert not cut_off(turn.answers[0])
