"""A question that is answered only after a newer one: the caller waited for it all the while."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import RunContext

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.testing import Trace
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use


class Shop(TracedAgent):
    @traced_tool
    async def pay_bill(self, ctx: RunContext[None]) -> str:
        """Pay."""
        ctx.disallow_interruptions()
        await asyncio.sleep(3.0)
        return "paid"


async def test_says_how_long_the_caller_waited_for_its_answer(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("pay_bill", "are you there"),
        thinks=ScriptedLLM([Use("pay_bill")], "Yes, I am.", "It is paid."),
    )
    async with line.to(Shop(instructions="x")):
        await line.says()
        await asyncio.sleep(0.3)
        await line.says()
        await line.answers(2)
        await asyncio.sleep(0.3)
    first, second = trace.spans("assistant_turn")
    assert first.result["spoken_text"] == "It is paid."
    assert second.result["spoken_text"] == "Yes, I am."
    assert "answer_ms" not in second.result
    assert first.result["first_sound_by"] == second.id
    # The detector needs 0.2 s, the tool 3.0 s, the voice 0.1 s.
    assert first.result["answer_ms"] == pytest.approx(3300, abs=30)
