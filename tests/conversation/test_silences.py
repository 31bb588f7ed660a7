"""Where a silence begins, what ended it and what it was spent on: one call for each situation."""

from __future__ import annotations

import pytest

from conversation.timelines import Call, Silence, Tool, ns
from prefactor_agent.conversation import first_sound_after, lengths, waiting_so_far


def test_a_plain_answer_ends_the_silence_after_its_question() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 2.0, answers=q1)
    assert call.silences() == [Silence(q1, a1, 700)]
    assert call.stages(a1) == [
        "vad",
        "endpointing",
        "llm_ttft",
        "first_sentence",
        "tts_ttfb",
        "leading_silence",
    ]
    assert call.answer_ms(a1) is None


def test_what_the_agent_says_first_ends_no_silence() -> None:
    call = Call()
    call.say(0.5, 1.5)
    assert call.silences() == []


def test_the_programs_later_words_end_no_silence() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 2.0, answers=q1)
    call.say(9.0)
    assert call.silences() == [Silence(q1, a1, 700)]


# Words that come before the answer


def test_words_of_a_tool_end_the_silence_and_the_answer_comes_later() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(4.0, answers=q1, tools=[Tool("look", 1.2, 3.5)])
    filler = call.say(1.8, created=1.5, cause=a1)
    assert call.silences() == [Silence(q1, filler, 1100, filler=True)]
    assert call.stages(filler) == [
        "vad",
        "endpointing",
        "llm_ttft",
        "llm_tool_call",
        "tool:look",
        "first_sentence",
        "tts_ttfb",
        "leading_silence",
    ]
    assert call.answer_ms(a1) == (filler, 3300)


@pytest.mark.parametrize("of", ["a timer", "a budget"])
def test_words_by_a_timer_or_a_budget_end_the_silence(of: str) -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(4.0, answers=q1, tools=[Tool("look", 1.2, 3.5)])
    # A timer's context is its own; a budget's callback runs in that of the turn's commit.
    filler = call.say(1.8, created=1.7, cause=None if of == "a timer" else a1)
    assert call.silences() == [Silence(q1, filler, 1100, filler=True)]
    assert call.answer_ms(a1) == (filler, 3300)


def test_only_the_first_of_several_fillers_ends_the_silence() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(6.0, answers=q1, tools=[Tool("look", 1.2, 5.5)])
    first = call.say(1.8, 2.2)
    call.say(3.0, 3.4, cause=a1)
    assert call.silences() == [Silence(q1, first, 1100, filler=True)]
    assert call.answer_ms(a1) == (first, 5300)


def test_words_that_were_said_while_the_turn_was_open_end_its_silence() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.7, hook_done=1.8)
    timer = call.say(1.2, 1.9, created=1.1)
    a1 = call.agent(2.4, answers=q1)
    assert call.silences() == [Silence(q1, timer, 500, filler=True)]
    assert call.stages(timer) == ["vad", "unattributed", "tts_ttfb", "leading_silence"]
    assert call.answer_ms(a1) == (timer, 1700)


def test_words_created_while_the_user_still_spoke_end_the_silence_after_it() -> None:
    """Of an agent that is not traced the loudness is not known: the VAD's word is all there is."""
    call = Call()
    q1 = call.user(0.3, 2.0, committed=2.5, vad_estimate=2.0, heard_until=None)
    timer = call.say(2.4, 2.9, created=1.0)
    assert call.silences() == [Silence(q1, timer, 400, filler=True)]


def test_what_a_hook_does_after_a_timer_spoke_is_nothing_that_its_words_waited_for() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.2, hook_done=2.5)
    timer = call.say(1.4, created=1.1)
    assert call.silences() == [Silence(q1, timer, 700, filler=True)]
    assert "on_user_turn_completed" not in call.stages(timer)


def test_words_of_a_timer_may_be_heard_before_the_vad_is_sure() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.2)
    timer = call.say(0.8, 1.1)
    a1 = call.agent(1.6, answers=q1)
    assert call.silences() == [Silence(q1, timer, 100, filler=True)]
    assert call.answer_ms(a1) == (timer, 900)


