"""Which answer belongs to which question."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conversation.timelines import Call, Tool, ns
from prefactor_agent.conversation import answered_question, question_of


def asked(call: Call, speech: str, at: float | None = None) -> str | None:
    """The question that a speech comes out of."""
    timeline = call.timeline()
    found = timeline.speech(speech)
    assert found is not None
    question = question_of(timeline, found, None if at is None else ns(at))
    return question.id if question is not None else None


def shown_with(call: Call, speech: str) -> str | None:
    """The question whose turn a speech is shown in."""
    timeline = call.timeline()
    found = timeline.speech(speech)
    assert found is not None
    question = answered_question(timeline, found)
    return question.id if question is not None else None


def test_an_answer_belongs_to_the_question_that_livekit_made_it_for() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, answers=q1)
    q2 = call.user(3.0, 3.4, committed=3.7)
    a2 = call.agent(4.0, answers=q2)
    assert (asked(call, a1), asked(call, a2)) == (q1, q2)


def test_of_two_questions_the_declined_one_gets_no_answer_whatever_the_words() -> None:
    call = Call()
    call.user(0.3, 0.7, committed=1.0, declined=True)
    q2 = call.user(3.0, 3.4, committed=3.7)
    a1 = call.agent(4.0, answers=q2)
    assert asked(call, a1) == q2


def test_typed_and_spoken_questions_each_have_their_own_answer() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, answers=q1)
    q2 = call.types(3.0)
    a2 = call.agent(3.5, answers=q2)
    q3 = call.user(5.0, 5.4, committed=5.7)
    a3 = call.agent(6.0, answers=q3)
    assert [asked(call, one) for one in (a1, a2, a3)] == [q1, q2, q3]


def test_words_in_the_hook_belong_to_the_question_that_the_hook_was_given() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0, declined=True, hook_done=1.3)
    a1 = call.say(1.3, created=1.2, answers=q1)
    assert asked(call, a1) == q1


def test_words_of_a_tool_belong_to_the_question_that_it_was_called_for() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(4.0, answers=q1, tools=[Tool("look", 1.2, 3.5)])
    filler = call.say(1.8, created=1.5, cause=a1)
    assert asked(call, filler) == q1


def test_a_tool_that_reports_after_a_newer_question_answers_neither() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.6, answers=q1, tools=[Tool("book", 1.2, 1.3)])
    q2 = call.user(4.0, 4.4, committed=5.0)
    report = call.say(6.5, created=4.7, cause=a1)
    answer = call.agent(8.0, answers=q2)
    assert (asked(call, report), asked(call, answer)) == (None, q2)


def test_the_programs_own_words_answer_nothing() -> None:
    call = Call()
    call.user(0.3, 0.7, committed=1.0)
    assert asked(call, call.say(1.5)) is None


@pytest.mark.parametrize("declined", [True, False])
def test_the_model_told_later_to_answer_answers_what_was_asked_last(declined: bool) -> None:
    call = Call()
    call.user(0.3, 0.7, committed=1.0, declined=True)
    q2 = call.user(2.0, 2.4, committed=2.7, declined=declined)
    assert asked(call, call.agent(6.0, created=5.0)) == q2


def test_the_model_told_to_speak_after_an_answer_was_heard_answers_nothing() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.agent(1.4, answers=q1)
    assert asked(call, call.agent(6.0, created=5.0)) is None


def test_the_model_told_to_speak_before_the_turn_is_over_answers_nothing() -> None:
    call = Call()
    call.user(0.3, 0.7, committed=2.0)
    assert asked(call, call.agent(1.5, created=1.2)) is None


def test_what_a_handoff_says_belongs_to_the_question_that_led_to_it() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(answers=q1, tools=[Tool("transfer", 1.3, 1.5)], ended=1.6)
    greeting = call.say(2.0, created=1.8, cause=a1, entered=(1.6, 1.7, 1.9))
    third = call.say(3.0, created=2.5, cause=greeting)
    assert (asked(call, greeting), asked(call, third)) == (q1, q1)


def test_a_speech_belongs_after_a_task_to_what_was_said_last_in_the_task() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    q2 = call.user(3.0, 3.4, committed=3.7, inside="tool")
    last = "a2"
    tool = Tool("verify", 4.0, 4.5)
    a1 = call.agent(5.0, answers=q1, tools=[Tool("verify", 1.3, 4.5)], resumed=(4.0, tool, last))
    a2 = call.agent(answers=q2, inside="tool", ended=4.0)
    assert (asked(call, a1), asked(call, a1, at=4.8), asked(call, a2)) == (q1, q2, q2)


def test_the_first_words_of_a_task_are_shown_in_the_task() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(answers=q1, tools=[Tool("verify", 1.3)])
    opening = call.say(2.0, created=1.6, cause=a1, entered=(1.4, 1.5, 1.7), inside="tool")
    q2 = call.user(3.0, 3.4, committed=3.7, inside="tool")
    inner = call.agent(4.0, answers=q2, inside="tool")
    assert asked(call, opening) == q1
    assert (shown_with(call, opening), shown_with(call, inner)) == (None, q2)


def test_speeches_that_each_come_out_of_the_other_answer_nothing() -> None:
    call = Call()
    call.user(0.3, 0.7, committed=1.0)
    call.say(2.0, cause="a2")
    call.say(3.0, cause="a1")
    assert (asked(call, "a1"), asked(call, "a2")) == (None, None)


def test_a_question_that_is_not_known_any_more_is_not_made_up() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, answers=q1)
    forgotten = replace(call.timeline(), questions=[])
    speech = forgotten.speech(a1)
    assert speech is not None
    assert question_of(forgotten, speech) is None


def test_livekits_own_word_goes_before_the_dialogue_that_a_question_was_asked_in() -> None:
    """The user still spoke to a task when it was over: the agent answers that turn."""
    call = Call()
    q1 = call.user(0.3, 0.7, committed=2.0, inside="tool")
    a1 = call.agent(2.6, answers=q1)
    assert shown_with(call, a1) == q1
