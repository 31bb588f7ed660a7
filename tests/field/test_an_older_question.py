"""A question that is answered only after a newer one: the caller waited for it all the while."""

from __future__ import annotations

import asyncio

import livekit.agents
import pytest
from livekit.agents import RunContext, function_tool

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool
from prefactor_agent.testing import Trace
from prefactor_agent.view.terminal.waterfall import waterfall
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


class Clerk(TracedAgent):
    """Speaks in a tool, after the caller has asked something else."""

    @traced_tool
    async def pay_bill(self, ctx: RunContext[None]) -> None:
        """Pay."""
        await asyncio.sleep(2.5)
        ctx.session.say("It is paid.")

    @function_tool
    async def send_bill(self, ctx: RunContext[None]) -> None:
        """Send."""
        await asyncio.sleep(2.5)
        ctx.session.say("It is sent.")


untraced = pytest.mark.skipif(
    not hasattr(livekit.agents, "ToolExecutionUpdatedEvent"),
    reason="1.5 tells of a tool that is not traced when it is over",
)


@pytest.mark.parametrize(
    "tool, words",
    [("pay_bill", "It is paid."), pytest.param("send_bill", "It is sent.", marks=untraced)],
)
async def test_what_a_tool_says_after_a_newer_question_names_the_tool(
    trace: Trace, tool: str, words: str
) -> None:
    line = Line(
        hears=ScriptedSTT(tool, "are you there"),
        thinks=ScriptedLLM([Use(tool)], "Yes, I am."),
        interruption={"enabled": False},
    )
    async with line.to(Clerk(instructions="x")):
        line.session.generate_reply(user_input=tool)
        await asyncio.sleep(0.5)
        line.session.generate_reply(user_input="are you there")
        await line.answers(2)
        await asyncio.sleep(0.3)
    (said,) = (s for s in trace.spans("assistant_turn") if s.result["spoken_text"] == words)
    assert "user_turn_id" not in said.result
    (span,) = trace.spans("tool")
    assert said.payload["created_by"] == {"tool_id": span.id, "tool_name": tool}
    page = "\n".join(line.plain for line in waterfall(trace.calls[0].spans, 120))
    assert f"said by {tool}" in page
    assert "on its own" not in page


class AskName(TracedAgentTask[str]):
    async def on_enter(self) -> None:
        self.session.say("Your name?")
        await asyncio.sleep(1)
        self.complete("Ann")


async def test_what_a_task_in_a_tool_says_lies_below_the_tool_and_does_not_name_it(
    trace: Trace,
) -> None:
    class Desk(TracedAgent):
        @traced_tool
        async def ask(self, ctx: RunContext[None]) -> None:
            """Ask."""
            await AskName(instructions="y")

    line = Line(hears=ScriptedSTT("go on"), thinks=ScriptedLLM([Use("ask")]))
    async with line.to(Desk(instructions="x")):
        await line.says()
        await line.answers()
        await asyncio.sleep(1)
    (said,) = (s for s in trace.spans("assistant_turn") if s.result["spoken_text"] == "Your name?")
    (tool,) = trace.spans("tool")
    assert said.parent_id == tool.id
    assert "created_by" not in said.payload
