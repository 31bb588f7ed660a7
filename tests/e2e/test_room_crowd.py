"""Eight callers at once on one worker, each in a room, and in a process, of their own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
from samples.offline.phone import CallFailedError, Phone
from samples.offline.script import CANCEL, GREETING, KETTLE, WHERE

from prefactor_agent.journal.outbox import Outbox
from support.livekit import Site, Trace, Worker, together, trace_of

QUESTIONS = [WHERE, KETTLE, CANCEL]
PATIENCE = 90.0
"""Seconds: eight processes start on what may be two cores."""
AGAIN = 25.0
"""Seconds after which a caller writes instead: a voice does not always survive a busy machine."""


@dataclass
class Held:
    said: list[str]
    phone: Phone
    trace: Trace


async def hold(site: Site, room: str, said: list[str]) -> Phone:
    async with await site.phone(room, f"caller-{room}") as phone:
        await phone.answered(PATIENCE)
        for sentence in said:
            await insist(phone, sentence)
    return phone


async def insist(phone: Phone, sentence: str) -> None:
    """Say it; and write it, if it was not understood."""
    await phone.say(sentence)
    try:
        await phone.answered(AGAIN)
    except CallFailedError:
        await phone.write(sentence)
        await phone.answered(PATIENCE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(site: Site, shop: Worker) -> AsyncIterator[list[Held]]:
    # Each two sentences, no two neighbours the same.
    said = {f"crowd-{n}": [QUESTIONS[n % 3], QUESTIONS[(n + n // 3 + 1) % 3]] for n in range(8)}
    phones = await together(*(hold(site, room, words) for room, words in said.items()))
    traces = [await asyncio.to_thread(trace_of, shop.journal, room) for room in said]
    yield [Held(*one) for one in zip(said.values(), phones, traces, strict=True)]


def test_no_two_calls_are_mixed(calls: list[Held]):
    for held in calls:
        held.trace.check_whole()
        assert held.trace.session.status == "complete"
        assert set(held.trace.heard) == set(held.said)
        assert held.trace.spoken[0] == GREETING
        assert held.trace.spoken == held.phone.agent_said
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
