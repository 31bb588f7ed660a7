"""A tool that ends the call, and a call that ends in the middle of a tool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, RunContext, function_tool

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.tracing import tracer
from support.job import Job
from support.line import NO_RETRIES, until
from support.scripted import ScriptedLLM, ScriptedTTS, Speaker, Use
from support.tree import JSON, Recorder, check

End = Callable[[AgentSession[Any]], object]
closings: set[asyncio.Task[None]] = set()


def aclose(session: AgentSession[Any]) -> None:
    # Awaited in the tool itself, it would wait for the tool that waits for it.
    closings.add(asyncio.create_task(session.aclose()))


def shut_down(session: AgentSession[Any]) -> None:
    session.shutdown(drain=False)


def agent_that_hangs_up(end: End, base: type[Agent], tool: Any) -> Agent:
    class Clerk(base):  # type: ignore[misc, valid-type]
        @tool
        async def hang_up(self, ctx: RunContext[Any]) -> str:
            """End the call."""
            end(ctx.session)
            await asyncio.sleep(0.05)
            return "bye"

    return Clerk(instructions="x")


class Slow(TracedAgent):
    @traced_tool
    async def look_up(self) -> str:
        """Look up."""
        current = asyncio.current_task()
        assert current is not None
        current.set_name("slow")
        await asyncio.sleep(0.3)
        return "found"


async def called(agent: Agent, *replies: Any, by: End | None = None) -> None:
    """A call that ends by itself, or ``by`` somebody else while its tool runs."""
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM(*replies), tts=ScriptedTTS(), conn_options=NO_RETRIES
    )
    session.output.audio = Speaker(speed=8)
    closed = asyncio.Event()
    session.on("close", lambda _: closed.set())
    async with asyncio.timeout(10):
        await session.start(agent)
        session.generate_reply(user_input="bye")
        if by is not None:
            await until(lambda: any(task.get_name() == "slow" for task in asyncio.all_tasks()))
            by(session)
        await closed.wait()
    await asyncio.gather(*closings)
    closings.clear()


def of(sink: Recorder, type_: str) -> JSON:
    (found,) = (sink.plain(span) for span in sink.of(f"livekit:{type_}"))
    return found


@pytest.mark.parametrize("end", [aclose, shut_down])
@pytest.mark.parametrize(
    ("base", "tool"), [(TracedAgent, traced_tool), (TracedAgent, function_tool)]
)
async def test_a_tool_that_ends_the_call_is_no_interruption(
    end: End, base: type[Agent], tool: Any, sink: Recorder
) -> None:
    await called(agent_that_hangs_up(end, base, tool), [Use("hang_up")], "x")
    check(sink)
    turn = of(sink, "assistant_turn")
    kind = "tool:hang_up" if tool is traced_tool else "tool"
    assert turn["result"]["interrupted"] is False
    assert "interrupted_by" not in turn["result"]
    # Before 1.6 nothing tells of an untraced tool of a speech that was broken off.
    assert turn["status"] == ("complete" if sink.of(f"livekit:{kind}") else "cancelled")


@pytest.mark.parametrize("end", [aclose, shut_down])
async def test_words_that_the_end_of_the_call_cuts_are_cut_by_the_program(
    end: End, sink: Recorder
) -> None:
    agent = agent_that_hangs_up(end, TracedAgent, traced_tool)
    words = ["One two three four five six seven eight nine ten. ", Use("hang_up")]
    await called(agent, words, "x")
    check(sink)
    result = of(sink, "assistant_turn")["result"]
    assert result["interrupted"] is True
    assert result["interrupted_by"] == "program"


def terminate(session: AgentSession[Any]) -> None:
    tracer._traces[session].termination.begin("policy", None)


@pytest.mark.parametrize(
    ("end", "status"), [(aclose, "complete"), (shut_down, "complete"), (terminate, "cancelled")]
)
async def test_a_call_that_ends_in_the_middle_of_a_tool_waits_for_it(
    end: End, status: str, sink: Recorder
) -> None:
    await called(Slow(instructions="x"), [Use("look_up")], "x", by=end)
    check(sink)
    tool, turn = of(sink, "tool:look_up"), of(sink, "assistant_turn")
    assert (tool["status"], tool["result"]["outcome"]) == ("complete", "returned")
    assert turn["result"]["interrupted"] is False
    assert of(sink, "session")["status"] == status
    assert not sink.of("livekit:error")


async def test_a_job_that_ends_in_the_middle_of_a_tool(sink: Recorder) -> None:
    job = Job()

    def end_job(_: AgentSession[Any]) -> None:
        closings.add(asyncio.create_task(job.end("room deleted")))

    with job.running():
        await called(Slow(instructions="x"), [Use("look_up")], "x", by=end_job)
    check(sink)
    assert of(sink, "tool:look_up")["result"]["outcome"] == "returned"
    assert of(sink, "assistant_turn")["result"]["interrupted"] is False
    root = of(sink, "session")
    assert (root["status"], root["result"]["shutdown_reason"]) == ("complete", "room deleted")
