"""The tracks of a room: those that the agent hears, and those that it publishes."""

from __future__ import annotations

import asyncio

import pytest
from livekit import rtc
from livekit.rtc._proto.track_pb2 import AudioTrackFeature

from prefactor_agent.record.room import tracks
from support.job import person
from support.room import CONNECTED, RoomCall, root
from support.tree import JSON, Recorder, check


def told(sink: Recorder) -> list[JSON]:
    """The tracks, each without its moments, which have to be in order."""
    found = [dict(track) for track in root(sink)["result"]["tracks"]]
    for track in found:
        moments = [
            track.pop(name)
            for name in ("began_us", "subscribed_us", "failed_us", "ended_us")
            if name in track
        ]
        assert moments == sorted(moments)
        track["changes"] = [change["muted"] for change in track.get("changes", [])]
    return found


async def test_the_tracks_of_both_sides(sink: Recorder) -> None:
    anna = person("anna")
    call = RoomCall()
    call.job.joins(anna)
    await call.start()
    voice = call.subscribes(anna, "TR_voice", muted=True)
    call.room.emit("track_unmuted", anna, voice)
    call.room.emit("track_muted", anna, voice)
    call.subscribes(
        anna, "TR_screen", kind=rtc.TrackKind.KIND_VIDEO, source=rtc.TrackSource.SOURCE_SCREENSHARE
    )
    music = call.publishes("TR_music", "background_audio")
    call.room.emit("local_track_unpublished", music)
    call.room.emit("track_unsubscribed", None, voice, anna)
    await call.over()
    check(sink)
    mine, screen, background = told(sink)
    assert mine == {
        "sid": "TR_voice",
        "direction": "received",
        "kind": "audio",
        "source": "microphone",
        "participant": "anna",
        "muted": True,
        "changes": [False, True],
    }
    assert (screen["kind"], screen["source"]) == ("video", "screenshare")
    assert background == {
        "sid": "TR_music",
        "direction": "sent",
        "kind": "audio",
        "source": "microphone",
        "name": "background_audio",
        "changes": [],
    }
    ended = ["ended_us" in track for track in root(sink)["result"]["tracks"]]
    assert ended == [True, False, True]


async def test_a_track_that_could_not_be_subscribed_to(sink: Recorder) -> None:
    anna = person("anna")
    call = RoomCall()
    call.job.joins(anna)
    await call.start()
    call.room.emit("track_subscription_failed", anna, "TR_lost", "no codec")
    await call.over()
    assert told(sink) == [
        {
            "sid": "TR_lost",
            "direction": "received",
            "participant": "anna",
            "error": "no codec",
            "changes": [],
        }
    ]


async def test_a_track_that_was_there_before_is_noted_when_the_room_is_connected(
    sink: Recorder,
) -> None:
    call = RoomCall()
    anna = person("anna")
    call.job.joins(anna)
    call.subscribes(anna, "TR_voice")
    await call.start()
    call.state(CONNECTED)
    await call.over()
    (track,) = root(sink)["result"]["tracks"]
    assert (track["sid"], track["participant"]) == ("TR_voice", "anna")


class Before:
    """What LiveKit's handler of pre-connect audio holds (_pre_connect_audio.py)."""

    def __init__(self, *seconds: float) -> None:
        self.frames = [
            rtc.AudioFrame(bytes(int(48_000 * s)), 24_000, 1, int(24_000 * s)) for s in seconds
        ]


async def test_what_was_said_before_the_agent_was_connected(sink: Recorder) -> None:
    anna = person("anna")
    call = RoomCall()
    call.job.joins(anna)
    await call.start()
    waiting: asyncio.Future[Before] = asyncio.Future()
    handler = type("Handler", (), {"_buffers": {"TR_voice": waiting}})()
    call.session.room_io._pre_connect_audio_handler = handler  # type: ignore[attr-defined]
    call.subscribes(anna, "TR_voice", audio_features=[AudioTrackFeature.TF_PRECONNECT_BUFFER])
    waiting.set_result(Before(0.5, 0.25))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.session.room_io._pre_connect_audio_handler = None  # type: ignore[attr-defined]
    await call.over()
    (track,) = root(sink)["result"]["tracks"]
    assert track["pre_connect"] is True
    assert track["pre_connect_ms"] == 750.0


async def test_past_the_bound_tracks_are_counted(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracks, "KEPT", 1)
    anna = person("anna")
    call = RoomCall()
    call.job.joins(anna)
    await call.start()
    for sid in ("TR_1", "TR_2", "TR_3"):
        call.subscribes(anna, sid)
    await call.over()
    result = root(sink)["result"]
    assert [track["sid"] for track in result["tracks"]] == ["TR_1"]
    assert result["tracks_total"] == 3
