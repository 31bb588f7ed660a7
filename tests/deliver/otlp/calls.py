"""Calls of several kinds, as the rows that delivery gives to the mapping."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from livekit.agents import AgentSession, ToolError

from differential.models import NotedTTS
from differential.stage import TRACED, Case, Stage
from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.deliver.otlp.rows import EndedSpan
from prefactor_agent.tracing import tracer
from support import virtual_time
from support.memory_sink import MemorySink
from support.scripted import Microphone, Speaker, Tokens, Use, Wait, silence, sound
from support.scripted_realtime import ScriptedRealtime

from .ended import of_sink

HEARD = ("Where is order 42?", "Then cancel it.", "How do I send it back?", "Stop.")


def rows_of(case: Case) -> list[EndedSpan]:
    """The spans of a case of the differential tests."""
    return of_sink(recorded(play(case)))


def recorded(call: Coroutine[Any, Any, None]) -> MemorySink:
    """What is traced of a call, which is held on a virtual clock."""
    sink = MemorySink()
    tracer.send_to(sink)
    virtual_time.run(call, look=1e-6)  # LiveKit divides by how long an answer took
    return sink


async def play(case: Case) -> None:
    """Play a case of the differential tests, once, traced."""
    stage = Stage(TRACED)
    async with asyncio.timeout(120):
        await case(stage)
        for call in stage.calls:
            await call.session.aclose()


async def phone_line(s: Stage) -> None:
    """Three questions: a tool answers, a tool refuses, and the caller cuts the answer short."""

    class Clerk(s.Agent):  # type: ignore[misc]  # the base is one of two
        @s.tool
        async def look_up(self, order: str) -> dict[str, Any]:
            """Where an order is."""
            await asyncio.sleep(0.1)
            return {"order": order, "arrives": "Friday"}

        @s.tool
        async def cancel(self, order: str) -> str:
            """Cancel an order."""
            raise ToolError(f"order {order} has shipped")

    call = await s.call(
        Clerk(instructions="You answer the phone.", id="clerk"),
        [Use("look_up", {"order": "42"}, "call-1"), Tokens(40, 10)],
        [Wait(0.2), "It arrives ", Wait(0.3), "on Friday.", Tokens(60, 12)],
        [Use("cancel", {"order": "42"}, "call-2"), Tokens(70, 9)],
        ["It has shipped.", Tokens(80, 5)],
        ["Sending it back is easy. " * 20, Tokens(90, 50)],
        ["Goodbye.", Tokens(95, 2)],
        hears=HEARD,
        speaks=NotedTTS(seconds_per_character=0.03),
    )
    for _ in range(2):
        await call.says(0.4, then=3.0)
    await call.says(0.4, then=2.0)
    await call.says(0.8, then=1.0)


def realtime_call() -> list[EndedSpan]:
    """The spans of :func:`talk_to_a_realtime_model`."""
    return of_sink(recorded(talk_to_a_realtime_model()))


async def talk_to_a_realtime_model() -> None:
    """A realtime model hears a question, calls a tool, and answers."""

    class Host(TracedAgent):
        @traced_tool
        async def price(self, item: str) -> str:
            """What an item costs."""
            return f"{item}: 3"

    model = ScriptedRealtime(
        [Use("price", {"item": "tea"})], "Tea is three euros.", heard=["What is tea?"]
    )
    session: AgentSession[None] = AgentSession(llm=model, vad=None, aec_warmup_duration=None)
    microphone, speaker = Microphone(), Speaker()
    session.input.audio, session.output.audio = microphone, speaker
    await session.start(Host(instructions="help", id="host"))
    microphone.play([*silence(0.3), *sound(0.4), *silence(0.5)])
    while not speaker.finished:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    await session.aclose()
