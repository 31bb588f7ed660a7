"""Which question a session's answers belong to, and the silence before each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, StopResponse

from prefactor_agent import TracedAgent
from prefactor_agent.testing import collecting
from prefactor_agent.tracing import tracer
from record.turns.hearing import Ear, answer, near, questions, silences, speak
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT


class _NotMeant:
    """Answers no question before the second."""

    heard = 0

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        self.heard += 1
        if self.heard == 1:
            raise StopResponse


class NotMeant(_NotMeant, TracedAgent):
    pass


class PlainNotMeant(_NotMeant, Agent):
    pass


class Declines(TracedAgent):
    """Leaves it to the program when there is an answer."""

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        raise StopResponse


@pytest.mark.parametrize("agent", [NotMeant, PlainNotMeant])
async def test_the_same_words_again_are_the_question_that_is_answered(agent: type[Agent]) -> None:
    with collecting() as trace:
        line = Line(hears=ScriptedSTT("yes", "yes"), thinks=ScriptedLLM("Fine."))
        ear = Ear.of(line)
        tracer.trace(line.session, None)  # a plain agent's session is traced if it is attached
        async with line.to(agent(instructions="x")):
            ended = speak(line, 0.4, 2.3, 0.4)
            await line.answers(1)
            await asyncio.sleep(0.1)
    _, second = trace.spans("user_turn")
    assert answer(trace, "Fine.").result["user_turn_id"] == second.id
    (told,) = silences(trace)
    # Of an agent that is not traced nobody hears that its voice begins with silence.
    lead = line.voice.leading_silence if agent is PlainNotMeant else 0.0
    assert near(told.ms, ear.heard[0] - lead - ended)


async def test_the_same_words_typed_are_the_question_that_is_answered() -> None:
    with collecting() as trace:
        line = Line(hears=ScriptedSTT("yes"), thinks=ScriptedLLM("Fine."))
        ear = Ear.of(line)
        async with line.to(NotMeant(instructions="x")):
            speak(line, 0.4)
            await asyncio.sleep(3.0)
            typed_at = asyncio.get_running_loop().time()
            line.session.generate_reply(user_input="yes")
            await line.answers(1)
            await asyncio.sleep(0.1)
    spoken, typed = trace.spans("user_turn")
    assert (spoken.payload["modality"], typed.payload["modality"]) == ("audio", "text")
    assert answer(trace, "Fine.").result["user_turn_id"] == typed.id
    (told,) = silences(trace)
    assert near(told.ms, ear.heard[0] - typed_at)


async def test_typed_between_spoken_each_question_has_its_own_answer() -> None:
    with collecting() as trace:
        line = Line(hears=ScriptedSTT("one", "three"), thinks=ScriptedLLM("1.", "2.", "3."))
        ear, ended = Ear.of(line), []
        async with line.to(TracedAgent(instructions="x")):
            ended.append(speak(line, 0.4, then=1.0))
            await line.answers(1)
            await line.microphone.heard()
            ended.append(asyncio.get_running_loop().time())
            line.session.generate_reply(user_input="two")
            await line.answers(2)
            ended.append(speak(line, 0.4))
            await line.answers(3)
            await asyncio.sleep(0.1)
    told = silences(trace)
    assert [(one.question, one.ended_by) for one in told] == [
        ("one", "1."),
        ("two", "2."),
        ("three", "3."),
    ]
    for one, heard, since in zip(told, ear.heard, ended, strict=True):
        assert near(one.ms, heard - since)


async def test_the_program_may_speak_and_answer_every_question_from_one_place() -> None:
    """What it said before, from there, is no cause of the answer."""
    with collecting() as trace:
        line = Line(hears=ScriptedSTT("one", "two"), thinks=ScriptedLLM("1.", "2."))
        ear, ended = Ear.of(line), []
        async with line.to(Declines(instructions="x")):
            line.session.say("Welcome.")
            await line.answers(1)
            for count in (2, 3):
                ended.append(speak(line, 0.4, then=0.6))
                await asyncio.sleep(2.0)
                line.session.generate_reply()
                await line.answers(count)
            await asyncio.sleep(0.1)
    told = silences(trace)
    assert [(one.question, one.ended_by, one.filler) for one in told] == [
        ("one", "1.", False),
        ("two", "2.", False),
    ]
    for one, heard, since in zip(told, ear.heard[1:], ended, strict=True):
        assert near(one.ms, heard - since)


async def test_nobody_waits_for_what_the_program_says_after_a_declined_question() -> None:
    with collecting() as trace:
        line = Line(hears=ScriptedSTT("one"))
        async with line.to(Declines(instructions="x")):
            speak(line, 0.4)
            await asyncio.sleep(3.0)
            line.session.say("By the way.")
            await line.answers(1)
            await asyncio.sleep(0.1)
    assert silences(trace) == []
    assert "user_turn_id" not in answer(trace, "By the way.").result
    assert len(questions(trace)) == 1
