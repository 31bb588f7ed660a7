"""What the statistics of a track say of the network, from WebRTC's own messages."""

from __future__ import annotations

from livekit.rtc._proto import stats_pb2 as proto

from prefactor_agent.record.livekit.rtc_stats import Reading as Numbers
from prefactor_agent.record.livekit.rtc_stats import read
from prefactor_agent.record.room.network import estimate


def Reading(buffered: float | None, emitted: int, trip: float | None) -> Numbers:
    return Numbers(buffered_s=buffered, emitted=emitted, round_trip_s=trip)


def inbound(delay: float, emitted: int) -> proto.RtcStats:
    stats = proto.RtcStats()
    stats.inbound_rtp.inbound.jitter_buffer_delay = delay
    stats.inbound_rtp.inbound.jitter_buffer_emitted_count = emitted
    return stats


def pair(round_trip: float, *, nominated: bool = True) -> proto.RtcStats:
    stats = proto.RtcStats()
    stats.candidate_pair.candidate_pair.nominated = nominated
    stats.candidate_pair.candidate_pair.current_round_trip_time = round_trip
    return stats


def test_a_reading_takes_the_pair_in_use():
    stats = [pair(0.5, nominated=False), inbound(480.0, 9_600), pair(0.024)]
    assert read(stats) == Reading(480.0, 9_600, 0.024)


def test_nothing_has_been_received_yet():
    assert read([inbound(0.0, 0), pair(0.0)]) == Reading(None, 0, None)
    assert estimate(None, Reading(None, 0, None)) == {}


def test_the_first_reading_is_of_all_so_far():
    assert estimate(None, Reading(480.0, 9_600, 0.024)) == {
        "jitter_buffer_ms": 50.0,
        "half_round_trip_ms": 12.0,
    }


def test_a_later_reading_is_of_the_time_between():
    before, now = Reading(480.0, 9_600, 0.024), Reading(1_056.0, 19_200, None)
    assert estimate(before, now) == {"jitter_buffer_ms": 60.0}


def test_nothing_came_between_two_readings():
    same = Reading(480.0, 9_600, 0.024)
    assert estimate(same, same) == {"half_round_trip_ms": 12.0}


def test_a_new_track_counts_from_the_beginning():
    assert estimate(Reading(480.0, 9_600, 0.024), Reading(20.0, 960, 0.024)) == {
        "half_round_trip_ms": 12.0
    }
