"""The room of a session: what is followed of it; also where there is a room and no job."""

from __future__ import annotations

from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, JobContext

from ...conversation import hung_up_by
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..audio.user_voice import UserVoice
from ..livekit.rtc_values import text
from ..turns.state import Scope
from .connection import Connection
from .dtmf import Dtmf
from .people import People
from .room_events import RoomEvents
from .rpc import Rpc
from .sound_quality import SoundQuality
from .tracks import Tracks


class Room:
    """What is known of a session's room, from the moment that its trace begins."""

    def __init__(
        self,
        scope: Scope,
        session: AgentSession[Any],
        context: JobContext | None,
        voice: UserVoice,
    ) -> None:
        self._voice = voice
        self._room: rtc.Room | None = None
        spans = scope.spans
        self._people = People(scope)
        self._connection = Connection(spans)
        self._tracks = Tracks(scope)
        self._dtmf = Dtmf(spans)
        self._rpc = Rpc(scope)
        self._sound = SoundQuality(scope)
        parts = (
            self._people,
            self._connection,
            self._tracks,
            self._dtmf,
            self._rpc,
            self._sound,
        )
        self._events = RoomEvents(part.handlers() for part in parts)
        self._follow(session, context)

    def payload(self) -> JSON:
        """What the session's span says of it from the beginning."""
        payload: JSON = {}
        if (room := self._room) is not None:
            payload["room"] = without_none(
                {
                    "name": text(getattr(room, "name", None)),
                    "metadata": text(getattr(room, "metadata", None)),
                }
            )
        return {**payload, **self._people.payload()}

    def result(self) -> JSON:
        """What is known of it at the end."""
        return {
            **self._people.result(),
            **self._dtmf.result(),
            **self._connection.result(),
            **self._tracks.result(),
            **self._rpc.result(),
            "first_frame_delay_ms": self._first_frame_delay_ms(),
        }

    def sound(self) -> JSON | None:
        """How the sound of both sides travelled. Called off the event loop."""
        return self._sound.result()

    def hung_up_by(self, closed_us: int) -> str | None:
        """Who ended the call of a session that was closed at this moment; ``None``: it is not
        known, or nobody was there."""
        if self._people.linked is None:
            return None
        return hung_up_by(self._people.departure(), self._connection.departure(), closed_us)

    def let_go(self) -> None:
        """What happens in it is not followed further."""
        self._room = None
        self._events.let_go()
        self._people.let_go()
        self._dtmf.let_go()
        self._rpc.let_go()
        self._sound.let_go()

    @guarded("room.follow")
    def _follow(self, session: AgentSession[Any], context: JobContext | None) -> None:
        room = room_of(session, context)
        if room is None:
            return
        self._room = room
        self._dtmf.begin(room)
        self._people.begin(room, session)
        self._connection.begin(room)
        self._tracks.begin(room)
        self._rpc.begin(room)
        self._sound.begin(room)
        self._events.follow(room)

    def _first_frame_delay_ms(self) -> float | None:
        """From the moment at which LiveKit was seen to listen to the caller to the first audio of
        theirs that came through the node."""
        linked, first = self._people.linked_ns, self._voice.first_arrived_ns
        if linked is None or first is None:
            return None
        return round(max(0, first - linked) / 1e6, 3)


def room_of(session: AgentSession[Any], context: JobContext | None) -> Any:
    """The room that a session is in; ``None``: it is in none."""
    try:
        return session.room_io.room
    except RuntimeError:  # a session without a room of its own
        return context.room if context is not None else None
