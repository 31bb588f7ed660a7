"""A tool answers with an agent, and LiveKit does not give it the call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, FunctionToolsExecutedEvent, RunContext

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.record.tools.outcome import LAST_ANSWER_DECIDES
from support.line import NO_RETRIES, until
from support.scripted import ScriptedLLM, ScriptedTTS, Speaker, Use
from support.scripted_realtime import ScriptedRealtime
from support.tree import JSON, Recorder, check

has_updates = pytest.mark.skipif(
    not hasattr(RunContext, "update"), reason="this LiveKit's tools report no progress"
)


class Second(TracedAgent):
    pass


class Third(TracedAgent):
    pass


class Router(TracedAgent):
    @traced_tool
    async def late(self, ctx: RunContext[Any]) -> Agent:
        """Hand over after a progress update."""
        await ctx.update("one moment")
        return Second(instructions="second")

    @traced_tool
    async def to_second(self) -> Agent:
        """Hand over."""
        return Second(instructions="second")

    @traced_tool
    async def to_third(self) -> Agent:
        """Hand over."""
        await asyncio.sleep(0.02)
        return Third(instructions="third")

    @traced_tool
    async def to_both(self) -> list[Agent]:
        """Hand over to two at once."""
        return [Second(instructions="second"), Third(instructions="third")]

    @traced_tool
    async def keep(self) -> str:
        """Slower than the others."""
        await asyncio.sleep(0.05)
        return "kept"


async def call(*tools: str, cancels: bool = False) -> str:
    """Have the model call these tools together. Returns who has the call in the end."""
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use(name) for name in tools], "Kept.", "Hm."), conn_options=NO_RETRIES
    )
    if cancels:
        session.on("function_tools_executed", FunctionToolsExecutedEvent.cancel_agent_handoff)
    async with asyncio.timeout(10):
        await session.start(Router(instructions="router"))
        await session.run(user_input="move me")
        await asyncio.sleep(0.15)
        now = session.current_agent.id
        await session.aclose()
    return now


def results(sink: Recorder) -> dict[str, JSON]:
    tools = [span for span in sink.spans if span.type.startswith("livekit:tool:")]
    return {span.name: sink.plain(span)["result"] for span in tools if not span.open}


def refused(sink: Recorder) -> dict[str, str]:
    """By tool, why its handoff was refused; and it is shown as what failed."""
    found = {}
    for name, result in results(sink).items():
        if result["outcome"] == "handoff_refused":
            assert result["is_error"]
            assert result["status"] == "failed"
            assert result["error"]["error_type"] == "HandoffRefused"
            found[name] = result["error"]["message"]
    return found


def handoffs(sink: Recorder) -> list[str]:
    return [span.payload["to"] for span in sink.of("livekit:handoff")]


async def test_a_handoff_that_happens_is_none_that_was_refused(sink: Recorder) -> None:
    assert await call("to_second") == "second"
    check(sink)
    assert not refused(sink)
    assert results(sink)["to_second"]["outcome"] == "handoff"
    assert handoffs(sink) == ["second"]


@pytest.mark.parametrize("tools", [("to_second",), ("to_second", "to_third")])
async def test_with_a_realtime_model(tools: tuple[str, ...], sink: Recorder) -> None:
    model = ScriptedRealtime([Use(name) for name in tools], "Kept.", heard=["move me"])
    session: AgentSession[None] = AgentSession(llm=model)
    session.output.audio = Speaker(speed=8)
    async with asyncio.timeout(10):
        await session.start(Router(instructions="router"))
        session.generate_reply(user_input="move me")
        await until(lambda: len(results(sink)) == len(tools) and all_over(sink))
        await session.aclose()
    check(sink)
    if len(tools) == 1:
        assert not refused(sink)
        assert handoffs(sink) == ["second"]
    else:
        assert refused(sink).keys() == set(tools)
        assert not handoffs(sink)


def all_over(sink: Recorder) -> bool:
    return not any(span.open for span in sink.of("livekit:assistant_turn"))


@has_updates
async def test_after_a_progress_update_no_handoff_is_made(sink: Recorder) -> None:
    assert await call("late") == "router"
    check(sink)
    assert refused(sink) == {"late": "LiveKit makes no handoff after a progress update"}
    assert results(sink)["late"]["outputs"]["agent"] == "second"
    assert not handoffs(sink)


async def test_two_agents_from_tools_that_were_called_together(sink: Recorder) -> None:
    assert await call("to_second", "to_third") == "router"
    check(sink)
    assert refused(sink) == {
        "to_second": "to_third, which was called together with it, answered with an agent, too",
        "to_third": "to_second, which was called together with it, answered with an agent, too",
    }
    assert not handoffs(sink)


async def test_two_agents_from_one_tool(sink: Recorder) -> None:
    assert await call("to_both") == "router"
    check(sink)
    assert "to_both" in refused(sink)
    assert not handoffs(sink)


async def test_a_slower_tool_that_was_called_together_with_it(sink: Recorder) -> None:
    now = await call("to_second", "keep")
    check(sink)
    if LAST_ANSWER_DECIDES:
        assert now == "router"
        assert refused(sink) == {
            "to_second": "keep, which was called together with it, ended later"
        }
        assert not handoffs(sink)
    else:
        assert now == "second"
        assert not refused(sink)
        assert handoffs(sink) == ["second"]
    assert results(sink)["keep"]["outcome"] == "returned"


async def test_a_handoff_that_the_program_calls_off(sink: Recorder) -> None:
    assert await call("to_second", cancels=True) == "router"
    check(sink)
    assert refused(sink) == {"to_second": "the program called the handoff off"}
    assert not handoffs(sink)


async def test_a_turn_that_is_interrupted_while_the_tool_runs(sink: Recorder) -> None:
    class Slow(TracedAgent):
        @traced_tool
        async def to_second(self) -> Agent:
            """Hand over."""
            begun.set()
            await asyncio.sleep(0.1)
            return Second(instructions="second")

    begun = asyncio.Event()
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("to_second")], "Hm."), tts=ScriptedTTS(), conn_options=NO_RETRIES
    )
    session.output.audio = Speaker(speed=8)
    async with asyncio.timeout(10):
        await session.start(Slow(instructions="x"))
        speech = session.generate_reply(user_input="move me")
        await begun.wait()
        speech.interrupt()
        await speech.wait_for_playout()
        await asyncio.sleep(0.15)
        assert session.current_agent.id == "slow"
        await session.aclose()
    check(sink)
    result = results(sink)["to_second"]
    assert result["outcome"] == "handoff_refused"
    assert not handoffs(sink)


@pytest.mark.parametrize("drain", [True, False])
async def test_a_session_that_closes_makes_no_handoff_any_more(drain: bool, sink: Recorder) -> None:
    class Leaving(TracedAgent):
        @traced_tool
        async def to_second(self, ctx: RunContext[Any]) -> Agent:
            """Hand over."""
            ctx.session.shutdown(drain=drain)
            await asyncio.sleep(0.05)
            return Second(instructions="second")

    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("to_second")], "Hm."), conn_options=NO_RETRIES
    )
    closed = asyncio.Event()
    session.on("close", lambda _: closed.set())
    async with asyncio.timeout(10):
        await session.start(Leaving(instructions="x"))
        session.generate_reply(user_input="move me")
        await closed.wait()
    check(sink)
    assert not handoffs(sink)
    errors = [span.payload["error_type"] for span in sink.of("livekit:error")]
    # LiveKit takes the answer, and skips the handoff once it sees that the session closes; what is
    # interrupted by the end has no answer.
    assert (errors == ["HandoffMissedError"]) == drain
    assert ("to_second" in refused(sink)) != drain
