"""What the network adds to the silence, as the agent's side of WebRTC measures it.

The nodes see a caller's sound only after it has crossed the network and waited in the jitter
buffer; both are in the statistics of the caller's track. They are recorded beside the latency of a
turn and are never part of it: what lies between the caller and the LiveKit server is not among
them, and neither is the jitter buffer at the caller's end."""

from __future__ import annotations

import asyncio

from livekit import rtc

from ...core.guard import guarded, report
from ...core.json import without_none
from ..livekit.rtc_stats import Reading, buffer_ms, ms, read
from ..livekit.rtc_values import linked_participant, microphone_of
from ..turns.state import Scope
from ..turns.turn import UserTurn

_TIMEOUT_S = 2.0


def estimate(before: Reading | None, now: Reading) -> dict[str, float]:
    """What the time between two readings says of the network's part, in milliseconds."""
    half = ms(now.round_trip_s / 2) if now.round_trip_s is not None else None
    return without_none({"jitter_buffer_ms": buffer_ms(before, now), "half_round_trip_ms": half})


class Network:
    """Takes a reading for each turn of one session."""

    def __init__(self, scope: Scope) -> None:
        self._state = scope.state
        self._last: Reading | None = None
        self._asking: asyncio.Task[None] | None = None

    @guarded("network.committed")
    def committed(self, turn: UserTurn) -> None:
        """The user has spoken: see what the network did to it meanwhile."""
        track = self._track()
        if track is None or self._asking is not None:
            return
        self._asking = asyncio.create_task(self._ask(track, turn), name="prefactor-network")
        self._asking.add_done_callback(self._asked)

    def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def _track(self) -> rtc.RemoteAudioTrack | None:
        """The microphone of whom the agent listens to; ``None`` without a room."""
        session = self._state.session
        track = microphone_of(linked_participant(session)) if session is not None else None
        return track if isinstance(track, rtc.RemoteAudioTrack) else None

    async def _ask(self, track: rtc.RemoteAudioTrack, turn: UserTurn) -> None:
        try:
            stats = await asyncio.wait_for(track.get_stats(), _TIMEOUT_S)
            reading = read(stats)
            turn.network = estimate(self._last, reading)
            self._last = reading
        except Exception as error:
            report("network", error, self)

    def _asked(self, _task: asyncio.Task[None]) -> None:
        self._asking = None
