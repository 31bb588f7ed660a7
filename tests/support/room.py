"""A room that is connected to nothing, with an agent in it whose tracks, calls and keys a test
makes, and the session that listens there."""

from __future__ import annotations

from typing import Any, cast

from livekit import rtc
from livekit.agents import AgentSession
from livekit.rtc._proto import participant_pb2, track_pb2
from livekit.rtc._proto import room_pb2 as room_proto

from prefactor_agent import TracedAgent

from .job import LINKED, Job
from .tree import JSON, Recorder

MICROPHONE = rtc.TrackSource.SOURCE_MICROPHONE
AUDIO = rtc.TrackKind.KIND_AUDIO


class Guide(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="guide")


class Own(rtc.LocalParticipant):
    """The agent in a room that is not connected; what it asks others is answered here."""

    def __init__(self) -> None:
        info = participant_pb2.ParticipantInfo(sid="PA_agent", identity="agent", kind_details=[])
        owned = participant_pb2.OwnedParticipant(info=info)
        owned.handle.id = 0
        super().__init__(cast(Any, None), owned)


class RoomCall:
    """A session in a room, from its start to the end of its job."""

    def __init__(self, own: rtc.LocalParticipant | None = None) -> None:
        self.job = Job()
        self.room = self.job.room
        self.own = own or Own()
        self.room._local_participant = self.own
        self.session: AgentSession[None] = AgentSession()

    async def start(self, *, own_room: bool = True) -> None:
        """Start the session.

        Args:
            own_room: It is given the room; else it is in the job's, and with whoever came first.
        """
        room: Any = {"room": self.room, "room_options": LINKED} if own_room else {}
        with self.job.running():
            await self.session.start(Guide(), **room)

    async def over(self) -> None:
        await self.session.aclose()
        await self.job.end("done")

    def state(self, state: int) -> None:
        """The connection changes, as livekit.rtc tells it (``Room._on_room_event``)."""
        self.room._connection_state = cast(Any, state)
        self.room.emit("connection_state_changed", state)

    def subscribes(
        self, person: rtc.RemoteParticipant, sid: str, **info: Any
    ) -> rtc.RemoteTrackPublication:
        """A track of somebody's comes in."""
        publication = rtc.RemoteTrackPublication(_owned(sid, **info))
        publication._track = cast(Any, object())
        person._track_publications[sid] = publication
        self.room.emit("track_subscribed", publication._track, publication, person)
        return publication

    def publishes(self, sid: str, name: str) -> rtc.LocalTrackPublication:
        """The agent publishes a track."""
        publication = rtc.LocalTrackPublication(_owned(sid, name=name))
        self.own._track_publications[sid] = publication
        self.room.emit("local_track_published", publication, None)
        return publication


def _owned(sid: str, **info: Any) -> track_pb2.OwnedTrackPublication:
    described = {
        "name": "",
        "kind": AUDIO,
        "source": MICROPHONE,
        "muted": False,
        "audio_features": [],
        **info,
    }
    publication = track_pb2.TrackPublicationInfo(sid=sid, **described)
    owned = track_pb2.OwnedTrackPublication(info=publication)
    owned.handle.id = 0
    return owned


def root(sink: Recorder) -> JSON:
    """The session's span."""
    (span,) = sink.of("livekit:session")
    return sink.plain(span)


CONNECTED = room_proto.ConnectionState.CONN_CONNECTED
RECONNECTING = room_proto.ConnectionState.CONN_RECONNECTING
DISCONNECTED = room_proto.ConnectionState.CONN_DISCONNECTED
