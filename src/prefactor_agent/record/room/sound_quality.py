"""How the sound of both sides travelled: packets lost, jitter, the jitter buffer, sound that was
made up, and what LiveKit calls the quality of the connection.

Every few seconds, while there is a track to ask about, WebRTC's statistics of the caller's and of
the agent's track are read (about 0.2 ms of the event loop each; nothing is sent). Readings are kept
as counters, so that any two of them say what happened between: when there are too many, every
second one goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from livekit import rtc

from ...core.clock import now_ns
from ...core.guard import guarded, report
from ...core.json import JSON, without_none
from ..livekit import rtc_stats
from ..livekit.rtc_stats import Reading
from ..livekit.rtc_values import linked_participant, local_participant, microphone_of, word
from ..turns.state import Scope
from .room_events import Handlers

EVERY_S = 5.0
KEPT = 720
"""Readings of each voice: an hour, at first."""
QUALITIES_KEPT = 100
_TIMEOUT_S = 2.0

Readings = list[tuple[int, Reading]]
"""Each with its moment: microseconds of the call."""
Measure = Callable[[Reading | None, Reading], float | None]

_OF_USER: Mapping[str, Measure] = {
    "lost_percent": rtc_stats.lost_percent,
    "jitter_ms": lambda _, now: rtc_stats.ms(now.jitter_s),
    "buffer_ms": rtc_stats.buffer_ms,
    "concealed_percent": rtc_stats.concealed_percent,
}
_OF_AGENT: Mapping[str, Measure] = {
    "lost_percent": rtc_stats.lost_of_sent_percent,
    "jitter_ms": lambda _, now: rtc_stats.ms(now.jitter_s),
    "round_trip_ms": lambda _, now: rtc_stats.ms(now.round_trip_s),
}


class SoundQuality:
    """Samples the statistics of one session's two voices."""

    def __init__(self, scope: Scope) -> None:
        self._spans, self._state = scope.spans, scope.state
        self._room: rtc.Room | None = None
        self._readings: dict[str, Readings] = {"user": [], "agent": []}
        self._qualities: list[JSON] = []
        self._every_s = EVERY_S
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None

    def handlers(self) -> Handlers:
        """The room's events that it listens to, each with its handler."""
        return {"connection_quality_changed": self._on_quality}

    @guarded("sound_quality.begin")
    def begin(self, room: rtc.Room) -> None:
        """The session is in this room."""
        if isinstance(room, rtc.Room):  # the console has a stand-in
            self._room = room
            self._wait()

    def let_go(self) -> None:
        """Nothing is read any more."""
        self._room = None
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def result(self) -> JSON | None:
        """What the session's span says of the sound; called off the event loop."""
        voices = {
            "user": samples(self._readings["user"], _OF_USER),
            "agent": samples(self._readings["agent"], _OF_AGENT),
        }
        found = without_none({**voices, "quality": self._qualities or None})
        return found or None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)

    @guarded("sound_quality.look")
    def _look(self) -> None:
        if self._room is None or self._state.closed:
            return
        self._wait()
        session = self._state.session
        user = microphone_of(linked_participant(session)) if session is not None else None
        agent = microphone_of(local_participant(self._room)) if user is not None else None
        if user is not None and self._asking is None:
            self._asking = asyncio.create_task(self._ask(user, agent), name="prefactor-sound")
            self._asking.add_done_callback(self._asked)

    async def _ask(self, user: Any, agent: Any) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                self._keep("user", rtc_stats.read(await user.get_stats()))
                if agent is not None:
                    self._keep("agent", rtc_stats.read(await agent.get_stats()))
        except Exception as error:
            report("sound_quality", error, self)

    def _asked(self, _task: asyncio.Task[None]) -> None:
        self._asking = None

    def _keep(self, voice: str, reading: Reading) -> None:
        readings = self._readings[voice]
        readings.append((self._spans.offset_us(now_ns()), reading))
        if len(readings) >= KEPT:
            self._every_s *= 2
            for each in self._readings.values():
                each[:] = each[1::2]

    @guarded("room.connection_quality_changed")
    def _on_quality(self, participant: Any, quality: Any) -> None:
        name = word(rtc.ConnectionQuality, quality, "QUALITY_")
        session = self._state.session
        linked = linked_participant(session) if session is not None else None
        if isinstance(participant, rtc.LocalParticipant):
            voice = "agent"
        elif linked is not None and participant is linked:
            voice = "user"
        else:
            return
        known = [one for one in self._qualities if one["voice"] == voice]
        if name is None or (known and known[-1]["quality"] == name):
            return
        if len(self._qualities) < QUALITIES_KEPT:
            at = self._spans.offset_us(now_ns())
            self._qualities.append({"at_us": at, "voice": voice, "quality": name})


def samples(readings: Readings, measures: Mapping[str, Measure]) -> JSON | None:
    """What the readings of one voice say, by column: each row is of the time since the row before
    (the first: since the track began).

    Args:
        measures: By the name of a column, what two readings that follow each other say.
    """
    if not readings:
        return None
    rows = list(zip([None, *(one for _, one in readings)], readings, strict=False))
    columns = {
        name: [measure(before, now) for before, (_, now) in rows]
        for name, measure in measures.items()
    }
    known = {name: column for name, column in columns.items() if any(v is not None for v in column)}
    if not known:
        return None
    last = readings[-1][1]
    return without_none(
        {
            "at_us": [at for at, _ in readings],
            **known,
            "packets": last.packets,
            "packets_lost": last.lost,
        }
    )
