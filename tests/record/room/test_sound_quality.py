"""The samples of both voices' statistics: when they are taken, and what is told of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from livekit import rtc
from livekit.rtc._proto import stats_pb2 as proto
from livekit.rtc._proto import track_pb2

from prefactor_agent.config import Settings
from prefactor_agent.record.livekit.rtc_stats import Reading
from prefactor_agent.record.room import sound_quality
from prefactor_agent.record.room.sound_quality import _OF_AGENT, _OF_USER, samples
from prefactor_agent.redact import Redactor
from support.job import person
from support.room import RoomCall, root
from support.tree import Recorder, check


def test_a_row_is_of_the_time_since_the_row_before() -> None:
    readings = [
        (5_000_000, Reading(190, 10, 0.002, 9_600.0, 240_000, 240_000, 2_400)),
        (10_000_000, Reading(440, 10, 0.003, 24_000.0, 480_000, 480_000, 2_400)),
    ]
    assert samples(readings, _OF_USER) == {
        "at_us": [5_000_000, 10_000_000],
        "lost_percent": [5.0, 0.0],
        "jitter_ms": [2.0, 3.0],
        "buffer_ms": [40.0, 60.0],
        "concealed_percent": [1.0, 0.0],
        "packets": 440,
        "packets_lost": 10,
    }


def test_what_the_server_has_not_reported_yet_is_null() -> None:
    readings = [
        (5_000_000, Reading(packets=250)),
        (10_000_000, Reading(packets=500, lost=5, jitter_s=0.001, round_trip_s=0.03)),
    ]
    assert samples(readings, _OF_AGENT) == {
        "at_us": [5_000_000, 10_000_000],
        "lost_percent": [None, 1.0],
        "jitter_ms": [None, 1.0],
        "round_trip_ms": [None, 30.0],
        "packets": 500,
        "packets_lost": 5,
    }


def test_nothing_was_measured() -> None:
    assert samples([], _OF_USER) is None
    assert samples([(5_000_000, Reading())], _OF_USER) is None


class Voice(rtc.RemoteAudioTrack):
    """A track that tells these statistics, one packet lost with each."""

    def __init__(self) -> None:
        info = track_pb2.TrackInfo(
            sid="TR_voice",
            name="",
            kind=cast(Any, 1),
            stream_state=cast(Any, 1),
            muted=False,
            remote=True,
        )
        owned = track_pb2.OwnedTrack(info=info)
        owned.handle.id = 0
        super().__init__(owned)
        self.asked = 0

    async def get_stats(self) -> list[proto.RtcStats]:
        self.asked += 1
        one = proto.RtcStats()
        one.inbound_rtp.received.packets_received = 99 * self.asked
        one.inbound_rtp.received.packets_lost = self.asked
        one.inbound_rtp.received.jitter = 0.001
        return [one]


async def sampled(monkeypatch: pytest.MonkeyPatch, *, kept: int = 720) -> tuple[RoomCall, Voice]:
    """A call in which the caller's track was asked a few times."""
    monkeypatch.setattr(sound_quality, "EVERY_S", 0.01)
    monkeypatch.setattr(sound_quality, "KEPT", kept)
    anna, voice = person("anna"), Voice()
    call = RoomCall()
    call.job.joins(anna)
    call.subscribes(anna, "TR_voice")._track = voice
    await call.start()
    await asyncio.sleep(0.05)
    assert voice.asked == 0, "nobody is listened to yet"
    call.session.room_io._participant_available_fut.set_result(anna)
    while voice.asked < 4:
        await asyncio.sleep(0.01)
    call.room.emit("connection_quality_changed", anna, rtc.ConnectionQuality.QUALITY_POOR)
    call.room.emit("connection_quality_changed", anna, rtc.ConnectionQuality.QUALITY_POOR)
    call.room.emit("connection_quality_changed", call.own, rtc.ConnectionQuality.QUALITY_GOOD)
    call.room.emit("connection_quality_changed", person("bert"), rtc.ConnectionQuality.QUALITY_POOR)
    return call, voice


async def test_the_track_is_asked_while_somebody_is_there(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, voice = await sampled(monkeypatch)
    await call.over()
    check(sink)
    asked = voice.asked
    sound = root(sink)["result"]["sound"]
    assert sound["user"]["lost_percent"] == [1.0] * len(sound["user"]["at_us"])
    assert sound["user"]["at_us"] == sorted(sound["user"]["at_us"])
    assert sound["user"]["packets"] == 99 * sound["user"]["packets_lost"]
    assert "agent" not in sound, "the agent has no track"
    assert [(one["voice"], one["quality"]) for one in sound["quality"]] == [
        ("user", "poor"),
        ("agent", "good"),
    ]
    await asyncio.sleep(0.05)
    assert voice.asked == asked, "the call is over"
    redactor = Redactor(Settings(journal=Path("unused"), capture_content=False), frozenset)
    clean: Any = redactor.value({"sound": sound}, "livekit:session", is_result=True)
    assert clean == {"sound": sound}, "none of it is content"


async def test_too_many_readings_are_thinned_and_nothing_is_lost_of_the_sums(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, _ = await sampled(monkeypatch, kept=4)
    await call.over()
    user = root(sink)["result"]["sound"]["user"]
    assert len(user["at_us"]) < 4
    assert user["lost_percent"] == [1.0] * len(user["at_us"])
    assert user["packets_lost"] >= 4


async def test_statistics_that_fail_are_a_failure_of_ours_alone(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_self: Any) -> Any:
        raise RuntimeError("gone")

    monkeypatch.setattr(sound_quality, "EVERY_S", 0.01)
    monkeypatch.setattr(Voice, "get_stats", fails)
    anna, voice = person("anna"), Voice()
    call = RoomCall()
    call.job.joins(anna)
    call.subscribes(anna, "TR_voice")._track = voice
    await call.start()
    call.session.room_io._participant_available_fut.set_result(anna)
    await asyncio.sleep(0.1)
    await call.over()
    check(sink, failures=["sound_quality"])
    assert "sound" not in root(sink)["result"]
