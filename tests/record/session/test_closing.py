"""A session whose closing breaks off in LiveKit: no ``close`` comes, and its trace ends all the
same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from livekit import rtc
from livekit.agents import AgentSession, APIConnectOptions, ErrorEvent, llm
from livekit.plugins import openai

from prefactor_agent import TracedAgent
from prefactor_agent.core import guard
from prefactor_agent.record.session.closing import Closing
from prefactor_agent.record.session.job import Job as RecordedJob
from prefactor_agent.tracing import tracer
from prefactor_agent.view.model.digest import digest_of
from support.exits import run_to_its_end
from support.job import LINKED, Job, person
from support.line import until
from support.scripted import ScriptedLLM
from support.scripted_realtime import ScriptedRealtime, ScriptedRealtimeSession
from support.seams import broken
from support.tree import JSON, Recorder, check

ONCE = APIConnectOptions(max_retry=0)


class Stubborn(ScriptedRealtime):
    """A realtime model whose sessions let go of everything, and then fail to close."""

    def session(self, **_options: Any) -> StubbornSession:
        return StubbornSession(self)


class StubbornSession(ScriptedRealtimeSession):
    async def aclose(self) -> None:
        await super().aclose()
        raise RuntimeError("it does not close")


def roots(sink: Recorder) -> list[JSON]:
    return [sink.plain(span) for span in sink.of("livekit:session")]


def errors(sink: Recorder) -> list[str]:
    return [span.payload["message"] for span in sink.of("livekit:error")]


async def stubborn(**options: Any) -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=Stubborn("Hi."), vad=None)
    await session.start(TracedAgent(instructions="help"), **options)
    return session


async def willing(agent: TracedAgent | None = None) -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(agent or TracedAgent(instructions="help"))
    return session


async def it_fails(session: AgentSession[None]) -> None:
    """Wait for the closing that LiveKit has begun by itself."""
    async with asyncio.timeout(10):
        await until(lambda: session._closing_task)
        assert session._closing_task is not None
        with pytest.raises(RuntimeError, match="does not close"):
            await session._closing_task


async def has_closed(sink: Recorder) -> JSON:
    """The session's span, once the trace is over; its job may go on."""
    async with asyncio.timeout(10):
        await until(lambda: roots(sink) and "closed_at" in roots(sink)[0]["payload"])
    return roots(sink)[0]


async def test_a_realtime_model_that_cannot_connect(sink: Recorder) -> None:
    """OpenAI's plugin raises what broke its connection once more when it is closed."""
    said: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    nothing = web.AppRunner(web.Application())
    await nothing.setup()
    await web.TCPSite(nothing, "127.0.0.1", 0).start()
    job = Job()
    try:
        with job.running():
            async with aiohttp.ClientSession() as client:
                model = openai.realtime.RealtimeModel(
                    base_url=f"http://127.0.0.1:{nothing.addresses[0][1]}/v1",
                    api_key="key",
                    http_session=client,
                    conn_options=ONCE,
                )
                session: AgentSession[None] = AgentSession(llm=model, vad=None)
                await session.start(TracedAgent(instructions="help"))
                closed = await has_closed(sink)
                assert closed["payload"]["close_reason"] == "error"
                assert closed["status"] == "active", "the job has not said why it ends"
                await job.end("room deleted")
    finally:
        await nothing.cleanup()
    check(sink)
    (root,) = roots(sink)
    assert root["status"] == "failed"
    assert root["result"]["close_reason"] == "error"
    assert root["result"]["error"]["error_type"] == "APIConnectionError"
    assert root["result"]["shutdown_reason"] == "room deleted"
    assert len(errors(sink)) == 1
    # Nobody has dealt with the exception, and asyncio still says so.
    assert any("never retrieved" in context["message"] for context in said)


async def test_the_caller_leaves_and_the_session_does_not_close(sink: Recorder) -> None:
    job, caller = Job(), person("anna")
    with job.running():
        session = await stubborn(room=job.room, room_options=LINKED)
        job.joins(caller)
        await asyncio.sleep(0)
        job.leaves(caller, rtc.DisconnectReason.CLIENT_INITIATED)
        await has_closed(sink)
        await it_fails(session)
        await job.end("room disconnected")
    check(sink)
    (root,) = roots(sink)
    assert (root["status"], root["result"]["close_reason"]) == ("complete", "broken_off")
    assert root["result"]["shutdown_reason"] == "room disconnected"
    assert "error" not in root["result"]
    assert errors(sink) == ["it does not close"]


