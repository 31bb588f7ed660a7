"""Who came into the room of a session, and when: the caller's arrival.

The LiveKit server tells when somebody joined (``rtc.Participant.joined_at``, in milliseconds and on
the server's clock; livekit.rtc before 1.1 does not). When the agent itself joined is told in the
same way and is known by its own clock, too, which shows how far the two are apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, JobContext

from ... import conversation
from ...conversation import Arrival
from ...core.clock import from_wall, now_ns
from ...core.guard import guarded
from .room import room_of
from .sip import STATUS

_KEPT = 20
_NO_CALLERS = ("AGENT", "EGRESS", "INGRESS")
"""Kinds of participants that are no people."""
_RULE = "sip.ruleID"
"""The rule by which a call came in: it is empty for a call that the agent made (LiveKit's
documentation, "SIP participant")."""
_DIALING = "dialing"
_ANSWERED = ("active", "automation")


@dataclass(slots=True)
class _Caller:
    joined: int | None
    """As the server tells it."""
    seen: int
    """When the agent saw them first."""
    was_there: bool
    """They were in the room when the agent came, or when its session began."""
    sip: bool = False
    dialed: bool = False
    """The agent called them."""
    answered: int | None = None
    answered_before: bool = False
    """They had answered before the agent saw them."""


class Arrivals:
    """Notes who comes into one session's room. Used on the event loop."""

    def __init__(self) -> None:
        self._came: Callable[[], object] = lambda: None
        self._room: Any = None
        self._callers: dict[str, _Caller] = {}
        self._joined: int | None = None
        """When the agent joined, as the server tells it."""
        self.connected: int | None = None
        """When the agent was seen to be in the room, if that was after the session's start."""
        self._there = 0
        """When the agent was in the room at the latest."""
        self._handlers: dict[str, Callable[..., Any]] = {
            "connection_state_changed": self._on_connection,
            "participant_connected": self._on_joined,
            "participant_attributes_changed": self._on_attributes,
        }

    @property
    def in_room(self) -> bool:
        """Whether the session is in a room at all."""
        return self._room is not None

    @guarded("arrival.follow")
    def follow(
        self, session: AgentSession[Any], context: JobContext | None, came: Callable[[], object]
    ) -> None:
        """Note what is known of the session's room, and what comes to be known.

        Args:
            came: Called when somebody has come.
        """
        if context is not None and context.is_fake_job():
            return  # its room is a stand-in
        if not isinstance(room := room_of(session, context), rtc.Room):
            return
        self._room, self._came = room, came
        if room.isconnected():
            self._there = now_ns()
        self._look(room)
        for event, handler in self._handlers.items():
            room.on(event, handler)  # type: ignore[arg-type]  # a name is a literal there

    def let_go(self) -> None:
        """What happens in the room is not followed further."""
        if (room := self._room) is not None:
            for event, handler in self._handlers.items():
                room.off(event, handler)
            self._handlers.clear()

    def arrival(self, after: int | None, started: int) -> Arrival | None:
        """When the caller came: the one on the telephone, else who came first.

        Args:
            after: A moment at which the agent was certainly not in the room yet.
            started: When the session was started: the beginning, where nobody tells an earlier one
                of a caller who was there before the agent.
        """
        sip = any(caller.sip for caller in self._callers.values())
        apart = self._clocks_apart(after)
        found = (
            _arrival(caller, apart, started)
            for caller in self._callers.values()
            if caller.sip or not sip
        )
        return min((one for one in found if one is not None), key=_moment, default=None)

    def joined(self, after: int | None) -> int | None:
        """When the agent joined the room; ``None``: nobody knows."""
        if self.connected is not None:
            return self.connected
        return self._joined + self._clocks_apart(after) if self._joined is not None else None

    def _clocks_apart(self, after: int | None) -> int:
        if self._joined is None:
            return 0
        return conversation.clocks_apart(self._joined, after, self._there or None)

    @guarded("arrival.connected")
    def _on_connection(self, state: Any = None) -> None:
        if self._room is None or state != rtc.ConnectionState.CONN_CONNECTED:
            return
        if not self._there:
            self._there = self.connected = now_ns()
        self._look(self._room)

    def _look(self, room: rtc.Room) -> None:
        if self._there and self._joined is None:
            self._joined = joined_at(room.local_participant)
        for participant in list(room.remote_participants.values()):
            self._meet(participant, was_there=True)
        self._came()

    @guarded("arrival.joined")
    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        self._meet(participant, was_there=False)
        self._came()

    def _meet(self, participant: rtc.RemoteParticipant, *, was_there: bool) -> None:
        identity = participant.identity
        if identity in self._callers or len(self._callers) >= _KEPT or not _is_caller(participant):
            return
        now, said = now_ns(), participant.attributes
        sip = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        dialed = sip and said.get(STATUS) in (_DIALING, *_ANSWERED) and not said.get(_RULE)
        answered = dialed and said.get(STATUS) in _ANSWERED
        self._callers[identity] = _Caller(
            joined=joined_at(participant),
            seen=now,
            was_there=was_there,
            sip=sip,
            dialed=dialed,
            answered=now if answered and not was_there else None,
            answered_before=answered and was_there,
        )

    @guarded("arrival.attributes")
    def _on_attributes(self, _changed: Any, participant: rtc.Participant) -> None:
        caller = self._callers.get(participant.identity)
        if caller is None or not caller.dialed or caller.answered is not None:
            return
        if participant.attributes.get(STATUS) in _ANSWERED:
            caller.answered = now_ns()
            self._came()


def joined_at(participant: Any) -> int | None:
    """When somebody joined a room, as the server tells it, on the clock of ``now_ns``."""
    joined = getattr(participant, "joined_at", None)
    return from_wall(joined.timestamp()) if isinstance(joined, datetime) else None


def _arrival(caller: _Caller, apart: int, started: int) -> Arrival | None:
    if caller.answered_before:
        return Arrival(started, "session_start")
    if caller.dialed:
        return Arrival(caller.answered, "answered") if caller.answered is not None else None
    if caller.joined is None and caller.was_there:
        return Arrival(started, "session_start")
    return conversation.arrived(caller.joined, caller.seen, apart, "seen")


def _moment(arrival: Arrival) -> int:
    return arrival.at


def _is_caller(participant: rtc.RemoteParticipant) -> bool:
    try:
        kind = rtc.ParticipantKind.Name(participant.kind)
    except (TypeError, ValueError):
        return True
    return not kind.endswith(_NO_CALLERS)