# The hook


def test_words_in_the_hook_without_a_model_are_the_answer() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0, hook_done=1.3, declined=True)
    a1 = call.say(1.5, created=1.2, answers=q1)
    assert call.silences() == [Silence(q1, a1, 800)]
    assert call.stages(a1)[:3] == ["vad", "endpointing", "on_user_turn_completed"]


def test_words_in_the_hook_before_the_models_answer_are_a_filler() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0, hook_done=1.3)
    filler = call.say(1.4, 1.8, created=1.2, answers=q1)
    a1 = call.agent(2.6, answers=q1, created=1.3)
    assert call.silences() == [Silence(q1, filler, 700, filler=True)]
    assert call.answer_ms(a1) == (filler, 1900)


def test_nobody_waits_for_words_after_a_question_that_was_declined() -> None:
    call = Call()
    call.user(0.3, 0.7, committed=1.0, declined=True)
    call.say(5.0)
    assert call.silences() == []


def test_a_declined_question_that_the_model_is_told_to_answer_later_has_a_silence() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0, declined=True)
    a1 = call.agent(5.5, created=5.0)
    assert call.silences() == [Silence(q1, a1, 4800)]


def test_the_silence_after_the_same_words_again_begins_with_the_second() -> None:
    call = Call()
    call.user(0.3, 0.7, committed=1.0, declined=True)
    q2 = call.user(3.0, 3.4, committed=3.5)
    a1 = call.agent(3.9, answers=q2)
    assert call.silences() == [Silence(q2, a1, 500)]


def test_a_typed_question_between_spoken_ones_has_a_silence_of_its_own() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, answers=q1)
    q2 = call.types(3.0)
    a2 = call.agent(3.5, answers=q2, created=3.0)
    q3 = call.user(5.0, 5.4, committed=5.7)
    a3 = call.agent(6.0, answers=q3)
    assert call.silences() == [Silence(q1, a1, 700), Silence(q2, a2, 500), Silence(q3, a3, 600)]


# Generated ahead


def test_an_answer_that_was_generated_ahead_costs_only_what_was_left_of_it() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.4)
    a1 = call.agent(1.5, answers=q1, created=0.9)
    assert call.silences() == [Silence(q1, a1, 800)]
    assert "llm_ttft" not in call.stages(a1)


@pytest.mark.parametrize("superseded_by", ["later words", "another input of the model"])
def test_an_answer_that_was_generated_ahead_and_not_used_ends_no_silence(
    superseded_by: str,
) -> None:
    call = Call()
    again = [(1.4, 1.8)] if superseded_by == "later words" else []
    q1 = call.user(0.3, 0.7, *again, committed=2.2)
    call.agent(answers=q1, created=0.9, ended=2.2)
    a2 = call.agent(2.6, answers=q1, created=2.2)
    assert call.silences() == [Silence(q1, a2, 800 if again else 1900)]


# A user who does not wait


def test_a_user_who_speaks_again_before_the_answer_has_not_waited_in_silence() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.agent(answers=q1, ended=2.2)
    q2 = call.user(1.6, 2.0, committed=2.2)
    a2 = call.agent(2.7, answers=q2)
    assert call.silences() == [Silence(q2, a2, 700)]


def test_the_users_next_words_end_the_wait_though_they_are_not_understood_yet() -> None:
    """The answer begins a moment after the user went on: the STT has nothing yet, then."""
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.6, 1.8, answers=q1, interrupted=True)
    q2 = call.user(1.5, 2.0, committed=2.3)
    a2 = call.agent(2.7, answers=q2)
    assert call.silences() == [Silence(q2, a2, 700)]
    assert call.answer_ms(a1) is None


def test_a_cough_does_not_end_the_wait() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.user(1.1, 1.2, committed=None, words=False)
    a1 = call.agent(1.6, answers=q1)
    assert call.silences() == [Silence(q1, a1, 900)]