async def test_the_program_closes_it_and_the_job_ends(sink: Recorder) -> None:
    """Nobody but the program knows of it. LiveKit does not close it a second time; 1.5 does."""
    job = Job()
    with job.running():
        session = await stubborn()
        with pytest.raises(RuntimeError, match="does not close"):
            await session.aclose()
        again = session._started
        assert roots(sink)[0]["status"] == "active"
        await job.end("the shop closes")
    check(sink)
    (root,) = roots(sink)
    assert root["status"] == "complete"
    assert root["result"]["close_reason"] == ("user_initiated" if again else "broken_off")
    assert root["result"]["shutdown_reason"] == "the shop closes"


async def test_a_session_that_is_being_closed_is_left_to_livekit(sink: Recorder) -> None:
    """The sessions after a job's first are closed together with our look at them."""

    class Polite(TracedAgent):
        async def on_exit(self) -> None:
            await asyncio.sleep(0.3)

    job = Job()
    with job.running():
        await (await willing()).aclose()
        await willing(Polite(instructions="part slowly"))
        await job.end("done")
    check(sink)
    last = roots(sink)[-1]["result"]
    assert (last["close_reason"], last["shutdown_reason"]) == ("job_shutdown", "done")
    assert [hook["status"] for hook in last["hooks"]] == ["complete", "complete"]


@pytest.mark.parametrize("name", ["watch", "_on_done", "may_follow"])
async def test_a_failure_of_ours_is_not_the_closings(name: str, sink: Recorder) -> None:
    job, caller = Job(), person("anna")
    with broken(getattr(Closing, name)), job.running():
        session = await stubborn(room=job.room, room_options=LINKED)
        if name == "may_follow":
            failed = llm.LLMError(
                timestamp=0.0, label="llm", error=ValueError("gone"), recoverable=False
            )
            session.emit("error", ErrorEvent(error=failed, source=session.llm))
        job.joins(caller)
        await asyncio.sleep(0)
        job.leaves(caller, rtc.DisconnectReason.CLIENT_INITIATED)
        await it_fails(session)
        await job.end("done")
    assert guard.failures
    assert roots(sink)[0]["result"]["shutdown_reason"] == "done"


# The process goes


PROGRAM = """
import asyncio, sys
sys.path[:0] = {path!r}
from record.session.test_closing import stubborn, willing
from support.job import LINKED, Job

async def script():
    session = await stubborn()
    await asyncio.sleep(0.3)  # more than the journal's flush interval
    await session.aclose()

async def job():
    job = Job()
    with job.running():
        await stubborn()
        await asyncio.sleep(0.3)
        await job.end("never told")

async def callback():
    async def fails():
        raise RuntimeError("the program's own callback")

    job = Job()
    with job.running() as context:
        context.add_shutdown_callback(fails)
        await willing()
        await asyncio.sleep(0.3)
        await job.end("the shop closes")

asyncio.run({way}())
"""


@pytest.mark.parametrize(
    ("way", "close_reason", "shutdown_reason"),
    [
        ("script", "broken_off", None),
        # LiveKit calls no shutdown callback then (ipc/job_proc_lazy_main.py).
        ("job", "broken_off", None),
        # ... and waits for no other callback when one of them raises.
        ("callback", "user_initiated", "the shop closes"),
    ],
)
def test_the_process_exits(
    way: str, close_reason: str, shutdown_reason: str | None, tmp_path: Path
) -> None:
    journal, said = run_to_its_end(PROGRAM, tmp_path / "exit.db", 1, way=way)
    assert "RuntimeError" in said
    spans = journal.call(journal.find())
    root = spans[0]
    assert (root.status, root.result["close_reason"]) == ("complete", close_reason)
    assert root.result.get("shutdown_reason") == shutdown_reason
    assert "tracer_failures" not in root.result
    assert not [span for span in spans if span.status == "active"]
    assert digest_of(journal, journal.find()).summary.status == "complete"


async def test_a_failure_of_ours_is_not_the_processes(sink: Recorder) -> None:
    session = await willing()
    with broken(RecordedJob.process_ends):
        tracer._on_exit()
    assert guard.failures["job.exit"]
    assert roots(sink)[0]["status"] == "active"
    tracer._on_exit()
    assert roots(sink)[0]["status"] == "active", "nobody has closed it"
    await session.aclose()
    check(sink, failures=["job.exit"])
    assert roots(sink)[0]["status"] == "complete"
