"""What the tracer lets go of while the call goes on, and when it is over: nothing of the agent's
lives longer because it was traced."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, function_tool

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.core.guard import failures
from prefactor_agent.record.turns.context import current_turn
from prefactor_agent.tracing import tracer
from support.scripted import ScriptedLLM, ScriptedTTS, Speaker, Use
from support.tree import Recorder


@pytest.fixture(autouse=True)
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps what is logged, and with it the exceptions.
    monkeypatch.setattr(logging.getLogger("livekit.agents"), "disabled", True)


class BrokenError(Exception):
    """An exception of the agent's; unlike a built-in one it can be watched."""


class Precious:
    """What an agent may hold in a local variable."""


def gone(reference: weakref.ref[Any]) -> bool:
    gc.collect()
    return reference() is None


async def started(agent: Agent, *replies: Any) -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(*replies), tts=ScriptedTTS())
    session.output.audio = Speaker(speed=100)
    await session.start(agent)
    return session


@pytest.mark.parametrize("where", ["llm_node", "tts_node", "transcription_node", "tool", "hook"])
async def test_an_exception_takes_its_local_variables_with_it(sink: Recorder, where: str) -> None:
    # LiveKit itself keeps some: that of on_enter until the agent leaves, for one.
    assert await kept(TracedAgent, traced_tool, where) == await kept(Agent, function_tool, where)


async def kept(base: Any, tool: Any, where: str) -> list[bool]:
    """Whether what a failing part of the agent had in a local variable is still there afterwards,
    for each time that it failed."""
    references: list[weakref.ref[Any]] = []

    def fail() -> None:
        held = Precious()
        references.append(weakref.ref(held))
        raise BrokenError("no")

    class Mine(base):  # type: ignore[misc]
        async def llm_node(self, *args: Any) -> Any:
            if where == "llm_node":
                fail()
            async for chunk in super().llm_node(*args):
                yield chunk

        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            async for frame in super().tts_node(text, model_settings):
                if where == "tts_node":
                    fail()
                yield frame

        async def transcription_node(self, text: Any, model_settings: Any) -> Any:
            async for part in text:
                if where == "transcription_node":
                    fail()
                yield part

        @tool
        async def look(self) -> str:
            """Look."""
            if where == "tool":
                fail()
            return "seen"

        async def on_enter(self) -> None:
            if where == "hook":
                fail()

    session = await started(Mine(instructions="be"), [Use("look")], "words.")
    speech = session.generate_reply(user_input="hello")
    async with asyncio.timeout(5):
        await speech.wait_for_playout()
    del speech
    await asyncio.sleep(0.05)
    alive = [not gone(reference) for reference in references]
    assert alive
    await session.aclose()
    return alive


@pytest.mark.parametrize("base", [Agent, TracedAgent])
async def test_a_class_that_was_made_for_one_call_goes_with_it(
    sink: Recorder, base: type[Agent]
) -> None:
    async def hold() -> list[weakref.ref[Any]]:
        held = Precious()

        class Mine(base):  # type: ignore[misc, valid-type]
            async def llm_node(self, *args: Any) -> Any:
                assert held is not None
                async for chunk in super().llm_node(*args):
                    yield chunk

            async def on_enter(self) -> None:
                assert held is not None

        session = await started(Mine(instructions="be"), "words.")
        await session.generate_reply(user_input="hello")
        await session.aclose()
        return [weakref.ref(held), weakref.ref(Mine)]

    assert [gone(reference) for reference in await hold()] == [True, True]


async def test_an_exception_is_told_once_in_each_call(sink: Recorder) -> None:
    error = BrokenError("the same")

    class Mine(TracedAgent):
        async def llm_node(self, *args: Any) -> Any:
            raise error
            yield

    agent = Mine(instructions="be")
    for _ in range(2):
        session = await started(agent)
        for _ in range(2):
            await session.generate_reply(user_input="hello")
        await session.aclose()
    told = sink.of("livekit:error")
    assert len(told) == len({span.session_id for span in told}) == 2


async def test_an_exception_without_words(sink: Recorder) -> None:
    class SpeechlessError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    class Mine(TracedAgent):
        @traced_tool
        async def look(self) -> str:
            """Look."""
            raise SpeechlessError

    session = await started(Mine(instructions="be"), [Use("look")], "words.")
    await session.generate_reply(user_input="hello")
    await session.aclose()
    tool = sink.one("livekit:tool:look")
    assert tool["status"] == "failed"
    error = tool["result"]["error"]
    assert (error["error_type"], error["message"]) == ("SpeechlessError", "")
    assert not failures


async def test_a_closed_call_is_let_go_of_whatever_the_program_keeps() -> None:
    # The spans themselves are what a sink is for: one that keeps none.
    class Nowhere:
        def put(self, span: Any) -> None: ...

        def flush(self, timeout: float) -> bool:
            return True

    tracer.send_to(Nowhere())

    class Mine(TracedAgent):
        @traced_tool
        async def look(self) -> str:
            """Look."""
            return "seen"

    agent = Mine(instructions="be")
    session = await started(agent, [Use("look")], "words.", "more.")
    first = session.generate_reply(user_input="hello")
    await first
    second = session.say("still speaking.")  # in the context of this test, which goes on
    trace = tracer.attach(agent)
    assert trace is not None
    assert current_turn.get() is not None
    references = [weakref.ref(trace), weakref.ref(trace.assistant_turns), weakref.ref(trace.spans)]
    del trace
    await session.aclose()
    await asyncio.sleep(0)
    assert current_turn.get() is None
    assert all(gone(reference) for reference in references)
    assert first.done()
    assert second.done()
    assert agent.id == "mine"