def test_words_that_were_given_up_are_no_question_of_the_next_answer() -> None:
    """LiveKit gave the first words up; what it takes later has a silence from its own sound."""
    call = Call()
    call.user(0.6, 1.0, committed=None)
    q2 = call.user(6.0, 6.4, committed=7.2)
    a1 = call.agent(7.6, answers=q2)
    assert call.silences() == [Silence(q2, a1, 1200)]


def test_an_answer_that_is_heard_over_the_user_ends_no_silence() -> None:
    """A realtime model speaks before the user is done: there was no silence, but an overlap."""
    call = Call()
    q1 = call.user(0.3, 2.0, committed=2.2)
    a1 = call.agent(1.8, 2.8, answers=q1, created=1.6, realtime=True)
    assert call.silences() == []
    assert call.latency(a1) is None  # the user still spoke


def test_words_of_a_timer_over_a_user_who_goes_on_end_no_silence() -> None:
    """Though the STT is done with the first of the user's sentences."""
    call = Call()
    q1 = call.user(0.3, 2.0, committed=2.3, final_transcript=1.2)
    call.say(1.5, 1.7)
    a1 = call.agent(2.6, answers=q1)
    assert call.silences() == [Silence(q1, a1, 600)]


def test_a_user_who_begins_in_the_leading_silence_of_a_speech_is_spoken_over() -> None:
    call = Call()
    q1 = call.user(0.98, 1.5, committed=1.8)
    words = call.say(1.0, 1.4, interrupted=True)
    a1 = call.agent(2.2, answers=q1)
    assert call.silences() == [Silence(q1, a1, 700)]
    assert call.latency(words) is None


def test_an_answer_before_the_last_sound_that_belongs_to_its_question_has_an_overlap() -> None:
    """Sound that goes on for a moment after the turn was taken."""
    call = Call()
    q1 = call.user(0.3, 1.5, committed=1.2, vad_ended=1.1, final_transcript=1.1)
    a1 = call.agent(1.4, 2.0, answers=q1)
    latency = call.latency(a1)
    assert latency is not None
    assert (latency.early, latency.perceived_us) == (True, 0)
    assert latency.as_json()["overlap_ms"] == 100


def test_a_speech_that_was_stopped_in_its_leading_silence_ends_no_silence() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.agent(1.4, 1.5, answers=q1, interrupted=True, played=0.03)
    a2 = call.say(3.0)
    assert call.silences() == [Silence(q1, a2, 2300, filler=True)]


def test_late_words_of_a_sound_that_was_answered_have_no_silence() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 2.0, answers=q1)
    q2 = call.late_words(1.6, committed=2.1)
    call.agent(2.5, answers=q2)
    assert call.silences() == [Silence(q1, a1, 700)]


def test_late_words_before_anything_was_heard_go_on_with_the_silence_of_their_sound() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.agent(answers=q1, ended=1.5)
    q2 = call.late_words(1.3, committed=1.5)
    a2 = call.agent(2.0, answers=q2)
    assert call.silences() == [Silence(q1, a2, 1300)]
    latency = call.latency(a2)
    assert latency is not None
    assert latency.stages[:3] == [
        ("vad", 200_000),
        ("transcript", 400_000),
        ("endpointing", 200_000),
    ]


# Who waits for whom


def test_a_question_that_an_earlier_speech_held_up_says_so() -> None:
    call = Call()
    call.say(0.1, 2.4, created=0.1, ended=2.5)
    q1 = call.user(1.0, 1.4, committed=2.5, end_of_turn=1.6)
    a1 = call.agent(2.9, answers=q1)
    assert call.silences() == [Silence(q1, a1, 1500)]
    assert call.stages(a1)[:2] == ["vad", "previous_speech"]


def test_a_question_that_an_earlier_tool_held_up_says_so() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.agent(answers=q1, tools=[Tool("look", 1.2, 4.2)], ended=4.3)
    q2 = call.user(2.5, 3.0, committed=4.3, end_of_turn=3.25)
    a2 = call.agent(4.8, answers=q2)
    assert call.silences() == [Silence(q2, a2, 1800)]
    latency = call.latency(a2)
    assert latency is not None
    assert lengths(latency)["tool:look"] == 1_050_000
    assert lengths(latency)["endpointing"] == 50_000


