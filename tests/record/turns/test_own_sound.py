"""Where a turn of the user's begins, and which sound is its own."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefactor_agent import TracedAgent
from prefactor_agent.testing import Trace, collecting
from record.turns.hearing import NEAR_MS, Ear, near, questions, silences, slow_voice, speak
from support.line import HandSTT, Line, until
from support.scripted import ScriptedLLM, ScriptedSTT, Wait

OLDEST = version("livekit-agents").startswith("1.5.")
PLEASE_WAIT = "Please wait a little, this call is recorded for you. "


def sound_of(trace: Trace, transcript: str) -> tuple[float, float]:
    """Where the sound of a turn begins and ends, in milliseconds of the call."""
    (turn,) = (one for one in questions(trace) if one.result["transcript"] == transcript)
    moments = turn.result["moments_us"]
    return moments["speech_started"] / 1000, moments["speech_ended"] / 1000


@pytest.mark.skipif(OLDEST, reason="1.5 takes and answers the words that were cleared")
async def test_words_that_were_cleared_are_no_part_of_the_next_question() -> None:
    with collecting() as trace:
        line = Line(
            hears=ScriptedSTT("never mind", "how much is it"),
            thinks=ScriptedLLM("Ten."),
            endpointing={"min_delay": 0.8, "max_delay": 1.0},
        )
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            ended = speak(line, 0.4, 5.0, 0.4)
            await asyncio.sleep(1.1)
            line.session.clear_user_turn()
            await line.answers(1)
            await asyncio.sleep(0.1)
    began, until_ = sound_of(trace, "how much is it")
    assert near(until_ - began, 0.4)
    (told,) = silences(trace)
    assert near(told.ms, ear.heard[0] - ended)


async def test_words_said_over_what_nobody_may_interrupt_are_no_part_of_the_next_question() -> None:
    """Several times, one after the other. LiveKit 1.5 gives the STT nothing of what was said then,
    which so takes the last sound for the first of its script."""
    with collecting() as trace:
        line = Line(
            hears=ScriptedSTT("never mind", "hello", "are you there", "how much is it"),
            thinks=ScriptedLLM("Ten."),
            speaks=slow_voice(),
            endpointing={"min_delay": 0.3, "max_delay": 0.5},
            interruption={"discard_audio_if_uninterruptible": False},
        )
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            line.session.say(PLEASE_WAIT * 4, allow_interruptions=False)
            ended = speak(line, 0.4, 1.5, 0.4, 1.5, 0.4, 6.0, 0.4)
            await line.answers(2)
            await asyncio.sleep(0.1)
    (asked,) = questions(trace)
    began, until_ = sound_of(trace, asked.result["transcript"])
    assert near(until_ - began, 0.4)
    (told,) = silences(trace)
    assert near(told.ms, ear.heard[1] - ended)


async def test_in_push_to_talk_each_turn_has_the_sound_of_its_own_press() -> None:
    """The first press is let go without words for the agent; the second is committed."""
    with collecting() as trace:
        line = Line(
            hears=ScriptedSTT("oh, wrong button", "how much is it"),
            thinks=ScriptedLLM("Ten."),
            turn_detection="manual",
        )
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            speak(line, 0.4, then=0.6)
            await line.microphone.heard()
            line.session.clear_user_turn()
            await asyncio.sleep(2.0)
            ended = speak(line, 0.4, then=0.6)
            await line.microphone.heard()
            line.session.commit_user_turn()
            await line.answers(1)
            await asyncio.sleep(0.1)
    began, until_ = sound_of(trace, "how much is it")
    assert near(until_ - began, 0.4)
    assert [one.result["transcript"] for one in questions(trace)] == ["how much is it"]
    (told,) = silences(trace)
    assert near(told.ms, ear.heard[0] - ended)


async def test_late_words_while_the_agent_is_heard_have_no_sound_and_no_silence() -> None:
    with collecting() as trace:
        hears = HandSTT()
        line = Line(
            hears=hears,
            thinks=ScriptedLLM("Which city would you like to go to then?", "Paris it is, then."),
            speaks=slow_voice(),
            interruption={"resume_false_interruption": False},
        )
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            ended = speak(line, 0.5, 0.12, 0.4)
            await asyncio.sleep(1.33)
            hears.final("I want to go")
            await until(lambda: ear.heard)
            await asyncio.sleep(0.5)
            hears.final("to Paris")
            await line.answers(2)
            await asyncio.sleep(0.1)
    (told,) = silences(trace)
    assert near(told.ms, ear.heard[0] - ended)
    _, late = questions(trace)
    assert late.result["transcript"] == "to Paris"
    assert "speech_ended" not in late.result["moments_us"]


async def test_late_words_before_anything_was_heard_go_on_with_the_silence() -> None:
    with collecting() as trace:
        hears = HandSTT()
        line = Line(
            hears=hears,
            thinks=ScriptedLLM([Wait(1.0), "Which city?"], "Paris it is, then."),
            interruption={"resume_false_interruption": False},
        )
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            ended = speak(line, 0.5)
            await asyncio.sleep(0.9)
            hears.final("I want to go")
            await asyncio.sleep(0.6)
            hears.final("to Paris")
            await line.answers(1)
            await asyncio.sleep(0.1)
    (told,) = silences(trace)
    assert told.ended_by == "Paris it is, then."
    assert not told.filler
    assert near(told.ms, ear.heard[0] - ended)


async def play_two_words(between: float, first: float, second: float) -> Trace:
    with collecting() as trace:
        line = Line(
            hears=ScriptedSTT("to Paris", "tomorrow"),
            thinks=ScriptedLLM([Wait(0.6), "To Paris, when?"], "Tomorrow, then."),
            interruption={"min_duration": 0.2, "resume_false_interruption": False},
        )
        async with line.to(TracedAgent(instructions="x")):
            ended = speak(line, first, between, second)
            await asyncio.sleep(ended - asyncio.get_running_loop().time() + 2.0)
    return trace


@settings(max_examples=20)
@given(between=st.integers(30, 150), first=st.integers(30, 60), second=st.integers(30, 80))
async def test_a_word_soon_after_is_where_it_was_said(
    between: int, first: int, second: int
) -> None:
    """Whether it is a turn of its own, or the rest of the one before: what is said in hundredths of
    a second is a sound of so long."""
    trace = await play_two_words(between / 100, first / 100, second / 100)
    turns = [turn for turn in trace.spans("user_turn") if turn.result.get("transcript")]
    places = [turn.result["moments_us"] for turn in turns]
    length = (places[-1]["speech_ended"] - places[0]["speech_started"]) / 1000
    assert abs(length - (first + between + second) * 10) <= NEAR_MS
    if len(places) == 2:
        gap = (places[1]["speech_started"] - places[0]["speech_ended"]) / 1000
        assert abs(gap - between * 10) <= NEAR_MS


async def test_a_word_after_the_turn_was_taken_is_a_turn_of_its_own() -> None:
    trace = await play_two_words(0.35, 0.4, 0.5)
    assert [turn.result["transcript"] for turn in questions(trace)] == ["to Paris", "tomorrow"]
