"""Who is in the room of a session, whom of them it listens to, and what becomes of them."""

from __future__ import annotations

import asyncio
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession

from ...conversation import Departure
from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..livekit.rtc_values import text, word
from ..turns.state import Scope
from .room_events import Handlers
from .sip import Sip

LINK_S = 0.1
"""How long after a room is connected it is looked whom LiveKit listens to."""
KEPT = 50
CHANGES_KEPT = 50


class People:
    """The participants of one session's room, besides the agent itself."""

    def __init__(self, scope: Scope) -> None:
        self._spans, self._state = scope.spans, scope.state
        self._room: rtc.Room | None = None
        self._people: dict[str, JSON] = {}
        self._sip = Sip()
        self.linked: str | None = None
        """The identity of whom the session listens to."""
        self.linked_ns: int | None = None
        """When LiveKit was first seen to listen to somebody."""

    def handlers(self) -> Handlers:
        """The room's events that it listens to, each with its handler."""
        return {
            "connection_state_changed": self._on_connection,
            "participant_connected": self._on_joined,
            "participant_disconnected": self._on_left,
            "participant_attributes_changed": self._on_attributes,
            "participant_metadata_changed": self._on_metadata,
            "participant_name_changed": self._on_name,
        }

    def begin(self, room: rtc.Room, session: AgentSession[Any]) -> None:
        """The session is in this room."""
        self._room = room
        self._meet_all(room)
        self._link(session)
        self._link_later()

    def let_go(self) -> None:
        """What they do is not followed further."""
        self._room = None

    def payload(self) -> JSON:
        """What the session's span says of them from the beginning."""
        return {"participant": self._person(self.linked)} if self.linked is not None else {}

    def result(self) -> JSON:
        """What is known of them at the end."""
        return {
            "participants": [without_none({**one}) for one in self._people.values()] or None,
            "sip": self._sip.result(self._people, self.linked),
        }

    def departure(self) -> Departure | None:
        """When and why whom the session listens to left; ``None``: they have not, or there is
        nobody."""
        person = self._people.get(self.linked or "", {})
        left = person.get("left_us")
        return Departure(left, person.get("disconnect_reason")) if left is not None else None

    def _meet(self, participant: rtc.RemoteParticipant) -> JSON | None:
        identity = text(participant.identity)
        if identity is None:
            return None
        known = self._people.get(identity)
        if known is None:
            if len(self._people) >= KEPT:
                return None
            known = self._people[identity] = {}
        known |= _described(participant)
        self._sip.note(identity, known["attributes"], self._now_us())
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
            identity = self.linked or next(others, None)
        if identity is None or identity == self.linked:
            return False
        self.linked = identity
        self.linked_ns = self.linked_ns or now_ns()
        return True

    def _record_linked(self) -> None:
        if self.linked is not None:
            self._spans.update(self._spans.root, participant=self._person(self.linked))

    @guarded("room.connection_state_changed")
    def _on_connection(self, _state: Any = None) -> None:
        # There is no event for those who were in the room before the agent.
        if (room := self._room) is not None:
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
            person["disconnect_reason"] = word(rtc.DisconnectReason, participant.disconnect_reason)

    @guarded("room.participant_attributes_changed")
    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        self._note_change(participant, {"attributes": dict(changed)})

    @guarded("room.participant_metadata_changed")
    def _on_metadata(self, participant: rtc.Participant, old: str, new: str) -> None:
        self._note_change(participant, {"metadata": new})

    @guarded("room.participant_name_changed")
    def _on_name(self, participant: rtc.Participant, _old: str, new: str) -> None:
        self._note_change(participant, {"name": new})

    def _note_change(self, participant: rtc.Participant, change: JSON) -> None:
        if not isinstance(participant, rtc.RemoteParticipant):
            return  # the agent's own, which the framework uses for its state
        person = self._meet(participant)
        if person is None:
            return
        changes: list[JSON] = person.setdefault("changes", [])
        if len(changes) < CHANGES_KEPT:
            changes.append({"at_us": self._now_us(), **change})
        if participant.identity == self.linked:
            self._record_linked()

    def _now_us(self) -> int:
        return self._spans.offset_us(now_ns())


def _described(participant: rtc.Participant) -> JSON:
    attributes = participant.attributes
    return {
        "identity": text(participant.identity),
        "name": text(participant.name),
        "sid": text(participant.sid),
        "kind": word(rtc.ParticipantKind, participant.kind, "PARTICIPANT_KIND_"),
        "metadata": text(participant.metadata),
        "attributes": dict(attributes) if isinstance(attributes, dict) and attributes else None,
    }