# Handoffs and tasks


def test_a_greeting_after_a_handoff_ends_the_silence_with_the_old_agents_stages() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(answers=q1, tools=[Tool("transfer", 1.3, 1.5)], ended=1.6)
    greeting = call.say(2.1, created=1.8, cause=a1, entered=(1.6, 1.7, 1.9))
    assert call.silences() == [Silence(q1, greeting, 1400)]
    assert call.stages(greeting) == [
        "vad",
        "endpointing",
        "llm_ttft",
        "llm_tool_call",
        "tool:transfer",
        "handoff",
        "on_enter",
        "first_sentence",
        "tts_ttfb",
        "leading_silence",
    ]


def test_a_dialogue_in_a_task_has_its_own_silences_and_the_tool_goes_on_after_it() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    tool = Tool("verify", 4.6, 5.0)
    a1 = call.agent(
        5.6,
        answers=q1,
        created=1.0,
        tools=[Tool("verify", 1.3, 5.0)],
        resumed=(4.6, tool, "a3"),
    )
    opening = call.say(2.0, created=1.6, cause=a1, entered=(1.4, 1.5, 1.7), inside="tool")
    q2 = call.user(3.5, 3.9, committed=4.2, inside="tool")
    call.agent(answers=q2, inside="tool", tools=[Tool("done", 4.4, 4.5)], ended=4.6)
    assert call.silences() == [Silence(q1, opening, 1300), Silence(q2, a1, 1700)]
    assert "tool:verify" in call.stages(a1)
    assert call.stages(a1)[-3:] == ["first_sentence", "tts_ttfb", "leading_silence"]


def test_the_second_of_two_tasks_is_the_one_that_the_tool_came_back_from() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(
        8.0,
        answers=q1,
        tools=[Tool("verify", 1.3, 7.5)],
        resumed=(7.0, Tool("verify", 7.0, 7.5), "a5"),
    )
    first = call.say(2.0, created=1.6, cause=a1, entered=(1.4, 1.5, 1.7), inside="tool")
    q2 = call.user(3.0, 3.4, committed=3.7, inside="tool")
    ending = call.agent(answers=q2, inside="tool", tools=[Tool("done", 3.9, 4.0)], ended=4.0)
    second = call.say(4.6, created=4.3, cause=ending, entered=(4.0, 4.1, 4.4), inside="tool")
    q3 = call.user(6.0, 6.4, committed=6.6, inside="tool")
    call.agent(answers=q3, inside="tool", tools=[Tool("done", 6.8, 6.9)], ended=7.0)
    assert call.silences() == [
        Silence(q1, first, 1300),
        Silence(q2, second, 1200),
        Silence(q3, a1, 1600),
    ]


def test_a_background_tool_that_reports_after_the_next_question_is_a_filler_of_that() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.6, 2.0, answers=q1, tools=[Tool("book", 1.2, 1.3)])
    q2 = call.user(4.0, 4.4, committed=4.7)
    a2 = call.agent(7.0, answers=q2)
    report = call.agent(5.4, 6.0, created=5.0, cause=a1)
    assert call.silences() == [Silence(q1, a1, 900), Silence(q2, report, 1000, filler=True)]
    assert call.answer_ms(a2) == (report, 2600)


def test_the_rest_of_an_answer_is_the_first_sound_after_a_question_in_between() -> None:
    """A speech has one latency, of the first silence that it ended; the next answer says what was
    heard before it."""
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, tools=[Tool("look", 1.9, 4.0)], then=[(4.3, 4.8)])
    q2 = call.user(3.0, 3.4, committed=4.9)
    a2 = call.agent(5.6, answers=q2)
    assert call.silences() == [Silence(q1, a1, 700)]
    assert call.answer_ms(a2) == (a1, 2200)


# Other kinds of session


