"""Agents in a traced call whose nodes nobody traces: LiveKit's own tasks (``GetEmailTask`` …), a
plain ``Agent``. What a silence was spent on comes from LiveKit's measurements."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import Agent, RunContext, function_tool

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.testing import Trace
from prefactor_agent.view.terminal.waterfall import waterfall
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, Use, Wait


class Plain(Agent):
    @function_tool
    async def note(self) -> None:
        """Note."""

    async def on_enter(self) -> None:
        self.session.generate_reply()


class Desk(TracedAgent):
    @traced_tool
    async def hand_over(self, ctx: RunContext[None]) -> Agent:
        """Hand over."""
        return Plain(instructions="y")


async def test_the_stages_of_an_untraced_agent_name_its_model_and_its_voice(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("hello", "and now"),
        thinks=ScriptedLLM(
            [Use("hand_over")], [Wait(0.4), "I am the plain one."], [Wait(0.7), "Now what?"]
        ),
        speaks=ScriptedTTS(first_byte=0.25, seconds_per_character=0.04),
    )
    async with line.to(Desk(instructions="x")):
        await line.says()
        await line.answers(1)
        await line.says()
        await line.answers(2)
    first, second = [turn.latency for turn in trace.turns if turn.assistant.text]
    assert first is not None
    assert second is not None
    assert first.stages["llm_ttft"] == pytest.approx(400, abs=20)
    assert first.stages["tts_ttfb"] == pytest.approx(250, abs=20)
    assert second.stages["llm_ttft"] == pytest.approx(700, abs=20)
    assert second.stages["tts_ttfb"] == pytest.approx(250, abs=20)
    for latency in (first, second):
        assert latency.stages.get("playback", 0) < 20
        assert sum(latency.stages.values()) == pytest.approx(latency.perceived_ms)


async def test_of_an_untraced_agent_nobody_knows_whether_the_model_answered_with_nothing(
    trace: Trace,
) -> None:
    line = Line(
        hears=ScriptedSTT("hello", "note it"),
        thinks=ScriptedLLM([Use("hand_over")], "I am the plain one.", [Use("note")]),
    )
    async with line.to(Desk(instructions="x")):
        await line.says()
        await line.answers(1)
        await line.says()
        await asyncio.sleep(0.5)
    page = "\n".join(line.plain for line in waterfall(trace.calls[0].spans, 120))
    assert "(no words)" in page
    assert "reply was empty" not in page
