"""What the network adds to the silence, as the agent's side of WebRTC measures it.

The nodes see a caller's sound only after it has crossed the network and waited in the jitter
buffer; both are in the statistics of the caller's track (livekit.rtc, ``Track.get_stats``, which
asks the WebRTC engine in this process and sends nothing). They are recorded beside the latency of a
turn and are never part of it: what lies between the caller and the LiveKit server is not among
them, and neither is the jitter buffer at the caller's end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from livekit import rtc

from ...core.guard import guarded, report
from ...core.json import without_none
from ..turns.state import Scope
from ..turns.turn import UserTurn

_TIMEOUT_S = 2.0


class Reading(NamedTuple):
    """What one set of statistics says. Counters go on counting over the whole call."""

    buffered_s: float | None
    """Seconds that all samples together have waited in the jitter buffer."""
    emitted: int
    """How many samples that were."""
    round_trip_s: float | None
    """To the LiveKit server and back."""


def read(stats: Iterable[Any]) -> Reading:
    """The reading in a track's statistics (``livekit.rtc``'s ``RtcStats`` messages)."""
    buffered, emitted, round_trip = None, 0, None
    for one in stats:
        kind = one.WhichOneof("stats")
        if kind == "inbound_rtp" and one.inbound_rtp.inbound.jitter_buffer_emitted_count:
            buffered = one.inbound_rtp.inbound.jitter_buffer_delay
            emitted = one.inbound_rtp.inbound.jitter_buffer_emitted_count
        elif kind == "candidate_pair" and one.candidate_pair.candidate_pair.nominated:
            # Zero until the first connectivity check has been answered.
            round_trip = one.candidate_pair.candidate_pair.current_round_trip_time or round_trip
    return Reading(buffered, emitted, round_trip)


def estimate(before: Reading | None, now: Reading) -> dict[str, float]:
    """What the time between two readings says of the network's part, in milliseconds."""
    waited = None
    if now.buffered_s is not None:
        known = before is not None and before.buffered_s is not None
        emitted = now.emitted - (before.emitted if known and before else 0)
        seconds = now.buffered_s - ((before.buffered_s or 0.0) if known and before else 0.0)
        if emitted > 0 and seconds >= 0:
            waited = round(seconds / emitted * 1000, 3)
    half = round(now.round_trip_s * 500, 3) if now.round_trip_s is not None else None
    return without_none({"jitter_buffer_ms": waited, "half_round_trip_ms": half})


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
        try:
            person = session.room_io.linked_participant if session is not None else None
        except RuntimeError:  # the session is in no room
            return None
        if person is None:
            return None
        for publication in person.track_publications.values():
            if isinstance(publication.track, rtc.RemoteAudioTrack) and (
                publication.source == rtc.TrackSource.SOURCE_MICROPHONE
            ):
                return publication.track
        return None

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
