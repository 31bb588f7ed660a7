"""The keys of a telephone (DTMF) that were pressed in a call, by the caller and by the agent.

The room has an event for a key that it receives. For one that the agent sends there is none
(livekit.rtc, ``LocalParticipant.publish_dtmf``), so the method is watched on the participant, as
long as a session is traced in its room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livekit import rtc

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..intercept.watched_methods import Over, WatchedMethod
from ..livekit.rtc_values import local_participant
from ..spans.tree import SpanTree
from .room_events import Handlers

KEPT = 500
RECEIVED = "sip_dtmf_received"
_SENDING = WatchedMethod("publish_dtmf")


class Dtmf:
    """Keeps the keys that were pressed in one session's room."""

    def __init__(self, spans: SpanTree) -> None:
        self._spans = spans
        self._keys: list[JSON] = []
        self._total = 0
        self._agent: rtc.LocalParticipant | None = None
        """The agent in the room, whose keys are noted."""
        self._room: rtc.Room | None = None

    def handlers(self) -> Handlers:
        """The room's events that it listens to, each with its handler."""
        return {"connection_state_changed": self._on_connection, RECEIVED: self.on_received}

    @guarded("dtmf.begin")
    def begin(self, room: rtc.Room) -> None:
        """The session is in this room, which LiveKit connects before or after that."""
        self._room = room
        self._watch_sending()

    @guarded("dtmf.connected")
    def _on_connection(self, _state: Any = None) -> None:
        self._watch_sending()

    def _watch_sending(self) -> None:
        local = local_participant(self._room)
        if local is not self._agent:
            self._let_agent_go()
            if local is not None:
                self._agent = local
                _SENDING.add(local, self._on_sending)

    def let_go(self) -> None:
        """What the agent sends is not noted any more."""
        self._room = None
        self._let_agent_go()

    def _let_agent_go(self) -> None:
        local, self._agent = self._agent, None
        if local is not None:
            _SENDING.remove(local, self._on_sending)

    def result(self) -> JSON:
        """What the session's span says of the keys."""
        more = self._total if self._total > len(self._keys) else None
        return {"dtmf": self._keys[:] or None, "dtmf_total": more}

    @guarded("room.sip_dtmf_received")
    def on_received(self, key: rtc.SipDTMF) -> None:
        """Somebody pressed a key; nobody is named where a server sent it."""
        by = key.participant.identity if key.participant is not None else None
        self._note("received", key.digit, now_ns(), by=by or None)

    @guarded("room.publish_dtmf")
    def _on_sending(self, sent: Mapping[str, Any]) -> Over:
        """The agent sends a key."""
        at, digit = now_ns(), str(sent.get("digit"))

        @guarded("room.publish_dtmf")
        def over(_answer: Any, error: BaseException | None) -> None:
            self._note("sent", digit, at, failed=error is not None)

        return over

    def _note(
        self, direction: str, digit: str, at: int, *, by: str | None = None, failed: bool = False
    ) -> None:
        self._total += 1
        if len(self._keys) < KEPT:
            self._keys.append(
                without_none(
                    {
                        "at_us": self._spans.offset_us(at),
                        "direction": direction,
                        "digit": None if self._spans.hidden else digit,
                        "participant": by,
                        "failed": failed or None,
                    }
                )
            )
