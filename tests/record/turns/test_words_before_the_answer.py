"""Words that are heard before the answer, whoever has them said, end the silence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import AgentSession

from prefactor_agent import TracedAgent, configure, traced_tool
from prefactor_agent.testing import Trace, collecting
from record.turns.hearing import Ear, answer, near, silences, speak
from support.line import Line, until
from support.scripted import Microphone, ScriptedLLM, ScriptedSTT, Speaker, Use, Wait
from support.scripted_realtime import ScriptedRealtime

WORDS = "One moment, please."


class Shop(TracedAgent):
    @traced_tool
    async def look(self) -> str:
        """Look."""
        await asyncio.sleep(1.8)
        return "found"


class RealtimeLine:
    """A call with a realtime model, and a voice for what the program says."""

    def __init__(self, *replies: Any) -> None:
        self.session: AgentSession[None] = AgentSession(
            llm=ScriptedRealtime(*replies, heard=["where is it"], leading_silence=0.05),
            tts=Line().voice,
            aec_warmup_duration=None,
        )
        self.microphone, self.speaker = Microphone(), Speaker()
        self.session.input.audio = self.microphone
        self.session.output.audio = self.speaker

    async def answers(self, count: int) -> None:
        await until(lambda: len(self.speaker.finished) >= count)


async def play(says: Any = None) -> tuple[Trace, Ear, float]:
    """A question that a tool answers; ``says`` is called with the line when it begins."""
    with collecting() as trace:
        line = Line(
            hears=ScriptedSTT("where is it"), thinks=ScriptedLLM([Use("look")], "Here it is.")
        )
        ear = Ear.of(line)
        async with line.to(Shop(instructions="x")):
            ended = speak(line, 0.4)
            if says is not None:
                await says(line)
            await line.answers(2)
            await asyncio.sleep(0.1)
    return trace, ear, ended


def check(trace: Trace, ear: Ear, ended: float, words: str = WORDS) -> None:
    (told,) = silences(trace)
    assert (told.ended_by, told.filler) == (words, True)
    assert near(told.ms, ear.heard[0] - ended)
    later = answer(trace, "Here it is.").result
    assert later["first_sound_by"] == answer(trace, words).id
    assert near(later["answer_ms"], ear.heard[1] - ended)


async def test_a_budgets_callback_ends_the_silence() -> None:
    configure(budgets={"perceived": 0.8}, on_budget_exceeded=lambda slow: slow.session.say(WORDS))
    check(*await play())


async def test_a_watchdog_ends_the_silence() -> None:
    async def watch(line: Line) -> None:
        await asyncio.sleep(1.5)
        line.session.say(WORDS)

    check(*await play(watch))


async def test_a_listener_ends_the_silence() -> None:
    async def listen(line: Line) -> None:
        @line.session.on("agent_state_changed")
        def on_state(event: Any) -> None:
            if event.new_state == "thinking" and not said:
                said.append(line.session.say(WORDS))

        said: list[Any] = []

    check(*await play(listen))


async def test_what_is_said_after_an_answer_was_broken_off_ends_the_silence() -> None:
    """The program gives up an answer that takes too long."""
    with collecting() as trace:
        line = Line(hears=ScriptedSTT("where is it"), thinks=ScriptedLLM([Wait(3.0), "Here."]))
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            ended = speak(line, 0.4)
            await asyncio.sleep(2.0)
            await line.session.interrupt()
            line.session.say("Sorry, I cannot.")
            await line.answers(1)
            await asyncio.sleep(0.1)
    (told,) = silences(trace)
    assert told.ended_by == "Sorry, I cannot."
    assert near(told.ms, ear.heard[0] - ended)
    given_up = next(t for t in trace.spans("assistant_turn") if not t.result.get("spoken_text"))
    assert given_up.result["interrupted_by"] == "program"


async def test_words_between_the_last_sound_and_the_end_of_the_turn_end_the_silence() -> None:
    with collecting() as trace:
        line = Line(
            hears=ScriptedSTT("what time is it"),
            thinks=ScriptedLLM("It is noon."),
            endpointing={"min_delay": 1.0, "max_delay": 1.0},
        )
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            ended = speak(line, 0.4)
            await asyncio.sleep(1.1)
            line.session.say("By the way.")
            await line.answers(2)
            await asyncio.sleep(0.1)
    (told,) = silences(trace)
    assert (told.ended_by, told.filler) == ("By the way.", True)
    assert near(told.ms, ear.heard[0] - ended)
    aside, reply = trace.spans("assistant_turn")
    assert "preemptive" not in aside.result
    assert reply.result["first_sound_by"] == aside.id


async def test_words_before_the_vad_is_sure_end_the_silence() -> None:
    """100 ms after the user's last sound nobody knows yet that it was the last."""
    with collecting() as trace:
        line = Line(
            hears=ScriptedSTT("what time is it"),
            thinks=ScriptedLLM("It is noon."),
            endpointing={"min_delay": 1.0, "max_delay": 1.0},
            # Otherwise LiveKit itself waits until the VAD is sure.
            interruption={"enabled": False, "discard_audio_if_uninterruptible": False},
        )
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            ended = speak(line, 0.4)
            await asyncio.sleep(0.7)
            line.session.say("Hm, let me think about that for a while.")
            await line.answers(2)
            await asyncio.sleep(0.1)
    assert 0 < ear.heard[0] - ended < 0.2
    (told,) = silences(trace)
    assert told.filler
    assert near(told.ms, ear.heard[0] - ended)
    assert answer(trace, "It is noon.").result["first_sound_by"]


async def test_words_over_a_user_who_goes_on_end_no_silence() -> None:
    with collecting() as trace:
        line = Line(
            hears=ScriptedSTT("what time is it"),
            thinks=ScriptedLLM("It is noon."),
            interruption={"enabled": False, "discard_audio_if_uninterruptible": False},
        )
        ear = Ear.of(line)
        async with line.to(TracedAgent(instructions="x")):
            ended = speak(line, 1.5)
            await asyncio.sleep(0.8)
            line.session.say("Hm.")
            await line.answers(2)
            await asyncio.sleep(0.1)
    assert ear.heard[0] < ended
    (told,) = silences(trace)
    assert told.ended_by == "It is noon."
    assert near(told.ms, ear.heard[1] - ended)


@pytest.mark.parametrize("by", ["budget", "watchdog"])
async def test_so_they_do_while_a_realtime_models_tool_runs(by: str) -> None:
    if by == "budget":
        configure(
            budgets={"perceived": 0.8}, on_budget_exceeded=lambda slow: slow.session.say(WORDS)
        )
    with collecting() as trace:
        line = RealtimeLine([Use("look")], "Here it is.")
        ear = Ear(line.speaker, 0.05)
        async with asyncio.timeout(20):
            await line.session.start(Shop(instructions="x"))
            await asyncio.sleep(0.05)
            ended = speak(line, 0.4)
            if by == "watchdog":
                await asyncio.sleep(1.5)
                line.session.say(WORDS)
            await line.answers(2)
            await asyncio.sleep(0.1)
            await line.session.aclose()
    (told,) = silences(trace)
    assert (told.ended_by, told.filler) == (WORDS, True)
    assert near(told.ms, ear.heard[0] - ended)
    assert answer(trace, "Here it is.").result["first_sound_by"] == answer(trace, WORDS).id
