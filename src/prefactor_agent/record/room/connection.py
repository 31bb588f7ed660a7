"""The agent's own connection to the room: its changes of state, and why it ended.

LiveKit reports a reconnect twice, by an event of its own and as a change of state
(livekit.rtc, ``Room``); what is known already is not noted again."""

from __future__ import annotations

from typing import Any

from livekit import rtc

from ...conversation import Departure
from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON
from ..livekit.rtc_values import word
from ..spans.tree import SpanTree
from .room_events import Handlers

KEPT = 100
"""Changes that are kept."""
_PREFIX = "CONN_"


class Connection:
    """Keeps the states of one session's connection: ``connected``, ``reconnecting``,
    ``disconnected``."""

    def __init__(self, spans: SpanTree) -> None:
        self._spans = spans
        self._changes: list[JSON] = []
        self._state: str | None = None
        self._reconnects = 0
        self._disconnected_us = 0
        self._left_room: str | None = None

    def handlers(self) -> Handlers:
        """The room's events that it listens to, each with its handler."""
        return {
            "connection_state_changed": self._on_state,
            "reconnecting": self._on_reconnecting,
            "reconnected": self._on_reconnected,
            "disconnected": self._on_disconnected,
        }

    @guarded("connection.begin")
    def begin(self, room: rtc.Room) -> None:
        """The session is in this room; LiveKit connects it before or after that."""
        if room.isconnected() is True:
            self._note(word(rtc.ConnectionState, room.connection_state, _PREFIX))

    def result(self) -> JSON:
        """What the session's span says of it."""
        return {
            "connection": [{**change} for change in self._changes] or None,
            "reconnects": self._reconnects or None,
            "room_disconnect_reason": self._left_room,
        }

    def departure(self) -> Departure | None:
        """When and why the agent left the room; ``None``: it has not."""
        if self._state != "disconnected":
            return None
        return Departure(self._disconnected_us, self._left_room)

    @guarded("room.connection_state_changed")
    def _on_state(self, state: Any) -> None:
        self._note(word(rtc.ConnectionState, state, _PREFIX))

    @guarded("room.reconnecting")
    def _on_reconnecting(self) -> None:
        self._note("reconnecting")

    @guarded("room.reconnected")
    def _on_reconnected(self) -> None:
        self._note("connected")

    @guarded("room.disconnected")
    def _on_disconnected(self, reason: Any = None) -> None:
        self._left_room = word(rtc.DisconnectReason, reason) or self._left_room
        self._note("disconnected")
        if self._changes and self._changes[-1]["state"] == "disconnected" and self._left_room:
            self._changes[-1]["reason"] = self._left_room

    def _note(self, state: str | None) -> None:
        if state is None or state == self._state:
            return
        if self._state == "reconnecting" and state == "connected":
            self._reconnects += 1
        self._state = state
        at = self._spans.offset_us(now_ns())
        if state == "disconnected":
            self._disconnected_us = at
        if len(self._changes) < KEPT:
            self._changes.append({"at_us": at, "state": state})
