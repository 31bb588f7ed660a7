"""The keys of a telephone: who pressed which, when, is in the trace of the call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from livekit import rtc
from livekit.agents import AgentSession
from livekit.rtc._proto import participant_pb2 as proto

from prefactor_agent import TracedAgent
from prefactor_agent.config import Settings
from prefactor_agent.record.room import dtmf
from prefactor_agent.redact import Redactor
from support.job import LINKED, Job, person
from support.tree import JSON, Recorder


class Telephone(rtc.LocalParticipant):
    """The agent in a room that is not connected: what it sends is kept here."""

    def __init__(self) -> None:
        info = proto.ParticipantInfo(sid="PA_agent", identity="agent", kind_details=[])
        owned = proto.OwnedParticipant(info=info)
        owned.handle.id = 0
        super().__init__(cast(Any, None), owned)
        self.sent: list[str] = []

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        if digit == "#":
            raise rtc.participant.PublishDTMFError("no line")
        self.sent.append(digit)


class Menu(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="x")


class Call:
    """A session in a room with a caller and an agent who can send keys."""

    def __init__(self, job: Job | None = None) -> None:
        # Some versions of LiveKit allow only one session with a room of its own.
        self._room: Any = {} if job is not None else {"room_options": LINKED}
        self.job = job or Job()
        self.telephone = Telephone()
        if job is None:
            self.job.room._local_participant = self.telephone
        self.session: AgentSession[None] = AgentSession()

    async def start(self) -> None:
        if self._room:
            self._room["room"] = self.job.room
        with self.job.running():
            await self.session.start(Menu(), **self._room)

    def receives(self, digit: str, by: str | None = "anna") -> None:
        who = self.job.room.remote_participants[by] if by is not None else None
        self.job.room.emit(
            dtmf.RECEIVED, rtc.SipDTMF(code=0, digit=digit, participant=cast(Any, who))
        )

    async def over(self) -> None:
        await self.session.aclose()
        await self.job.end("done")


def keys(sink: Recorder) -> list[JSON]:
    (root,) = (sink.plain(span) for span in sink.of("livekit:session"))
    found: list[JSON] = root["result"]["dtmf"]
    return found


async def test_keys_of_both_sides_are_moments_of_the_call(sink: Recorder) -> None:
    call = Call()
    call.job.joins(person("anna", kind=rtc.ParticipantKind.PARTICIPANT_KIND_SIP))
    await call.start()
    call.receives("7")
    await call.telephone.publish_dtmf(code=9, digit="9")
    call.receives("*", by=None)
    await call.over()
    assert call.telephone.sent == ["9"]
    first, second, third = keys(sink)
    assert [first.pop("at_us") <= second.pop("at_us") <= third.pop("at_us")] == [True]
    assert first == {"direction": "received", "digit": "7", "participant": "anna"}
    assert second == {"direction": "sent", "digit": "9"}
    assert third == {"direction": "received", "digit": "*"}


async def test_a_key_that_could_not_be_sent_says_so(sink: Recorder) -> None:
    call = Call()
    await call.start()
    with pytest.raises(rtc.participant.PublishDTMFError, match="no line"):
        await call.telephone.publish_dtmf(code=11, digit="#")
    await call.over()
    (key,) = keys(sink)
    assert (key["digit"], key["failed"]) == ("#", True)


async def test_the_room_is_connected_after_the_session_has_started(sink: Recorder) -> None:
    call = Call()
    call.job.room._local_participant = None
    await call.start()
    call.job.room._local_participant = call.telephone
    call.job.finds(person("anna"))
    await call.telephone.publish_dtmf(code=1, digit="1")
    await call.over()
    assert [key["digit"] for key in keys(sink)] == ["1"]


async def test_two_sessions_in_a_room_both_hear_of_a_key_and_leave_nothing(sink: Recorder) -> None:
    first = Call()
    second = Call(first.job)
    await first.start()
    await second.start()
    await first.telephone.publish_dtmf(code=1, digit="1")
    await first.session.aclose()
    await second.over()
    roots = [sink.plain(span) for span in sink.of("livekit:session")]
    assert [[key["digit"] for key in one["result"]["dtmf"]] for one in roots] == [["1"], ["1"]]
    assert "publish_dtmf" not in vars(first.telephone)


async def test_a_stand_in_of_the_program_is_left_alone(sink: Recorder) -> None:
    call = Call()
    sent: list[str] = []

    async def publish_dtmf(*, code: int, digit: str) -> None:
        sent.append(digit)

    call.telephone.publish_dtmf = publish_dtmf  # type: ignore[method-assign]
    await call.start()
    assert call.telephone.publish_dtmf is publish_dtmf
    await call.telephone.publish_dtmf(code=1, digit="1")
    await call.over()
    assert call.telephone.publish_dtmf is publish_dtmf
    assert sent == ["1"]


async def test_past_the_bound_keys_are_counted(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dtmf, "KEPT", 2)
    call = Call()
    call.job.joins(person("anna"))
    await call.start()
    for digit in "123":
        call.receives(digit)
    await call.over()
    (root,) = (sink.plain(span) for span in sink.of("livekit:session"))
    assert [key["digit"] for key in root["result"]["dtmf"]] == ["1", "2"]
    assert root["result"]["dtmf_total"] == 3


async def test_without_content_capture_the_digits_are_taken_out(sink: Recorder) -> None:
    call = Call()
    call.job.joins(person("anna"))
    await call.start()
    call.receives("7")
    await call.over()
    (root,) = (sink.plain(span) for span in sink.of("livekit:session"))
    told = root["result"]["dtmf"][0]
    redactor = Redactor(Settings(journal=Path("unused"), capture_content=False), frozenset)
    clean: Any = redactor.value(root["result"], "livekit:session", is_result=True)
    (key,) = clean["dtmf"]
    assert key["at_us"] == told["at_us"]
    assert key["direction"] == "received"
    assert "7" not in json.dumps([key["digit"], key["participant"]])
    assert "anna" not in json.dumps(key)
