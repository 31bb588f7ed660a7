"""Questions that LiveKit makes no answer to, and the program speaks later: what the caller waited
for is the program, and says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import StopResponse

from prefactor_agent import TracedAgent
from prefactor_agent.testing import Latency, Trace
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, Wait


def latency_of(trace: Trace, words: str) -> Latency | None:
    (turn,) = (one for one in trace.turns if one.assistant.text == words)
    return turn.latency


class Broken(TracedAgent):
    """Its hook fails: LiveKit logs that, and makes no answer."""

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        await asyncio.sleep(0.1)
        raise ConnectionError("the knowledge base does not answer")


@pytest.mark.parametrize("how", ["say", "generate_reply"])
async def test_a_caller_waits_for_the_answer_to_a_turn_whose_hook_failed(
    trace: Trace, how: str
) -> None:
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM([Wait(0.4), "Sorry."]))
    async with line.to(Broken(instructions="x")):
        await line.says(0.4, then=2.5)
        if how == "say":
            line.session.say("Sorry.")
        else:
            line.session.generate_reply(instructions="Apologize.")
        await line.answers()
    latency = latency_of(trace, "Sorry.")
    assert latency is not None
    # The detector needs 0.2 s, the hook 0.1 s; the program speaks 2.5 s after the last sound.
    assert latency.perceived_ms == pytest.approx(2600 + 400 * (how != "say"), abs=30)
    assert latency.stages["on_user_turn_completed"] == pytest.approx(100, abs=10)
    assert latency.stages["program_call"] == pytest.approx(2200, abs=30)
    assert latency.stages.get("llm_queue", 0) < 10
    assert latency.stages.get("llm_ttft", 0) == pytest.approx(400 * (how != "say"), abs=10)


async def test_nobody_waits_after_a_turn_that_the_hook_declined(trace: Trace) -> None:
    class Silent(TracedAgent):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            raise StopResponse

    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM())
    async with line.to(Silent(instructions="x")):
        await line.says(0.4, then=1.5)
        line.session.say("By the way.")
        await line.answers()
    assert latency_of(trace, "By the way.") is None


async def test_a_reply_that_a_timer_asks_for_did_not_wait_for_the_model(trace: Trace) -> None:
    """The model answers with nothing; the program asks again when the caller seems to be away."""
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM([Wait(0.3)], [Wait(0.3), "Hello?"]))
    async with line.to(TracedAgent(instructions="x")):
        await line.says(0.4, then=3.0)
        line.session.generate_reply(instructions="Ask whether they are there.")
        await line.answers()
    latency = latency_of(trace, "Hello?")
    assert latency is not None
    assert latency.perceived_ms == pytest.approx(3400, abs=30)
    # The first request took 0.3 s of it, and had no word.
    assert latency.stages["program_call"] == pytest.approx(2750, abs=320)
    assert latency.stages["llm_ttft"] == pytest.approx(300, abs=10)
    assert latency.stages.get("llm_queue", 0) < 10