def test_text_without_audio_ends_the_silence() -> None:
    call = Call()
    q1 = call.types(1.0)
    a1 = call.agent(answers=q1, created=1.0, shown=1.4, ended=1.5)
    assert call.silences() == [Silence(q1, a1, 400)]
    assert call.stages(a1) == ["llm_ttft", "first_sentence"]
    latency = call.latency(a1)
    assert latency is not None
    assert (latency.since, latency.until) == ("text", "text")


def test_a_realtime_reply_has_stages_of_its_own() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=0.95, final_transcript=None, hook_done=None)
    a1 = call.agent(1.4, answers=q1, created=1.1, realtime=True)
    assert call.silences() == [Silence(q1, a1, 700)]
    assert call.stages(a1) == [
        "vad",
        "endpointing",
        "realtime_response",
        "realtime_ttfb",
        "leading_silence",
    ]


# Half a call


def test_the_wait_so_far_is_cut_into_stages_until_now() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(4.0, answers=q1, tools=[Tool("look", 1.2, 3.5)])
    timeline = call.timeline(until=2.0)
    question, speech = timeline.question(q1), timeline.speech(a1)
    assert question is not None
    assert first_sound_after(timeline, question) is None
    waiting = waiting_so_far(timeline, question, speech, ns(2.0))
    assert waiting is not None
    assert waiting.perceived_us == 1_300_000
    assert lengths(waiting)["tool:look"] == 800_000


def test_a_filler_that_was_heard_ends_the_wait_so_far() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.agent(4.0, answers=q1, tools=[Tool("look", 1.2, 3.5)])
    filler = call.say(1.8)
    timeline = call.timeline(until=2.0)
    question = timeline.question(q1)
    assert question is not None
    first = first_sound_after(timeline, question)
    assert first is not None
    assert first.id == filler


def test_two_sounds_of_one_turn_may_each_be_followed_by_a_silence() -> None:
    """The program says something in a pause; then the user goes on, in the same turn."""
    call = Call()
    q1 = call.user(0.3, 0.7, (2.0, 2.4), committed=2.7)
    timer = call.say(1.2, 1.6)
    a1 = call.agent(3.1, answers=q1)
    assert call.silences() == [Silence(q1, timer, 500, filler=True), Silence(q1, a1, 700)]
    assert call.answer_ms(a1) is None


def test_what_the_program_says_of_itself_waited_for_the_program() -> None:
    call = Call()
    call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(4.5, created=4.0, by_program=True)
    assert "program_call" in call.stages(a1)
    assert "llm_queue" not in call.stages(a1)


def test_an_answer_of_livekits_own_did_not() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.6, answers=q1)
    assert "program_call" not in call.stages(a1)


def test_what_a_speech_that_nobody_hears_holds_up_waits_for_it() -> None:
    """A speech is cut off before a word of it; the next one is not let go before."""
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.agent(created=1.01, answers=q1, ended=2.3)
    a2 = call.say(2.6, created=1.1, by_program=True)
    assert "previous_speech" in call.stages(a2)


def test_the_words_of_a_tool_do_not_wait_for_the_speech_of_the_tool() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(created=1.01, answers=q1, tools=[Tool("look", 1.2, 1.6)], ended=1.6)
    a2 = call.say(1.7, created=1.3, cause=a1, by_program=True)
    assert "previous_speech" not in call.stages(a2)


def test_no_speech_is_heard_before_the_user_is_known_to_be_silent() -> None:
    """The program spoke while the user did: LiveKit lets it be heard once the user is silent."""
    call = Call()
    call.user(0.3, 0.7, committed=1.6)
    a1 = call.say(1.0, created=0.6, by_program=True)
    latency = call.latency(a1)
    assert latency is not None
    assert latency.stages[0] == ("vad", 200_000)


def test_words_that_are_there_at_once_wait_for_their_turn_while_another_speech_goes_on() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    call.agent(created=1.01, answers=q1, tools=[Tool("look", 2.4, 9.0)])
    a2 = call.say(2.6, created=1.1, by_program=True)
    stages = call.stages(a2)
    assert "previous_speech" in stages
    assert "first_sentence" not in stages
