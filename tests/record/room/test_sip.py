"""A telephone call: trunk, ids, status and numbers, and what is content of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from livekit import rtc

from prefactor_agent.config import Settings
from prefactor_agent.record.room.sip import Sip
from prefactor_agent.redact import Redactor
from support.job import person
from support.room import RoomCall, root
from support.tree import Recorder, check

ATTRIBUTES = {
    "sip.callID": "SCL_1",
    "sip.trunkID": "ST_1",
    "sip.callStatus": "dialing",
    "sip.phoneNumber": "+15550100",
    "sip.trunkPhoneNumber": "+15550199",
}


async def test_a_call_over_sip(sink: Recorder) -> None:
    anna = person("anna", kind=rtc.ParticipantKind.PARTICIPANT_KIND_SIP, attributes=ATTRIBUTES)
    call = RoomCall()
    call.job.joins(anna)
    await call.start()
    for status in ("ringing", "active", "active", "hangup"):
        anna._info.attributes["sip.callStatus"] = status
        call.room.emit("participant_attributes_changed", {"sip.callStatus": status}, anna)
    await call.over()
    check(sink)
    sip = root(sink)["result"]["sip"]
    statuses = sip.pop("statuses")
    assert [one["status"] for one in statuses] == ["dialing", "ringing", "active", "hangup"]
    assert [one["at_us"] for one in statuses] == sorted(one["at_us"] for one in statuses)
    assert sip == {
        "call_id": "SCL_1",
        "trunk_id": "ST_1",
        "call_status": "hangup",
        "phone_number": "+15550100",
        "trunk_phone_number": "+15550199",
    }


async def test_numbers_are_content(sink: Recorder) -> None:
    anna = person("anna", attributes=ATTRIBUTES)
    call = RoomCall()
    call.job.joins(anna)
    await call.start()
    await call.over()
    told = root(sink)["result"]
    redactor = Redactor(Settings(journal=Path("unused"), capture_content=False), frozenset)
    clean: Any = redactor.value(told, "livekit:session", is_result=True)
    assert (clean["sip"]["trunk_id"], clean["sip"]["call_status"]) == ("ST_1", "dialing")
    assert clean["sip"]["statuses"] == told["sip"]["statuses"]
    assert "+1555" not in json.dumps(clean)
    hiding = Redactor(Settings(journal=Path("unused"), redact_patterns=(r"\+1555\d+",)), frozenset)
    hidden: Any = hiding.value(told, "livekit:session", is_result=True)
    assert hidden["sip"]["phone_number"] == "[redacted]"
    assert "+1555" not in json.dumps(hidden)


def test_somebody_without_a_telephone_has_no_call() -> None:
    sip = Sip()
    sip.note("anna", None, 0)
    sip.note("anna", {"step": "1"}, 1)
    assert sip.result({"anna": {"attributes": {"step": "1"}}}, "anna") is None


def test_the_call_is_that_of_whom_the_session_listens_to() -> None:
    sip = Sip()
    people: dict[str, Any] = {
        name: {"attributes": {"sip.callStatus": "active", "sip.callID": name}}
        for name in ("bert", "anna")
    }
    for at, (name, one) in enumerate(people.items()):
        sip.note(name, one["attributes"], at)
    assert (sip.result(people, "anna") or {})["call_id"] == "anna"
    assert (sip.result(people, None) or {})["call_id"] == "bert"
