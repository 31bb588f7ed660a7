"""The agent's connection to the room: its states, its reconnects, and who ended the call."""

from __future__ import annotations

from livekit import rtc

from support.job import person
from support.room import CONNECTED, DISCONNECTED, RECONNECTING, RoomCall, root
from support.tree import Recorder, check


async def test_states_are_noted_once_and_reconnects_are_counted(sink: Recorder) -> None:
    call = RoomCall()
    await call.start()
    call.state(CONNECTED)
    call.state(RECONNECTING)
    call.room.emit("reconnecting")
    call.state(CONNECTED)
    call.room.emit("reconnected")
    call.room.emit("reconnecting")  # a version that reports no change of state
    call.room.emit("reconnected")
    call.state(DISCONNECTED)
    call.room.emit("disconnected", rtc.DisconnectReason.SERVER_SHUTDOWN)
    await call.over()
    check(sink)
    result = root(sink)["result"]
    changes = result["connection"]
    assert [change["state"] for change in changes] == [
        "connected",
        "reconnecting",
        "connected",
        "reconnecting",
        "connected",
        "disconnected",
    ]
    assert changes[-1]["reason"] == "server_shutdown"
    assert [change["at_us"] for change in changes] == sorted(c["at_us"] for c in changes)
    assert result["reconnects"] == 2
    assert result["room_disconnect_reason"] == "server_shutdown"


async def test_a_call_without_a_connection_says_nothing_of_one(sink: Recorder) -> None:
    call = RoomCall()
    await call.start()
    await call.over()
    told = {"connection", "reconnects", "tracks", "rpc_total", "sip", "hung_up_by"}
    assert not told & {*root(sink)["result"]}


async def test_who_hung_up(sink: Recorder) -> None:
    anna = person("anna")
    call = RoomCall()
    call.job.joins(anna)
    await call.start(own_room=False)
    call.job.leaves(anna, rtc.DisconnectReason.CLIENT_INITIATED)
    await call.over()
    assert root(sink)["result"]["hung_up_by"] == "caller"


async def test_the_agent_hung_up(sink: Recorder) -> None:
    anna = person("anna")
    call = RoomCall()
    call.job.joins(anna)
    await call.start(own_room=False)
    await call.session.aclose()
    call.job.leaves(anna, rtc.DisconnectReason.CLIENT_INITIATED)
    await call.over()
    assert root(sink)["result"]["hung_up_by"] == "agent"
