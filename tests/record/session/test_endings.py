"""The end of a session, whichever way it comes, and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession, APIConnectionError
from livekit.agents.voice.agent_session import SessionConnectOptions

from prefactor_agent import TracedAgent, config, traced_tool
from prefactor_agent.core import guard
from prefactor_agent.record.recorder import SessionRecorder
from prefactor_agent.tracing import tracer
from support.line import NO_RETRIES, HandSTT, Line, until
from support.scripted import ScriptedLLM, ScriptedTTS, Speaker, Use, Wait
from support.tree import Recorder, check, of, outline


class Worker(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="work")


def trace_of(session: AgentSession[Any]) -> SessionRecorder:
    return tracer._traces[session]


async def closed(sink: Recorder) -> None:
    async with asyncio.timeout(10):
        await until(lambda: sink.spans and not sink.of("livekit:session")[0].open)


# How it ends


async def test_closed_by_the_program(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(Worker())
    await session.run(user_input="hello")
    await session.aclose()
    await session.aclose()
    check(sink)
    (root,) = of(sink, "session")
    assert root["status"] == "complete"
    assert root["result"]["close_reason"] == "user_initiated"
    assert "error" not in root["result"]


async def test_the_trace_ends_in_the_middle_of_a_speech(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["One ", Wait(0.5), "two."]))
    await session.start(Worker())
    speech = session.generate_reply(user_input="hello")
    async with asyncio.timeout(10):
        await until(lambda: sink.of("livekit:llm"))
        tracer.detach(session)
        await speech
    await session.aclose()
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    assert turn["status"] == "cancelled"
    assert turn["result"]["moments_us"]
    assert not guard.failures


@pytest.mark.parametrize("drain", [True, False])
async def test_shut_down(drain: bool, sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(Worker())
    await session.run(user_input="hello")
    session.shutdown(drain=drain)
    await closed(sink)
    await session.aclose()
    check(sink)
    (root,) = of(sink, "session")
    assert (root["status"], root["result"]["close_reason"]) == ("complete", "user_initiated")


async def test_closed_by_an_error(sink: Recorder) -> None:
    failing = ScriptedLLM(*[[APIConnectionError("gone", retryable=False)]] * 2)
    session: AgentSession[None] = AgentSession(
        llm=failing,
        conn_options=SessionConnectOptions(
            llm_conn_options=NO_RETRIES.llm_conn_options, max_unrecoverable_errors=0
        ),
    )
    await session.start(Worker())
    session.generate_reply(user_input="hello")
    await closed(sink)
    await session.aclose()
    check(sink)
    (root,) = of(sink, "session")
    assert root["status"] == "failed"
    assert root["result"]["close_reason"] == "error"
    assert root["result"]["error"] == {"error_type": "APIConnectionError", "message": "gone"}


async def test_the_end_ends_all_that_is_open(sink: Recorder) -> None:
    ears = HandSTT()
    line = Line(
        hears=ears,
        thinks=ScriptedLLM(["It is ", Wait(30), "never"]),
        turn_detection="manual",
    )
    async with line.to(Worker()):
        line.session.generate_reply(user_input="dig")
        await line.says(0.4, then=0)
        ears.starts()
        ears.interim("are you")
        await until(lambda: sink.of("livekit:stt") and sink.of("livekit:llm"))
        assert {span.type for span in sink.spans if span.open} >= {
            "livekit:session",
            "livekit:user_turn",
            "livekit:stt",
            "livekit:assistant_turn",
            "livekit:llm",
        }
        line.session.shutdown(drain=False)
        await closed(sink)
    check(sink)
    (stt,), (model,) = of(sink, "stt"), of(sink, "llm")
    assert (stt["status"], model["status"]) == ("cancelled", "cancelled")
    assert of(sink, "session")[0]["status"] == "complete"


async def test_a_tool_that_is_cancelled(sink: Recorder) -> None:
    class Digger(TracedAgent):
        @traced_tool
        async def dig(self) -> str:
            """Is given up."""
            raise asyncio.CancelledError

    session: AgentSession[None] = AgentSession(llm=ScriptedLLM([Use("dig")], "Well."))
    await session.start(Digger(instructions="dig"))
    async with asyncio.timeout(10):
        await session.generate_reply(user_input="dig")
    await session.aclose()
    check(sink)
    (tool,), (told,) = of(sink, "tool:dig"), of(sink, "tool_result")
    assert (tool["status"], told["status"]) == ("cancelled", "cancelled")
    assert told["result"]["outcome"] == "cancelled"


async def test_the_end_in_the_middle_of_an_answer(sink: Recorder) -> None:
    line = Line(
        thinks=ScriptedLLM(["It is ", "a long ", Wait(30), "answer."]),
        speaks=ScriptedTTS(seconds_per_character=0.1),
    )
    async with line.to(Worker()):
        line.session.generate_reply(instructions="talk")
        await until(lambda: sink.of("livekit:llm") and sink.of("livekit:tts"))
        await asyncio.sleep(0.1)
    check(sink)
    (model,), (turn,) = of(sink, "llm"), of(sink, "assistant_turn")
    assert model["status"] == "cancelled"
    assert model["result"]["text"] == "It is a long "
    assert turn["result"]["interrupted"] is True
    assert turn["result"]["interrupted_by"] == "program"


# What is left


def listeners(emitter: Any) -> int:
    """How many of ours an emitter would call."""
    callbacks = [one for each in emitter._events.values() for one in each]
    return sum(
        str(getattr(one, "__module__", "")).startswith("prefactor_agent") for one in callbacks
    )


async def test_handlers_go_with_the_session(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(tts=ScriptedTTS(seconds_per_character=0.005))
    session.output.audio = speaker = Speaker(speed=4)
    await session.start(Worker())
    assert listeners(session) > 5
    await session.say("hello")
    assert listeners(speaker) > 0
    await session.aclose()
    assert listeners(session) == 0
    assert listeners(speaker) == 0
    check(sink)


async def test_an_output_that_is_exchanged_is_followed(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(tts=ScriptedTTS(seconds_per_character=0.005))
    first, second = Speaker(speed=4), Speaker(speed=4)
    session.output.audio = first
    await session.start(Worker())
    await session.say("hello")
    session.output.audio = second
    await session.say("again")
    assert listeners(first) == 0
    assert listeners(second) > 0
    await session.aclose()
    check(sink)
    assert all("playback_position_s" in turn["result"] for turn in of(sink, "assistant_turn"))


async def test_fifty_calls_leave_nothing(sink: Recorder) -> None:
    async def call(number: int) -> weakref.ref[SessionRecorder]:
        session: AgentSession[None] = AgentSession(llm=ScriptedLLM(f"answer {number}"))
        await session.start(Worker())
        await session.run(user_input=f"question {number}")
        trace = weakref.ref(trace_of(session))
        await session.aclose()
        return trace

    before = set(tracer._running)

    async def forget() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
            gc.collect()

    traces = [await asyncio.create_task(call(number)) for number in range(50)]
    check(sink)
    assert len(sink.of("livekit:session")) == 50
    sink.puts.clear()
    sink._spans.clear()
    sink._chunks.clear()
    await forget()
    assert [trace() for trace in traces if trace() is not None] == []
    assert set(tracer._running) <= before


async def test_an_agent_in_two_sessions_one_after_the_other(sink: Recorder) -> None:
    agent = Worker()
    for word in ("first", "second"):
        session: AgentSession[None] = AgentSession(llm=ScriptedLLM(f"{word} answer"))
        await session.start(agent)
        await session.run(user_input=f"{word} question")
        await session.aclose()
    check(sink)
    assert outline(sink) == [
        line
        for word in ("first", "second")
        for line in (
            "session",
            f"  user_turn: {word} question",
            f"  assistant_turn: {word} answer",
            f"    llm: {word} answer",
            f"    transcription: {word} answer",
        )
    ]


async def test_calls_at_the_same_time_never_mix(sink: Recorder) -> None:
    async def call(name: str) -> None:
        session: AgentSession[None] = AgentSession(
            llm=ScriptedLLM(*([f"{name} ", Wait(0.01), f"says {n}"] for n in range(4)))
        )
        await session.start(Worker())
        for n in range(4):
            await session.run(user_input=f"{name} asks {n}")
        await session.aclose()

    names = ["anna", "bert", "carl"]
    await asyncio.gather(*(call(name) for name in names))
    spans = check(sink)
    roots = [span for span in spans if span["parent_id"] is None]
    assert len(roots) == 3
    starts = [span["started_us"] for span in roots]
    assert max(starts) < min(span["finished_us"] for span in roots), "they ran one by one"
    seen = set()
    for root in roots:
        mine = [span for span in spans if span["session_id"] == root["id"]]
        text = " ".join(row for row in map(str, (span["result"] for span in mine)))
        (name,) = [name for name in names if name in text]
        seen.add(name)
        turns = [span for span in mine if span["type"] == "livekit:assistant_turn"]
        assert [t["result"]["spoken_text"] for t in turns] == [f"{name} says {n}" for n in range(4)]
        indexes = [span["payload"]["turn_index"] for span in mine if span["type"].endswith("turn")]
        assert sorted(indexes) == list(range(1, 9))
    assert seen == set(names)


async def test_a_call_inside_a_tool_of_another_call(sink: Recorder) -> None:
    class Asking(TracedAgent):
        @traced_tool
        async def ask(self) -> str:
            """Asks another agent."""
            inner: AgentSession[None] = AgentSession(llm=ScriptedLLM("inner answer"))
            await inner.start(Worker())
            await inner.run(user_input="inner question")
            await inner.aclose()
            return "asked"

    session: AgentSession[None] = AgentSession(llm=ScriptedLLM([Use("ask")], "outer answer"))
    await session.start(Asking(instructions="ask"))
    await session.run(user_input="outer question")
    await session.aclose()
    check(sink)
    rows = outline(sink)
    assert rows.count("session") == 2
    inner = rows.index("session", 1)
    assert not [row for row in rows[:inner] if "inner" in row]
    assert not [row for row in rows[inner:] if "outer" in row]


# The kill switch


async def started(reply: str = "Hi.") -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(reply))
    await session.start(Worker())
    await session.run(user_input="hello")
    return session


async def test_terminated_without_a_callback(sink: Recorder) -> None:
    session = await started()
    trace = trace_of(session)
    trace.termination.begin("not allowed", None)
    trace.termination.begin("again", None)
    await closed(sink)
    check(sink)
    (root,) = of(sink, "session")
    assert root["status"] == "cancelled"
    assert root["result"]["termination_reason"] == "not allowed"
    trace.termination.begin("too late", None)
    assert root == of(sink, "session")[0]


async def test_terminated_by_a_callback(sink: Recorder) -> None:
    session = await started()
    told: list[Any] = []

    def callback(which: AgentSession[Any], reason: str | None) -> None:
        told.append((which, reason))

    trace_of(session).termination.begin("not allowed", callback)
    await asyncio.sleep(0.05)
    assert told == [(session, "not allowed")]
    assert sink.of("livekit:session")[0].open, "the callback decides"
    await session.aclose()
    check(sink)
    assert of(sink, "session")[0]["result"]["termination_reason"] == "not allowed"


async def test_terminated_by_a_coroutine(sink: Recorder) -> None:
    session = await started()

    async def callback(which: AgentSession[Any], reason: str | None) -> None:
        await which.say("I have to go.")
        await which.aclose()

    trace_of(session).termination.begin(None, callback)
    await closed(sink)
    check(sink)
    (root,) = of(sink, "session")
    assert root["result"]["termination_reason"] == "terminated by Prefactor"
    assert of(sink, "assistant_turn")[-1]["result"]["spoken_text"] == "I have to go."


@pytest.mark.parametrize("late", [False, True])
async def test_a_callback_that_fails_ends_the_call(late: bool, sink: Recorder) -> None:
    session = await started()

    def at_once(which: AgentSession[Any], reason: str | None) -> None:
        raise ValueError("mine")

    async def later(which: AgentSession[Any], reason: str | None) -> None:
        await asyncio.sleep(0.01)
        raise ValueError("mine")

    trace_of(session).termination.begin("not allowed", later if late else at_once)
    await closed(sink)
    check(sink, failures=["on_terminate"])
    assert guard.failures["on_terminate"] == 1
    (root,) = of(sink, "session")
    assert root["status"] == "cancelled"
    assert root["result"]["termination_reason"] == "not allowed"


# In a job


async def test_a_job_is_told_and_its_end_waits_for_the_journal(
    tmp_path: Path, sink: Recorder
) -> None:
    testing = pytest.importorskip("livekit.agents.testing")
    with testing.fake_job_context(room=rtc.Room(), job_id="AJ_1", job_metadata="{}") as context:
        session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
        await session.start(Worker())
        await session.run(user_input="hello")
        await session.aclose()
    check(sink)
    (root,) = of(sink, "session")
    assert root["payload"]["job"]["id"] == "AJ_1"
    assert root["payload"]["room"]["name"] == context.job.room.name
    assert root["payload"]["worker_id"] == context.worker_id


async def test_the_end_of_a_job_flushes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testing = pytest.importorskip("livekit.agents.testing")
    from prefactor_agent.journal.reader import Journal

    path = tmp_path / "job.db"
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(path))
    config.reset()
    callbacks: list[Any] = []
    with testing.fake_job_context(room=rtc.Room()) as context:
        monkeypatch.setattr(context, "add_shutdown_callback", callbacks.append)
        session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
        await session.start(Worker())
        await session.run(user_input="hello")
        await session.aclose()
        (flush,) = [one for one in callbacks if one.__module__ == "prefactor_agent.tracing"]
        await flush()
    journal = Journal(path)
    assert len(journal.sessions()) == 1
    assert [span.status for span in journal.call(journal.find())] == ["complete"] * 5
