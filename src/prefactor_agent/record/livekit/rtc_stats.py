"""What WebRTC's statistics of a track say of its sound (livekit.rtc, ``Track.get_stats``, which
asks the engine in this process and sends nothing).

Counters go on counting over the whole life of a track: what happened in a stretch of time is the
difference of two readings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ...core.json import JSON


class Reading(NamedTuple):
    """One set of statistics, of a track that comes in or of one that is sent."""

    packets: int | None = None
    """Received, or sent."""
    lost: int | None = None
    """Of a track that is sent: as the LiveKit server reports it."""
    jitter_s: float | None = None
    """Between the packets, lately; of a track that is sent, as the server reports it."""
    buffered_s: float | None = None
    """Seconds that all samples together have waited in the jitter buffer."""
    emitted: int = 0
    """How many samples that were."""
    samples: int = 0
    """Samples that were played, those that were made up among them."""
    concealed: int = 0
    """Samples that were made up because theirs were missing; without those made up in silence."""
    round_trip_s: float | None = None
    """To the LiveKit server and back."""


def read(stats: Iterable[Any]) -> Reading:
    """The reading in a track's statistics (``livekit.rtc``'s ``RtcStats`` messages)."""
    found: JSON = {}
    for one in stats:
        kind = one.WhichOneof("stats")
        if kind == "inbound_rtp":
            found |= _inbound(one.inbound_rtp)
        elif kind == "outbound_rtp":
            found["packets"] = one.outbound_rtp.sent.packets_sent
        elif kind == "remote_inbound_rtp":
            received = one.remote_inbound_rtp.received
            found |= {"lost": received.packets_lost, "jitter_s": received.jitter}
        elif kind == "candidate_pair" and one.candidate_pair.candidate_pair.nominated:
            # Zero until the first connectivity check has been answered.
            trip = one.candidate_pair.candidate_pair.current_round_trip_time
            if trip:
                found["round_trip_s"] = trip
    return Reading(**found)


def _inbound(stream: Any) -> JSON:
    received, inbound = stream.received, stream.inbound
    found: JSON = {}
    if received.packets_received:
        found = {
            "packets": received.packets_received,
            "lost": received.packets_lost,
            "jitter_s": received.jitter,
            "samples": inbound.total_samples_received,
            "concealed": inbound.concealed_samples - inbound.silent_concealed_samples,
        }
    if inbound.jitter_buffer_emitted_count:
        found |= {
            "buffered_s": inbound.jitter_buffer_delay,
            "emitted": inbound.jitter_buffer_emitted_count,
        }
    return found


def buffer_ms(before: Reading | None, now: Reading) -> float | None:
    """How long the samples of the time between two readings waited in the jitter buffer, on
    average."""
    if now.buffered_s is None:
        return None
    before = before if before is not None and before.buffered_s is not None else Reading()
    emitted, seconds = now.emitted - before.emitted, now.buffered_s - (before.buffered_s or 0.0)
    return round(seconds / emitted * 1000, 3) if emitted > 0 and seconds >= 0 else None


def lost_percent(before: Reading | None, now: Reading) -> float | None:
    """Which share of the packets of the time between two readings was lost."""
    before = before or Reading()
    if now.packets is None or now.lost is None:
        return None
    came, lost = now.packets - (before.packets or 0), now.lost - (before.lost or 0)
    # A packet that was counted as lost can come late: then there are fewer than before.
    return round(max(lost, 0) * 100 / (came + max(lost, 0)), 2) if came > 0 else None


def lost_of_sent_percent(before: Reading | None, now: Reading) -> float | None:
    """The same, of a track that is sent: what is lost was sent before. Its first report is of all
    so far."""
    before = before if before is not None and before.lost is not None else Reading()
    if now.packets is None or now.lost is None:
        return None
    sent, lost = now.packets - (before.packets or 0), now.lost - (before.lost or 0)
    return round(min(max(lost, 0) / sent, 1.0) * 100, 2) if sent > 0 else None


def concealed_percent(before: Reading | None, now: Reading) -> float | None:
    """Which share of the sound of the time between two readings was made up."""
    before = before or Reading()
    samples, concealed = now.samples - before.samples, now.concealed - before.concealed
    return round(concealed * 100 / samples, 2) if samples > 0 and concealed >= 0 else None


def ms(seconds: float | None) -> float | None:
    """A measurement of seconds in milliseconds."""
    return round(seconds * 1000, 3) if seconds is not None else None
