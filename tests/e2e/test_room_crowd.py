"""Eight callers at once on one worker, each in a room, and in a process, of their own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
from samples.offline.phone import CallFailedError, Phone

from prefactor_agent.demo.script import CANCEL, GREETING, KETTLE, WHERE
from prefactor_agent.journal.outbox import Outbox
from support.livekit import Site, Trace, Worker, together, trace_of

QUESTIONS = [WHERE, KETTLE, CANCEL]
PATIENCE = 90.0
"""Seconds: eight processes start on what may be two cores."""
AGAIN = 25.0
"""Seconds after which a caller writes instead: a voice does not always survive a busy machine."""


@dataclass
class Held:
    room: str
    phone: Phone
    typed: list[str]
    trace: Trace


async def hold(site: Site, room: str, said: list[str]) -> tuple[Phone, list[str]]:
    """Gives the phone, and what had to be typed."""
    typed = []
    async with await site.phone(room, f"caller-{room}") as phone:
        await phone.answered(PATIENCE)
        for sentence in said:
            if not await understood(phone, sentence):
                typed.append(sentence)
                await phone.write(sentence)
                await phone.answered(PATIENCE)
    return phone, typed


async def understood(phone: Phone, sentence: str) -> bool:
    """Say it, and tell whether it was answered."""
    await phone.say(sentence)
    try:
        await phone.answered(AGAIN)
    except CallFailedError:
        return False
    return True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(site: Site, shop: Worker) -> AsyncIterator[list[Held]]:
    # Each two sentences, which are not the same.
    said = {f"crowd-{n}": [QUESTIONS[n % 3], QUESTIONS[(n + 1 + n // 3 % 2) % 3]] for n in range(8)}
    ended = await together(*(hold(site, room, words) for room, words in said.items()))
    yield [
        Held(room, phone, typed, await asyncio.to_thread(trace_of, shop.journal, room))
        for room, (phone, typed) in zip(said, ended, strict=True)
    ]


def test_no_two_calls_are_mixed(calls: list[Held]):
    for held in calls:
        held.trace.check_whole()
        assert held.trace.session.status == "complete"
        assert held.trace.session.payload["participant"]["identity"] == f"caller-{held.room}"
        # Not what was said: what the agent told the caller that it had understood.
        heard = " ".join(held.trace.heard)
        assert all(text in heard for text in [*held.phone.understood, *held.typed])
        assert held.trace.spoken[0] == GREETING
        spoken, read = held.trace.spoken, [text for text in held.phone.agent_said if text]
        if held.typed:
            # Perhaps into an answer: LiveKit may have shown a word of it more than it counts.
            assert all(any(text.startswith(said) for text in read) for said in spoken)
        else:
            assert spoken == read
        answered = {t.result.get("user_turn_id") for t in held.trace.of("assistant_turn")[1:]}
        asked = {turn.id for turn in held.trace.of("user_turn") if turn.result["is_final"]}
        assert answered == asked


def test_all_are_delivered(calls: list[Held], site: Site, shop: Worker):
    for held in calls:
        site.delivered(shop, held.trace)
    assert site.prefactor.violations() == []


def test_eight_processes_wrote_one_journal(calls: list[Held], shop: Worker):
    outbox = Outbox(shop.journal)
    rows = [outbox.call(held.trace.session.id) for held in calls]
    outbox.close()
    assert len({row.process for row in rows if row is not None}) == len(calls)
