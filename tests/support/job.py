"""A job of LiveKit's without a worker, and people in its room.

``livekit.agents.testing.fake_job_context`` is younger than the oldest supported version, and nobody
ends its job; this one works on all of them, and ends as the process of a job does
(ipc/job_proc_lazy_main.py): the session is closed, ``on_session_end`` runs, then all shutdown
callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from livekit import rtc
from livekit.agents import JobContext, JobProcess
from livekit.agents.job import (
    JobAcceptArguments,
    JobExecutorType,
    RunningJobInfo,
    _JobContextVar,
)
from livekit.agents.voice.room_io import RoomOptions
from livekit.protocol import agent as agent_proto
from livekit.protocol import models
from livekit.rtc._proto import participant_pb2 as proto

LINKED = RoomOptions(
    participant_identity="anna",
    audio_input=False,
    audio_output=False,
    text_input=False,
    text_output=False,
)
"""A session that is with somebody in the room, and hears and says nothing there."""

TELLS_WHEN_JOINED = hasattr(rtc.Participant, "joined_at")


class Job:
    """The job, its context, and what the context was told."""

    def __init__(self, *, fake: bool = False, room: rtc.Room | None = None, **fields: Any) -> None:
        self.shutdowns: list[str] = []
        """The reasons that ``ctx.shutdown`` was called with."""
        self.room = room or rtc.Room()
        job = agent_proto.Job(
            id="AJ_scripted",
            type=agent_proto.JobType.JT_ROOM,
            room=models.Room(name="kitchen", sid="RM_scripted"),
            **fields,
        )
        info = RunningJobInfo(
            accept_arguments=JobAcceptArguments(identity="agent", name="", metadata=""),
            job=job,
            url="",
            token="",
            worker_id="AW_scripted",
            fake_job=fake,
        )
        self.context = JobContext(
            proc=JobProcess(
                executor_type=JobExecutorType.THREAD, user_arguments=None, http_proxy=None
            ),
            info=info,
            room=self.room,
            on_connect=lambda: None,
            on_shutdown=self.shutdowns.append,
            inference_executor=cast(Any, None),
        )
        # The room is not connected to anything: a session must not try to.
        self.room._local_participant = cast(Any, person("agent"))
        self.context._connected = True

    @contextmanager
    def running(self) -> Iterator[JobContext]:
        """The code inside belongs to the job."""
        token = _JobContextVar.set(self.context)
        try:
            yield self.context
        finally:
            _JobContextVar.reset(token)

    async def end(
        self, reason: str, on_session_end: Callable[[JobContext], Awaitable[None]] | None = None
    ) -> None:
        """End it as the process of a job does."""
        if (session := self.context._primary_agent_session) is not None:
            await session.aclose()
        if on_session_end is not None:
            await on_session_end(self.context)
        callbacks = self.context._shutdown_callbacks
        await asyncio.gather(*(asyncio.create_task(one(reason)) for one in callbacks))

    def finds(self, person: rtc.RemoteParticipant) -> None:
        """The agent comes into a room in which somebody is already."""
        self.room._remote_participants[person.identity] = person
        self.room.emit("connection_state_changed", rtc.ConnectionState.CONN_CONNECTED)

    def connects(self, joined_at: float | None = None) -> None:
        """The agent comes into the room; `joined_at` is what the server says."""
        self.room._local_participant = cast(Any, person("agent", joined_at=joined_at))
        self.room.emit("connection_state_changed", rtc.ConnectionState.CONN_CONNECTED)

    def joins(self, person: rtc.RemoteParticipant) -> None:
        self.room._remote_participants[person.identity] = person
        self.room.emit("participant_connected", person)

    def says(self, person: rtc.RemoteParticipant, **attributes: str) -> None:
        """Somebody's attributes change; a `_` in a name stands for a dot."""
        changed = {name.replace("_", "."): value for name, value in attributes.items()}
        person._info.attributes.update(changed)
        self.room.emit("participant_attributes_changed", changed, person)

    def leaves(self, person: rtc.RemoteParticipant, reason: int) -> None:
        del self.room._remote_participants[person.identity]
        person._info.disconnect_reason = cast(Any, reason)
        self.room.emit("participant_disconnected", person)


def person(
    identity: str,
    *,
    name: str = "",
    kind: int = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    metadata: str = "",
    attributes: dict[str, str] | None = None,
    joined_at: float | None = None,
) -> rtc.RemoteParticipant:
    """Somebody who can be in a room; `joined_at`, in seconds since the Unix epoch, is what the
    server says where livekit.rtc tells it."""
    info = proto.ParticipantInfo(
        sid=f"PA_{identity}",
        identity=identity,
        name=name,
        metadata=metadata,
        attributes=attributes or {},
        kind=cast(Any, kind),
        kind_details=[],
    )
    if joined_at is not None and TELLS_WHEN_JOINED:
        info.joined_at = round(joined_at * 1000)
    return rtc.RemoteParticipant(_owned(info))


def _owned(info: proto.ParticipantInfo) -> proto.OwnedParticipant:
    owned = proto.OwnedParticipant(info=info)
    owned.handle.id = 0
    return owned
