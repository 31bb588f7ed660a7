"""What two readings of a track's statistics say of the time between, by hand."""

from __future__ import annotations

from livekit.rtc._proto import stats_pb2 as proto

from prefactor_agent.record.livekit.rtc_stats import (
    Reading,
    buffer_ms,
    concealed_percent,
    lost_of_sent_percent,
    lost_percent,
    ms,
    read,
)


def test_a_track_that_comes_in() -> None:
    one = proto.RtcStats()
    received, inbound = one.inbound_rtp.received, one.inbound_rtp.inbound
    received.packets_received, received.packets_lost, received.jitter = 240, 10, 0.004
    inbound.total_samples_received = 240_000
    inbound.concealed_samples, inbound.silent_concealed_samples = 9_600, 4_800
    inbound.jitter_buffer_delay, inbound.jitter_buffer_emitted_count = 9_600.0, 240_000
    pair = proto.RtcStats()
    pair.candidate_pair.candidate_pair.nominated = True
    pair.candidate_pair.candidate_pair.current_round_trip_time = 0.024
    assert read([one, pair]) == Reading(240, 10, 0.004, 9_600.0, 240_000, 240_000, 4_800, 0.024)


def test_a_track_that_is_sent() -> None:
    sent, reported = proto.RtcStats(), proto.RtcStats()
    sent.outbound_rtp.sent.packets_sent = 250
    reported.remote_inbound_rtp.received.packets_lost = 5
    reported.remote_inbound_rtp.received.jitter = 0.002
    assert read([sent, reported]) == Reading(packets=250, lost=5, jitter_s=0.002)
    assert read([sent]) == Reading(packets=250), "the server has not reported yet"


def test_nothing_has_come_yet() -> None:
    empty = proto.RtcStats()
    empty.inbound_rtp.inbound.jitter_buffer_emitted_count = 0
    nothing = read([empty])
    assert nothing == Reading()
    measures = (lost_percent, lost_of_sent_percent, concealed_percent, buffer_ms)
    assert [measure(None, nothing) for measure in measures] == [None] * 4


def test_the_difference_of_two_readings() -> None:
    before = Reading(240, 10, 0.004, 9_600.0, 240_000, 240_000, 4_800)
    now = Reading(430, 20, 0.010, 24_000.0, 480_000, 480_000, 28_800)
    assert lost_percent(before, now) == 5.0  # 10 of 200
    assert buffer_ms(before, now) == 60.0  # 14,400 s over 240,000 samples
    assert concealed_percent(before, now) == 10.0  # 24,000 of 240,000
    assert lost_of_sent_percent(Reading(100, 1), Reading(300, 6)) == 2.5  # 5 of 200
    assert ms(now.jitter_s) == 10.0
    assert ms(None) is None


def test_the_first_reading_is_of_all_so_far() -> None:
    assert lost_percent(None, Reading(190, 10)) == 5.0
    assert concealed_percent(None, Reading(samples=48_000, concealed=480)) == 1.0


def test_a_packet_that_was_only_late_is_no_loss() -> None:
    assert lost_percent(Reading(100, 3), Reading(300, 1)) == 0.0


def test_a_new_track_counts_from_the_beginning() -> None:
    before, now = Reading(5_000, 10, samples=9_000, concealed=900), Reading(20, 0, samples=960)
    assert lost_percent(before, now) is None
    assert concealed_percent(before, now) is None
