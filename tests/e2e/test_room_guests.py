"""Callers who do more than speak, and less. The four calls are held at the same time."""

import asyncio
import os
import re
import sys
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from samples.offline.phone import Phone

from prefactor_agent.demo.script import CANCEL, GREETING, KETTLE, WHERE
from support.livekit import Site, Trace, Worker, together, trace_of
from support.livekit.worker import ROOT


@dataclass
class Held:
    """One call: what the caller has, and its trace."""

    phone: Phone
    trace: Trace


async def write(site: Site, room: str) -> Phone:
    """No microphone; besides the question, things that are none of the agent's business."""
    async with await site.phone(room, speaks=False) as phone:
        await phone.answered()
        me = phone.room.local_participant
        await me.publish_dtmf(code=1, digit="1")
        await me.publish_data(b"\x00\x01", topic="position")
        await me.publish_data("nothing", reliable=False)
        await phone.write(WHERE)
        await phone.answered()
    return phone


async def bring_a_guest(site: Site, room: str) -> Phone:
    """A second participant joins, speaks and leaves; only the first is the agent's caller."""
    async with await site.phone(room, "ada") as phone:
        await phone.answered()
        async with await site.phone(room, "guest") as guest:
            await guest.say(KETTLE)
        await phone.say(WHERE)
        await phone.answered()
    return phone


async def mute(site: Site, room: str) -> Phone:
    async with await site.phone(room) as phone:
        await phone.answered()
        phone.mute()
        await phone.say(KETTLE)
        phone.unmute()
        await asyncio.sleep(1.0)  # the server has to hear of it first
        await phone.say(CANCEL)
        await phone.answered()
    return phone


@dataclass
class Sample:
    """What `python -m samples.call` left."""

    wav: Path
    printed: str
    status: int | None


async def run_the_sample(site: Site, room: str, wav: Path) -> Sample:
    command = [sys.executable, "-m", "samples.call", "--room", room, "--wav", str(wav), WHERE]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **site.livekit.environment, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await site.has_agent(room)
        printed, _ = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
    return Sample(wav, printed.decode(), process.returncode)


@dataclass
class All:
    held: dict[str, Held]
    sample: Sample


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(
    site: Site, shop: Worker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[All]:
    rooms = {"written": write, "with a guest": bring_a_guest, "muted": mute}
    wav = tmp_path_factory.mktemp("sample") / "call.wav"
    sample, *phones = await together(
        run_the_sample(site, "a sample", wav), *(call(site, room) for room, call in rooms.items())
    )
    held = {
        room: Held(phone, await asyncio.to_thread(trace_of, shop.journal, room))
        for room, phone in zip(rooms, phones, strict=True)
    }
    yield All(held, sample)


@pytest.fixture
def calls(everything: All) -> dict[str, Held]:
    return everything.held


def test_all_traces_are_whole_and_delivered(calls: dict[str, Held], site: Site, shop: Worker):
    for held in calls.values():
        held.trace.check_whole()
        assert not held.trace.of("error")
        assert held.trace.spoken == held.phone.agent_said
        site.delivered(shop, held.trace)


def test_a_written_question_is_a_turn_like_a_spoken_one(calls: dict[str, Held]):
    trace = calls["written"].trace
    (question,) = trace.of("user_turn")
    assert question.payload["modality"] == "text"
    assert question.result["transcript"] == WHERE
    assert question.result["is_final"]
    assert trace.of("assistant_turn")[-1].result["user_turn_id"] == question.id
    assert [tool.payload["tool_name"] for tool in trace.of("tool")] == ["look_up_order"]
    assert trace.of("stt") == []


def test_only_the_caller_is_heard_not_the_guest(calls: dict[str, Held]):
    assert calls["with a guest"].trace.heard == [WHERE]


def test_what_is_said_to_a_muted_microphone_is_not_heard(calls: dict[str, Held]):
    assert calls["muted"].trace.heard == [CANCEL]
    assert calls["muted"].phone.understood == [CANCEL]


def test_the_sample_tells_what_was_said_and_how_long_the_silence_was(everything: All):
    sample = everything.sample
    assert sample.status == 0, sample.printed
    printed = " ".join(sample.printed.split())
    for who, what in (
        ("agent", GREETING),
        ("caller", WHERE),
        ("heard", WHERE),
        ("agent", "Order 42 has shipped and arrives on Friday."),
    ):
        assert f"{who} {what}" in printed
    told = re.search(r"Dead air ([\d.]+) s Recorded", printed)
    assert told is not None, printed
    assert float(told[1]) > 0.5
    with wave.open(str(sample.wav)) as file:
        assert file.getnchannels() == 2
        assert file.getnframes() > 5 * file.getframerate()
