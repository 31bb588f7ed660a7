"""The keys of a telephone (DTMF) that were pressed in a call, by the caller and by the agent.

The room has an event for a key that it receives. For one that the agent sends there is none
(livekit.rtc, ``LocalParticipant.publish_dtmf``), so the method is watched on the participant, as
long as a session is traced in its room."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from livekit import rtc

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..spans.tree import SpanTree

KEPT = 500
RECEIVED = "sip_dtmf_received"
_METHOD = "publish_dtmf"


class Dtmf:
    """Keeps the keys that were pressed in one session's room."""

    def __init__(self, spans: SpanTree) -> None:
        self._spans = spans
        self._keys: list[JSON] = []
        self._total = 0
        self._agent: rtc.LocalParticipant | None = None
        """The agent in the room, whose keys are noted."""

    def watch_sending(self, room: rtc.Room) -> None:
        """Note what the agent sends in this room, from now on. More than once does no harm."""
        local = _local(room)
        if local is not self._agent:
            self.let_go()
            if local is not None:
                self._agent = local
                _Sending.of(local).add(local, self.on_sent)

    def let_go(self) -> None:
        """What the agent sends is not noted any more."""
        local, self._agent = self._agent, None
        if local is not None:
            _Sending.of(local).remove(local, self.on_sent)

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
    def on_sent(self, digit: Any, at: int, failed: bool) -> None:
        """The agent sent a key."""
        self._note("sent", str(digit), at, failed=failed)

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
                        "digit": digit,
                        "participant": by,
                        "failed": failed or None,
                    }
                )
            )


Listener = Callable[[Any, int, bool], object]
"""Told of a key that was sent: the digit, the moment, and whether that failed."""


class _Sending:
    """``publish_dtmf`` of one participant, watched for all sessions in its room."""

    _all: ClassVar[weakref.WeakKeyDictionary[rtc.LocalParticipant, _Sending]] = (
        weakref.WeakKeyDictionary()
    )

    @classmethod
    def of(cls, local: rtc.LocalParticipant) -> _Sending:
        if (known := cls._all.get(local)) is None:
            known = cls._all[local] = cls()
        return known

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._form: Callable[..., Any] | None = None

    def add(self, local: rtc.LocalParticipant, listener: Listener) -> None:
        self._listeners.append(listener)
        # What stands on the instance already is a stand-in of the program's.
        if self._form is None and _METHOD not in vars(local):
            self._form = vars(local)[_METHOD] = _watched(local.publish_dtmf, self._listeners)

    def remove(self, local: rtc.LocalParticipant, listener: Listener) -> None:
        self._listeners.remove(listener)
        if self._listeners or self._form is None:
            return
        if vars(local).get(_METHOD) is self._form:
            del vars(local)[_METHOD]
        self._form = None


def _watched(send: Callable[..., Any], listeners: list[Listener]) -> Callable[..., Any]:
    @functools.wraps(send)
    async def publish_dtmf(*args: Any, **kwargs: Any) -> Any:
        at, failed = now_ns(), True
        try:
            answer = await send(*args, **kwargs)
            failed = False
            return answer
        finally:
            for listener in listeners[:]:
                listener(kwargs.get("digit"), at, failed)

    return publish_dtmf


def _local(room: Any) -> rtc.LocalParticipant | None:
    """The agent itself in a room; ``None``: it is not connected, or the room is a stand-in."""
    try:
        local = room.local_participant
    except Exception:  # livekit.rtc raises a bare Exception before the room is connected
        return None
    return local if isinstance(local, rtc.LocalParticipant) else None
