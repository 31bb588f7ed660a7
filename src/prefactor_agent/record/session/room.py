"""The room of a session, and who is in it; also where there is a room and no job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, JobContext

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..turns.state import Scope
from .dtmf import RECEIVED, Dtmf

LINK_S = 0.1
"""How long after a room is connected it is looked whom LiveKit listens to."""
PEOPLE_KEPT = 50
CHANGES_KEPT = 50


class Room:
    """What is known of a session's room, from the moment that its trace begins."""

    def __init__(
        self, scope: Scope, session: AgentSession[Any], context: JobContext | None
    ) -> None:
        self._spans, self._state = scope.spans, scope.state
        self._room: rtc.Room | None = None
        self._people: dict[str, JSON] = {}
        self._linked: str | None = None
        self._left_room: str | None = None
        self._dtmf = Dtmf(scope.spans)
        self._handlers: dict[str, Callable[..., Any]] = {
            "connection_state_changed": self._on_connection,
            "participant_connected": self._on_joined,
            "participant_disconnected": self._on_left,
            "participant_attributes_changed": self._on_attributes,
            "participant_metadata_changed": self._on_metadata,
            "disconnected": self._on_room_left,
            RECEIVED: self._dtmf.on_received,
        }
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
        if self._linked is not None:
            payload["participant"] = self._person(self._linked)
        return payload

    def result(self) -> JSON:
        """What is known of it at the end."""
        people = [without_none({**person}) for person in self._people.values()]
        return {
            "participants": people or None,
            **self._dtmf.result(),
            "room_disconnect_reason": self._left_room,
        }

    def let_go(self) -> None:
        """What happens in it is not followed further."""
        if (room := self._room) is not None:
            self._room = None
            self._dtmf.let_go()
            for event, handler in self._handlers.items():
                room.off(event, handler)  # type: ignore[arg-type]  # a name is a literal there

    @guarded("room.follow")
    def _follow(self, session: AgentSession[Any], context: JobContext | None) -> None:
        try:
            room: Any = session.room_io.room
        except RuntimeError:  # a session without a room of its own
            room = context.room if context is not None else None
        if room is None:
            return
        self._room = room
        self._dtmf.watch_sending(room)
        self._meet_all(room)
        self._link(session)
        self._link_later()
        for event, handler in self._handlers.items():
            room.on(event, handler)

    def _meet(self, participant: rtc.RemoteParticipant) -> JSON | None:
        identity = text(participant.identity)
        if identity is None:
            return None
        known = self._people.get(identity)
        if known is None:
            if len(self._people) >= PEOPLE_KEPT:
                return None
            known = self._people[identity] = {}
        known |= _described(participant)
        return known

    def _person(self, identity: str) -> JSON:
        keys = ("identity", "name", "sid", "kind", "metadata", "attributes")
        person = self._people.get(identity, {})
        return {key: person[key] for key in keys if person.get(key) is not None}

    def _link(self, session: AgentSession[Any] | None) -> bool:
        """Note whom the session listens to. Returns whether that is somebody else now."""
        if session is None:
            return False
        try:
            linked = session.room_io.linked_participant
            identity = text(linked.identity) if linked is not None else None
        except RuntimeError:  # who is linked is not known: the first who came
            others = (one for one, person in self._people.items() if person["kind"] != "agent")
            identity = self._linked or next(others, None)
        if identity is None or identity == self._linked:
            return False
        self._linked = identity
        return True

    def _record_linked(self) -> None:
        if self._linked is not None:
            self._spans.update(self._spans.root, participant=self._person(self._linked))

    @guarded("room.connection_state_changed")
    def _on_connection(self, _state: Any = None) -> None:
        # There is no event for those who were in the room before the agent.
        if (room := self._room) is not None:
            self._dtmf.watch_sending(room)
            self._meet_all(room)
            self._link_later()

    def _meet_all(self, room: rtc.Room) -> None:
        for participant in list(room.remote_participants.values()):
            self._meet(participant)

    def _link_later(self) -> None:
        # LiveKit links in a task of its own, once the room is connected (room_io.py _init_task).
        asyncio.get_running_loop().call_later(LINK_S, self._relink)

    @guarded("room.participant_connected")
    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if (person := self._meet(participant)) is not None:
            person["joined_us"] = self._now_us()
        # Who is linked is decided by LiveKit's own handler (room_io.py), which may come after.
        asyncio.get_running_loop().call_soon(self._relink)

    @guarded("room.link")
    def _relink(self) -> None:
        if self._room is not None and self._link(self._state.session):
            self._record_linked()

    @guarded("room.participant_disconnected")
    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if (person := self._meet(participant)) is not None:
            person["left_us"] = self._now_us()
            person["disconnect_reason"] = disconnect_reason(participant.disconnect_reason)

    @guarded("room.participant_attributes_changed")
    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        self._note_change(participant, {"attributes": dict(changed)})

    @guarded("room.participant_metadata_changed")
    def _on_metadata(self, participant: rtc.Participant, old: str, new: str) -> None:
        self._note_change(participant, {"metadata": new})

    def _note_change(self, participant: rtc.Participant, change: JSON) -> None:
        if not isinstance(participant, rtc.RemoteParticipant):
            return  # the agent's own, which the framework uses for its state
        person = self._meet(participant)
        if person is None:
            return
        changes: list[JSON] = person.setdefault("changes", [])
        if len(changes) < CHANGES_KEPT:
            changes.append({"at_us": self._now_us(), **change})
        if participant.identity == self._linked:
            self._record_linked()

    @guarded("room.disconnected")
    def _on_room_left(self, reason: Any = None) -> None:
        self._left_room = disconnect_reason(reason)

    def _now_us(self) -> int:
        return self._spans.offset_us(now_ns())


def disconnect_reason(reason: Any) -> str | None:
    """LiveKit's word for why somebody left, in lower case: ``client_initiated``, ``room_deleted``
    …"""
    if not isinstance(reason, int):
        return None
    try:
        return rtc.DisconnectReason.Name(reason).lower()  # type: ignore[arg-type]
    except ValueError:
        return None


def _described(participant: rtc.Participant) -> JSON:
    attributes = participant.attributes
    return {
        "identity": text(participant.identity),
        "name": text(participant.name),
        "sid": text(participant.sid),
        "kind": _kind(participant.kind),
        "metadata": text(participant.metadata),
        "attributes": dict(attributes) if isinstance(attributes, dict) and attributes else None,
    }


def _kind(kind: Any) -> str | None:
    if not isinstance(kind, int):
        return None
    try:
        name = rtc.ParticipantKind.Name(kind)  # type: ignore[arg-type]
    except ValueError:
        return None
    return name.removeprefix("PARTICIPANT_KIND_").lower()


def text(value: Any) -> str | None:
    """A text that is there: the console's room has stand-ins in its places."""
    return value if isinstance(value, str) and value else None
