"""A whole call from a telephone, over a real server: the connection, the tracks, the keys, the SIP
attributes, a method that is called, and how the sound travelled."""

import asyncio

import pytest
import pytest_asyncio
from livekit import rtc
from samples.offline.phone import Phone

from prefactor_agent.demo.script import WHERE
from support.livekit import Site, Trace, Worker, trace_of

ATTRIBUTES = {
    "sip.callID": "SCL_e2e",
    "sip.trunkID": "ST_e2e",
    "sip.callStatus": "ringing",
    "sip.phoneNumber": "+15550100",
    "sip.trunkPhoneNumber": "+15550199",
}
SAMPLED_S = 11.0
"""Two readings of the statistics, and a little."""
INTERCEPTS = hasattr(rtc.LocalParticipant, "add_rpc_interceptor")


async def ask(phone: Phone, method: str, payload: str) -> str:
    agent = next(iter(phone.room.remote_participants))
    return await phone.room.local_participant.perform_rpc(
        destination_identity=agent, method=method, payload=payload
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trace(site: Site, desk: Worker) -> Trace:
    room = "a telephone"
    phone = await site.phone(room, agent="desk", attributes=ATTRIBUTES, kind="sip")
    async with phone:
        await phone.answered()
        began = asyncio.get_running_loop().time()
        me = phone.room.local_participant
        await me.set_attributes({**ATTRIBUTES, "sip.callStatus": "active"})
        for digit in "42":
            await me.publish_dtmf(code=int(digit), digit=digit)
        assert await ask(phone, "repeat", "hello") == "hello"
        with pytest.raises(rtc.RpcError) as raised:
            await ask(phone, "repeat", "")
        assert (raised.value.code, raised.value.message) == (1600, "nothing to repeat")
        await phone.say(WHERE)
        await phone.answered()
        await asyncio.sleep(max(0.0, began + SAMPLED_S - asyncio.get_running_loop().time()))
    return await asyncio.to_thread(trace_of, desk.journal, room)


def test_the_trace_is_whole(trace: Trace) -> None:
    trace.check_whole()


def test_the_connection_and_who_hung_up(trace: Trace) -> None:
    result = trace.session.result
    assert [change["state"] for change in result["connection"]][:1] == ["connected"]
    assert "reconnects" not in result
    assert result["hung_up_by"] == "caller"


def test_the_telephone_call_is_in_the_session(trace: Trace) -> None:
    assert trace.session.payload["participant"]["kind"] == "sip"
    sip = trace.session.result["sip"]
    assert [one["status"] for one in sip.pop("statuses")] == ["ringing", "active"]
    assert sip == {
        "call_id": "SCL_e2e",
        "trunk_id": "ST_e2e",
        "call_status": "active",
        "phone_number": "+15550100",
        "trunk_phone_number": "+15550199",
    }


def test_the_keys_are_in_the_session(trace: Trace) -> None:
    keys = trace.session.result["dtmf"]
    assert [(key["digit"], key["participant"]) for key in keys] == [
        ("4", "caller"),
        ("2", "caller"),
    ]


def test_the_tracks_of_both_voices(trace: Trace) -> None:
    tracks = trace.session.result["tracks"]
    received, sent = (
        next(track for track in tracks if track["direction"] == direction)
        for direction in ("received", "sent")
    )
    assert (received["participant"], received["source"]) == ("caller", "microphone")
    assert sent["kind"] == "audio"
    assert 0 <= trace.session.result["first_frame_delay_ms"] < 10_000


@pytest.mark.skipif(not INTERCEPTS, reason="livekit.rtc has no interceptors before 1.1")
def test_the_methods_that_were_called(trace: Trace) -> None:
    right, wrong = trace.of("rpc")
    assert (right.payload["direction"], right.payload["method"]) == ("received", "repeat")
    assert right.payload["participant"] == "caller"
    assert (right.result["response"], right.result["response_bytes"]) == ("hello", 5)
    assert (wrong.status, wrong.result["error_code"]) == ("failed", 1600)


def test_how_the_sound_travelled(trace: Trace) -> None:
    """On loopback nothing is lost, and the jitter buffer adds some hundredths of a second."""
    sound = trace.session.result["sound"]
    user, agent = sound["user"], sound["agent"]
    assert len(user["at_us"]) >= 2
    assert all(
        later - at > 4_000_000 for at, later in zip(user["at_us"], user["at_us"][1:], strict=False)
    )
    assert user["packets"] > 100  # in silence few are sent
    assert max(user["lost_percent"]) < 20
    assert all(0 < ms < 1_000 for ms in user["buffer_ms"])
    assert all(0 <= percent <= 100 for percent in user["concealed_percent"])
    assert agent["packets"] > 0
    assert "echo" not in sound
