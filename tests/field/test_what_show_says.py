"""What a reader of ``prefactor-agent show`` is told of answers that were held back, had no words,
or came from a tool's report."""

from __future__ import annotations

import asyncio

import livekit.agents
import pytest
from livekit.agents import RunContext

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.testing import Trace
from prefactor_agent.view.terminal.waterfall import waterfall
from support.line import Line, until
from support.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, Tokens, Use, Wait, sound


def shown(trace: Trace) -> str:
    return "\n".join(line.plain.rstrip() for line in waterfall(trace.calls[0].spans, 120))


def agent() -> TracedAgent:
    return TracedAgent(instructions="x")


async def test_how_long_an_answer_was_held_for_a_cough(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("tell me", ""),
        thinks=ScriptedLLM("This is a long story about a man who went to sea."),
        speaks=ScriptedTTS(seconds_per_character=0.04),
        interruption={
            "mode": "vad",
            "min_duration": 0.2,
            "resume_false_interruption": True,
            "false_interruption_timeout": 1.0,
        },
    )
    async with line.to(agent()):
        await line.says()
        await until(lambda: line.speaker.playing)
        await line.says(0.4)
        await line.answers()
        await asyncio.sleep(0.3)
    # Half of the sound is needed to notice it, the detector needs 0.2 s for its end, LiveKit 1.0 s.
    assert "silent for 1.40 s, held for a false interruption" in shown(trace)


async def test_a_model_that_answers_with_nothing(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM([Wait(0.4), Tokens(10, 0)]))
    async with line.to(agent()):
        await line.says()
        await asyncio.sleep(1)
    page = shown(trace)
    assert "(no words: the model's reply was empty)" in page
    assert "ttft" not in page


async def test_a_recording_is_audio_without_words(trace: Trace) -> None:
    async def recording():  # type: ignore[no-untyped-def]
        for frame in sound(0.5):
            yield frame

    line = Line(thinks=ScriptedLLM())
    async with line.to(agent()):
        line.session.say("", audio=recording())
        await line.answers()
    assert "(audio without words)" in shown(trace)


async def test_a_request_that_only_calls_a_tool_leaves_no_line_beside_an_answer(
    trace: Trace,
) -> None:
    class Shop(TracedAgent):
        @traced_tool
        async def look(self, ctx: RunContext[None]) -> None:
            """Look."""
            self.session.say("Here it is.")

    line = Line(hears=ScriptedSTT("look"), thinks=ScriptedLLM([Use("look")]))
    async with line.to(Shop(instructions="x")):
        await line.says()
        await line.answers()
    page = shown(trace)
    assert "“Here it is.”" in page
    assert "(no words" not in page


@pytest.mark.skipif(
    not hasattr(livekit.agents, "ToolExecutionUpdatedEvent"), reason="reports came with 1.6"
)
async def test_an_answer_that_came_of_a_tools_report_names_the_tool(trace: Trace) -> None:
    class Shop(TracedAgent):
        @traced_tool
        async def book(self, ctx: RunContext[None]) -> str:
            """Book."""
            await ctx.update("searching")
            await asyncio.sleep(1.5)
            return "booked"

    line = Line(
        hears=ScriptedSTT("book"), thinks=ScriptedLLM([Use("book")], "I search.", "Booked.")
    )
    async with line.to(Shop(instructions="x")):
        await line.says()
        await line.answers(2)
    assert "─ reports the result of book" in shown(trace)


async def test_where_a_dead_air_begins_is_recorded_with_it(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM("Hi."))
    async with line.to(agent()):
        await line.says()
        await line.answers()
    (caller,), (answer,) = trace.spans("user_turn"), trace.spans("assistant_turn")
    assert answer.result["latency"]["at_us"] == caller.result["moments_us"]["speech_ended"]
