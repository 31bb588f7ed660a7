"""Each session tells of its own failures of the tracer, whatever goes on beside it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession

from prefactor_agent import TracedAgent, config, traced_tool
from prefactor_agent.core.guard import failures
from prefactor_agent.core.span import SpanType, Status
from prefactor_agent.journal.reader import Journal
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.tracing import tracer
from support.memory_sink import MemorySink
from support.scripted import ScriptedLLM, Use
from support.waiting import PATIENCE


async def started() -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Hello."], ["Goodbye."]))
    await session.start(TracedAgent(instructions="be"))
    return session


async def talk(session: AgentSession[None]) -> None:
    for words in ("hi", "bye"):
        await session.run(user_input=words)


def trace_of(session: AgentSession[None]) -> Any:
    return tracer._traces[session]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="prefactor_agent")


async def test_of_two_sessions_at_a_time_the_broken_one_tells_of_failures(
    sink: MemorySink,
) -> None:
    # Started in one task: what LiveKit does for the one and for the other has one context.
    broken, sound = await started(), await started()
    trace_of(broken).history._user_turns = None
    broken_id, sound_id = trace_of(broken).session_id, trace_of(sound).session_id
    await asyncio.gather(talk(broken), talk(sound))
    await broken.aclose()
    await sound.aclose()
    results = {
        one["id"]: one["result"] for one in sink.as_dicts() if one["type"] == "livekit:session"
    }
    assert results[broken_id]["tracer_failures"] == 2, "each message of the user's"
    assert "tracer_failures" not in results[sound_id]


async def test_what_fails_where_a_call_begins_counts_for_its_session(sink: MemorySink) -> None:
    class Clerk(TracedAgent):
        @traced_tool
        async def look(self) -> str:
            """Look."""
            return "here"

    steps = [[Use("look")], ["Here."]]
    sessions = broken, _ = [
        AgentSession[None](llm=ScriptedLLM(*(step for step in steps))) for _ in range(2)
    ]
    for session in sessions:
        await session.start(Clerk(instructions="be"))
    recorder = trace_of(broken)
    recorder.nodes._messages = recorder.nodes._fallbacks = recorder.hooks.closing = None
    recorder.state.tool_types = None
    ids = [trace_of(session).session_id for session in sessions]
    for session in sessions:
        await session.run(user_input="go")
    for session in sessions:
        await session.aclose()
    results = {span["id"]: span["result"] for span in sink.as_dicts()}
    failed, well = (results[id_] for id_ in ids)
    assert {"node.begin", "hook.begin", "tool.begin"} <= set(failures)
    assert failed["tracer_failures"] == failures.total()
    assert "tracer_failures" not in well


@pytest.mark.real_time
async def test_what_fails_on_the_journals_thread_counts_for_its_session(tmp_path: Path) -> None:
    pipeline = Pipeline(config.settings(), lambda *_: None)
    tracer.send_to(pipeline)
    broken, sound = await started(), await started()
    broken_id, sound_id = trace_of(broken).session_id, trace_of(sound).session_id
    for one, result in ((broken, _broken), (sound, dict)):
        spans = trace_of(one).spans
        spans.end(spans.begin(SpanType.STATE, "state", None, {}), Status.COMPLETE, result)
    assert await asyncio.to_thread(pipeline.flush, PATIENCE)
    await broken.aclose()
    await sound.aclose()
    assert await asyncio.to_thread(pipeline.flush, PATIENCE)
    journal = Journal(config.settings().journal)
    [failed], [well] = (
        [span.result for span in journal.call(one) if span.id == one]
        for one in (broken_id, sound_id)
    )
    journal.close()
    assert failed["tracer_failures"] == 1
    assert "tracer_failures" not in well


def _broken() -> dict[str, Any]:
    raise ValueError
