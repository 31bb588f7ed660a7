"""Silences inside an answer."""

from __future__ import annotations

from conversation.timelines import Call, Tool, ns
from conversation.turns import MS
from prefactor_agent.conversation import AgentSide, ModelCall, VoiceCall, gaps_of, starved
from prefactor_agent.conversation.gaps import Gap


def gaps(call: Call, speech: str) -> list[Gap]:
    timeline = call.timeline()
    found = timeline.speech(speech)
    assert found is not None
    return gaps_of(found, timeline)


def test_silence_inside_an_answer_is_told_with_its_cause():
    late = (
        (0, 1_000 * MS),
        (500 * MS, 1_300 * MS),  # 300 ms short while the model still wrote
        (900 * MS, 1_800 * MS),  # and 500 ms after it was done
        (1_500 * MS, 1_900 * MS),  # too short a gap to be heard as one
    )
    spoken = AgentSide(
        created=0,
        models=[ModelCall(100 * MS, 200 * MS, 1_900 * MS)],
        voices=[VoiceCall(200 * MS, 300 * MS, 1_000 * MS, 100 * MS, late)],
        playback_started=1_000 * MS,
    )
    assert starved(spoken) == [
        (1_500 * MS, 300_000, "llm"),
        (2_200 * MS, 500_000, "tts"),
    ]
    assert len(starved(spoken, until=800 * MS)) == 1
    assert starved(AgentSide(created=0)) == []


def test_the_wait_between_the_first_words_and_the_rest_is_the_tools() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, tools=[Tool("look", 1.5, 3.8)], then=[(4.2, 4.8)])
    assert gaps(call, a1) == [Gap(ns(1.8), 2_400_000, "tool:look")]


def test_each_wait_between_several_parts_of_an_answer_has_its_own_cause() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(
        1.4,
        1.8,
        answers=q1,
        tools=[Tool("look", 1.5, 2.8), Tool("book", 3.5, 5.0)],
        then=[(3.2, 3.6), (5.4, 6.0)],
    )
    assert gaps(call, a1) == [
        Gap(ns(1.8), 1_400_000, "tool:look"),
        Gap(ns(3.6), 1_800_000, "tool:book"),
    ]


def test_a_tool_that_took_less_than_half_of_the_wait_is_not_its_cause() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, tools=[Tool("look", 1.5, 2.0)], then=[(3.8, 4.2)])
    assert gaps(call, a1) == [Gap(ns(1.8), 2_000_000, "llm")]


def test_a_wait_after_the_model_had_written_everything_is_the_voices() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, then=[(2.8, 3.2)])
    assert gaps(call, a1) == [Gap(ns(1.8), 1_000_000, "tts")]


def test_a_user_who_speaks_between_the_parts_waits_for_the_rest_from_then_on() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, tools=[Tool("look", 1.5, 3.9)], then=[(4.2, 4.8)])
    call.user(3.0, 3.4, committed=None)
    assert gaps(call, a1) == [Gap(ns(3.4), 800_000, "tool:look")]


def test_a_user_who_speaks_up_to_the_rest_does_not_wait_for_it() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, tools=[Tool("look", 1.5, 3.8)], then=[(4.2, 4.8)])
    call.user(1.6, 4.1, committed=None)
    assert gaps(call, a1) == []


def test_a_sound_without_words_hides_no_wait() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, tools=[Tool("look", 1.5, 3.8)], then=[(4.2, 4.8)])
    call.user(3.0, 3.1, committed=None, words=False)
    assert gaps(call, a1) == [Gap(ns(1.8), 2_400_000, "tool:look")]


def test_what_a_tool_says_between_the_parts_is_no_silence() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, tools=[Tool("look", 1.5, 3.8)], then=[(4.2, 4.8)])
    call.say(2.1, 2.9, cause=a1)
    assert gaps(call, a1) == [
        Gap(ns(1.8), 300_000, "tool:look"),
        Gap(ns(2.9), 1_300_000, "tool:look"),
    ]


def test_the_silence_before_a_speech_is_none_within_it() -> None:
    """The user cuts in on the first words before the model has called its tool: the rest is what
    they waited for, and that silence is the speech's latency."""
    call = Call()
    a1 = call.agent(0.2, 0.6, tools=[Tool("look", 0.3, 3.0)], then=[(3.2, 3.8)])
    call.user(0.8, 1.2, committed=1.5)
    assert call.latency(a1) is not None
    assert gaps(call, a1) == []


def test_what_follows_a_part_that_was_broken_off_is_no_gap() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, interrupted=True, played=0.2)
    assert gaps(call, a1) == []


def test_a_pause_for_a_breath_is_no_gap() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, then=[(1.99, 2.5)])
    assert gaps(call, a1) == []


def test_the_silence_that_a_part_begins_with_belongs_to_the_gap() -> None:
    """The second part is played from 2.15 s on, and heard from 2.2 s."""
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(1.4, 1.8, answers=q1, tools=[Tool("look", 1.5, 2.1)], then=[(2.2, 2.5)])
    assert gaps(call, a1) == [Gap(ns(1.8), 400_000, "tool:look")]


def test_what_was_broken_off_before_it_was_heard_ends_no_gap() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(
        1.4,
        1.8,
        answers=q1,
        tools=[Tool("look", 1.5, 3.8)],
        then=[(4.2, 4.3)],
        interrupted=True,
        played=0.02,
    )
    assert gaps(call, a1) == []


def test_a_realtime_model_is_waited_for_where_its_own_voice_breaks_off() -> None:
    """It has no voice beside it that could be late."""
    late = ((0, 1_000 * MS), (500 * MS, 1_800 * MS))
    spoken = AgentSide(
        created=0,
        models=[ModelCall(900 * MS, 900 * MS, realtime=True)],
        voices=[VoiceCall(950 * MS, None, 1_000 * MS, 0, late, llm=True)],
        playback_started=1_000 * MS,
    )
    assert [gap.cause for gap in starved(spoken)] == ["llm"]
