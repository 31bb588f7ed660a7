"""A session inside a job: who and where in its trace, and how it ended."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession, APIConnectionError
from livekit.agents.voice.agent_session import SessionConnectOptions

from prefactor_agent import TracedAgent, config
from prefactor_agent.core import guard
from prefactor_agent.journal.reader import Journal
from prefactor_agent.record.room.connection import Connection
from prefactor_agent.record.room.people import People
from prefactor_agent.record.room.room import Room
from prefactor_agent.record.room.rpc import Rpc
from prefactor_agent.record.room.tracks import Tracks
from prefactor_agent.record.session import job as record_job
from prefactor_agent.tracing import tracer
from prefactor_agent.view.model.digest import digest_of
from support.exits import run_to_its_end
from support.job import LINKED, Job, person
from support.line import NO_RETRIES, until
from support.scripted import ScriptedLLM
from support.seams import broken
from support.tree import JSON, Recorder, check
from support.waiting import PATIENCE

LEFT = rtc.DisconnectReason.CLIENT_INITIATED
DELETED = rtc.DisconnectReason.ROOM_DELETED
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP


class Worker(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="work")


async def call(**options: Any) -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(Worker(), **options)
    await session.run(user_input="hello")
    return session


def root(sink: Recorder) -> JSON:
    return sink.plain(sink.of("livekit:session")[0])


# Who and where


async def test_the_job_and_its_room(sink: Recorder) -> None:
    job = Job(agent_name="shop", metadata='{"shop": 7}', dispatch_id="AD_1")
    with job.running():
        await (await call()).aclose()
        await job.end("done")
    check(sink)
    payload = root(sink)["payload"]
    assert payload["job"] == {
        "id": "AJ_scripted",
        "agent_name": "shop",
        "dispatch_id": "AD_1",
        "metadata": '{"shop": 7}',
    }
    assert payload["worker_id"] == "AW_scripted"
    assert payload["room"] == {"name": "kitchen", "sid": "RM_scripted"}
    assert "participant" not in payload


async def test_several_sessions_in_a_job_are_told_apart(sink: Recorder) -> None:
    job = Job()
    with job.running():
        first = await call()
        second = await call()
        assert [one.payload.get("session_number") for one in sink.of("livekit:session")] == [
            None,
            2,
        ]
        await first.aclose()
        await second.aclose()
        await job.end("done")
    check(sink)
    roots = [sink.plain(span)["result"] for span in sink.of("livekit:session")]
    assert [(one["session_number"], one["sessions_together"]) for one in roots] == [(1, 2), (2, 2)]


async def test_sessions_of_different_jobs_are_not_counted_together(sink: Recorder) -> None:
    for job in (Job(), Job()):
        with job.running():
            await (await call()).aclose()
            await job.end("done")
    check(sink)
    for span in sink.of("livekit:session"):
        told = sink.plain(span)
        assert not {"session_number", "sessions_together"} & {*told["payload"], *told["result"]}


async def test_who_was_there_before(sink: Recorder) -> None:
    job = Job()
    caller = person(
        "anna", name="Anna", kind=SIP, metadata="gold", attributes={"sip.phoneNumber": "+1555"}
    )
    job.joins(caller)
    with job.running():
        await (await call()).aclose()
        await job.end("done")
    check(sink)
    who = {
        "identity": "anna",
        "name": "Anna",
        "sid": "PA_anna",
        "kind": "sip",
        "metadata": "gold",
        "attributes": {"sip.phoneNumber": "+1555"},
    }
    assert root(sink)["payload"]["participant"] == who
    assert root(sink)["result"]["participants"] == [who]


async def test_who_comes_changes_and_goes(sink: Recorder) -> None:
    job = Job()
    caller = person("anna", attributes={"step": "1"})
    with job.running():
        session = await call()
        job.joins(caller)
        await asyncio.sleep(0)
        assert root(sink)["payload"]["participant"]["attributes"] == {"step": "1"}
        caller._info.attributes["step"] = "2"
        job.room.emit("participant_attributes_changed", {"step": "2"}, caller)
        caller._info.metadata = "angry"
        job.room.emit("participant_metadata_changed", caller, "", "angry")
        job.joins(person("watcher", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT))
        job.leaves(caller, LEFT)
        await session.aclose()
        await job.end("done")
    check(sink)
    (anna, watcher) = root(sink)["result"]["participants"]
    assert (anna["kind"], watcher["kind"]) == ("standard", "agent")
    assert [change.get("attributes", change.get("metadata")) for change in anna["changes"]] == [
        {"step": "2"},
        "angry",
    ]
    assert anna["joined_us"] <= anna["changes"][0]["at_us"] <= anna["left_us"]
    assert anna["disconnect_reason"] == "client_initiated"
    assert "left_us" not in watcher
    told = root(sink)["payload"]["participant"]
    assert (told["identity"], told["metadata"]) == ("anna", "angry")
    listeners = [one for each in job.room._events.values() for one in each]
    assert not [one for one in listeners if "prefactor" in getattr(one, "__module__", "")]


async def test_whom_the_session_listens_to(sink: Recorder) -> None:
    """In a room with several people it is the one that LiveKit linked."""
    job = Job()
    job.joins(person("bert"))
    with job.running():
        session = await call(room=job.room, room_options=LINKED)
        assert "participant" not in root(sink)["payload"]
        job.joins(person("anna"))
        await asyncio.sleep(0)
        assert root(sink)["payload"]["participant"]["identity"] == "anna"
        await session.aclose()
        await job.end("done")
    check(sink)
    assert [one["identity"] for one in root(sink)["result"]["participants"]] == ["bert", "anna"]


async def test_without_content_nobody_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "job.db"
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(path))
    config.configure(capture_content=False)
    job = Job()
    job.joins(person("anna", metadata="gold", attributes={"phone": "+1555"}))
    with job.running() as context:
        session = await call()
        context.tagger.fail(reason="anna hung up")
        await session.aclose()
        await job.end("done")
    kept = Journal(path)
    spans = kept.call(kept.find())
    text = json.dumps([[span.payload, span.result] for span in spans])
    assert not [word for word in ("anna", "gold", "+1555", "hung up") if word in text]
    assert json.dumps("done") in text


# How it ends


async def test_the_program_ends_the_job(sink: Recorder) -> None:
    order: list[str] = []

    async def first(reason: str) -> None:
        order.append(f"first: {reason}")

    async def second() -> None:
        order.append("second")

    async def last(reason: str) -> None:
        order.append("last")

    job = Job()
    with job.running() as context:
        context.add_shutdown_callback(first)
        session = await call()
        context.add_shutdown_callback(second)
        context.add_shutdown_callback(last)
        context.shutdown("the caller paid")
        await job.end(job.shutdowns[0])
    check(sink)
    assert order == ["first: the caller paid", "second", "last"]
    assert root(sink)["status"] == "complete"
    result = root(sink)["result"]
    assert result["shutdown_reason"] == "the caller paid"
    assert result["close_reason"] == "user_initiated"
    assert session._started is False


async def test_the_session_says_that_it_closed_while_the_job_goes_on(sink: Recorder) -> None:
    job = Job()
    with job.running():
        await (await call()).aclose()
        waiting = root(sink)
        assert waiting["status"] == "active"
        assert waiting["payload"]["close_reason"] == "user_initiated"
        await asyncio.sleep(0.1)
        await job.end("done")
    check(sink)
    ended = root(sink)
    assert ended["status"] == "complete"
    # It ended when it closed, not when the job did.
    assert ended["finished_us"] / 1e6 == pytest.approx(waiting["payload"]["closed_at"], abs=0.05)


async def test_a_call_is_listed_as_over_while_its_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "job.db"
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(path))
    job = Job()
    with job.running():
        session = await call()
        assert await asyncio.to_thread(tracer.flush, PATIENCE)
        journal = Journal(path)
        assert digest_of(journal, journal.find()).summary.status == "running"
        await session.aclose()
        assert await asyncio.to_thread(tracer.flush, PATIENCE)
        assert digest_of(journal, journal.find()).summary.status == "complete"
        await job.end("done")
    assert digest_of(journal, journal.find()).summary.status == "complete"


async def test_a_job_that_outlives_its_session(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_job, "WAIT_S", 0.05)
    job = Job()
    with job.running():
        await (await call()).aclose()
        async with asyncio.timeout(10):
            await until(lambda: root(sink)["status"] == "complete")
        check(sink)
        assert "shutdown_reason" not in root(sink)["result"]
        await job.end("much later")
    check(sink)
    assert "shutdown_reason" not in root(sink)["result"]


async def test_a_caller_who_was_there_before_the_agent(sink: Recorder) -> None:
    job = Job()
    with job.running():
        session = await call()
        job.finds(person("anna", attributes={"plan": "gold"}))
        async with asyncio.timeout(10):
            await until(lambda: "participant" in root(sink)["payload"])
        await session.aclose()
        await job.end("done")
    check(sink)
    told = root(sink)["payload"]["participant"]
    assert (told["identity"], told["attributes"]) == ("anna", {"plan": "gold"})
    assert [one["identity"] for one in root(sink)["result"]["participants"]] == ["anna"]


async def test_the_caller_leaves(sink: Recorder) -> None:
    job = Job()
    caller = person("anna")
    with job.running():
        session = await call(room=job.room, room_options=LINKED)
        job.joins(caller)
        await asyncio.sleep(0)
        job.leaves(caller, LEFT)
        async with asyncio.timeout(10):
            await until(lambda: "closed_at" in root(sink)["payload"])
        await job.end("room disconnected")
    check(sink)
    assert root(sink)["status"] == "complete"
    result = root(sink)["result"]
    assert result["close_reason"] == "participant_disconnected"
    assert result["participants"][0]["disconnect_reason"] == "client_initiated"
    assert session._started is False


async def test_the_room_is_deleted(sink: Recorder) -> None:
    job = Job()
    caller = person("anna")
    with job.running():
        await call()
        job.joins(caller)
        job.leaves(caller, DELETED)
        job.room.emit("disconnected", DELETED)
        await job.end("room disconnected")
    check(sink)
    assert root(sink)["status"] == "complete"
    result = root(sink)["result"]
    assert result["room_disconnect_reason"] == "room_deleted"
    assert result["shutdown_reason"] == "room disconnected"
    assert result["participants"][0]["disconnect_reason"] == "room_deleted"


async def test_the_session_gives_up(sink: Recorder) -> None:
    job = Job()
    with job.running():
        session: AgentSession[None] = AgentSession(
            llm=ScriptedLLM(*[[APIConnectionError("gone", retryable=False)]] * 2),
            conn_options=SessionConnectOptions(
                llm_conn_options=NO_RETRIES.llm_conn_options, max_unrecoverable_errors=0
            ),
        )
        await session.start(Worker())
        session.generate_reply(user_input="hello")
        async with asyncio.timeout(10):
            await until(lambda: "closed_at" in root(sink)["payload"])
        await job.end("")
    check(sink)
    assert root(sink)["status"] == "failed"
    assert root(sink)["result"]["error"]["message"] == "gone"
    assert root(sink)["result"]["close_reason"] == "error"


async def test_the_entrypoint_raises(sink: Recorder) -> None:
    job = Job()
    with job.running():
        await call()
        await job.end("job crashed")
    check(sink)
    assert root(sink)["status"] == "failed"
    assert root(sink)["result"]["shutdown_reason"] == "job crashed"
    assert root(sink)["result"]["error"]["error_type"] == "JobCrashed"


async def test_a_job_that_ends_before_its_session(sink: Recorder) -> None:
    """Only the first session of a job is closed for it; others close with the callbacks."""
    job = Job()
    with job.running() as context:
        first, second = await call(), await call()
        assert context.primary_session is first
        await job.end("done")
        await second.aclose()
    check(sink)
    roots = [sink.plain(span) for span in sink.of("livekit:session")]
    assert [one["result"]["shutdown_reason"] for one in roots] == ["done", "done"]


@pytest.mark.parametrize(
    "part",
    [
        Room._follow,
        People._on_joined,
        People._relink,
        People._on_left,
        People._on_attributes,
        People._on_metadata,
        Connection.begin,
        Connection._on_disconnected,
        Tracks.begin,
        Rpc.begin,
        record_job.Job.shut_down,
        record_job.Job.result,
    ],
)
async def test_a_failure_of_ours_is_not_the_jobs(part: Any, sink: Recorder) -> None:
    job, caller = Job(), person("anna")
    ended: list[str] = []

    async def last(reason: str) -> None:
        ended.append(reason)

    with broken(part), job.running() as context:
        context.add_shutdown_callback(last)
        await call()
        job.joins(caller)
        await asyncio.sleep(0)
        job.room.emit("participant_attributes_changed", {"step": "2"}, caller)
        job.room.emit("participant_metadata_changed", caller, "", "angry")
        job.leaves(caller, LEFT)
        job.room.emit("disconnected", DELETED)
        await job.end("done")
    assert ended == ["done"]
    assert guard.failures


# The process goes


PROGRAM = """
import asyncio, os, sys
sys.path[:0] = {path!r}
from livekit.agents import AgentSession
from prefactor_agent import TracedAgent
from prefactor_agent.tracing import tracer
from support.job import LINKED, Job
from support.scripted import ScriptedLLM
from support.seams import broken

async def main():
    with Job().running():
        session = AgentSession(llm=ScriptedLLM("Hi."))
        await session.start(TracedAgent(instructions="work"))
        await session.run(user_input="hello")
        assert await asyncio.to_thread(tracer.flush, 60)
        {end}

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["sys.exit(3)", "os._exit(3)"])
def test_the_process_exits_without_closing(end: str, tmp_path: Path) -> None:
    journal, _ = run_to_its_end(PROGRAM, tmp_path / "exit.db", 3, end=end)
    (session, *spans) = journal.call(journal.find())
    assert session.type == "livekit:session"
    # Nobody said how it ended, so nothing is said; what had ended has its status.
    assert session.status == "active"
    assert {span.type.removeprefix("livekit:") for span in spans} == {
        "user_turn",
        "assistant_turn",
        "llm",
        "transcription",
    }
    assert {span.status for span in spans} == {"complete"}


async def test_a_console_call_ends_at_once(sink: Recorder) -> None:
    job = Job(fake=True)
    with job.running():
        await (await call()).aclose()
        check(sink)
        await job.end("done")
    assert root(sink)["status"] == "complete"
