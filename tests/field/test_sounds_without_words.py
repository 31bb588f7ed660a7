"""Sounds of the caller's line of which no words come: a cough, a door, noise. They are no question:
no silence begins with them. docs/field-tests.md names the reports."""

from __future__ import annotations

import asyncio

import pytest

from prefactor_agent import TracedAgent
from prefactor_agent.testing import Trace
from support.line import Line
from support.scripted import Heard, ScriptedLLM, ScriptedSTT, Wait


def agent() -> TracedAgent:
    return TracedAgent(instructions="x")


async def test_what_the_agent_says_by_itself_after_noise_ends_no_silence(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("hi", "", ""), thinks=ScriptedLLM("Hello.", [Wait(0.3), "Still there?"])
    )
    async with line.to(agent()):
        await line.says()
        await line.answers()
        for _ in range(2):
            await line.says(0.3, then=1.2)
        await asyncio.sleep(3.0)
        line.session.generate_reply(instructions="Ask whether the caller is there.")
        await line.answers(2)
    turns = trace.turns
    assert [turn.assistant.text for turn in turns] == ["Hello.", "", "Still there?"]
    assert turns[0].latency is not None
    assert turns[2].latency is None
    assert trace.calls[0].spans[0].result["latency"]["turns"] == 1


async def test_an_answer_that_is_held_back_for_a_cough_says_so(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("a table please", ""),
        thinks=ScriptedLLM([Wait(0.8), "For how many?"]),
        interruption={
            "mode": "vad",
            "min_duration": 0.2,
            "resume_false_interruption": True,
            "false_interruption_timeout": 1.0,
        },
    )
    async with line.to(agent()):
        await line.says(0.5, then=0.4)
        await line.says(0.3, before=0.0)
        await line.answers()
        await asyncio.sleep(0.5)
    (turn,) = [turn for turn in trace.turns if turn.assistant.text]
    assert turn.user.text == "a table please"
    latency = turn.latency
    assert latency is not None
    # The cough ends 0.7 s after the question; the detector needs 0.2 s, LiveKit waits for 1.0 s,
    # and the voice begins with 0.05 s of silence.
    assert latency.perceived_ms == pytest.approx(1950, abs=30)
    # The model had its first token 1.0 s after the question, the voice its audio 0.05 s later.
    assert latency.stages["false_interruption"] == pytest.approx(850, abs=30)
    assert latency.stages.get("playback", 0) < 10
    assert "filler" not in turn.assistant.spans[0].result["latency"]


async def test_words_that_are_still_awaited_make_a_question(trace: Trace) -> None:
    """The STT is slow, and the program speaks before it has the words."""
    line = Line(
        hears=ScriptedSTT(Heard("hello there", delay=0.6), streaming=False),
        thinks=ScriptedLLM("Hi."),
    )
    async with line.to(agent()):
        await line.says(0.6, then=0.3)
        line.session.say("One moment.")
        await line.answers(2)
        await asyncio.sleep(0.5)
    said = trace.spans("assistant_turn")[0].result
    assert said["spoken_text"] == "One moment."
    assert said["latency"]["perceived_ms"] == pytest.approx(400, abs=30)
