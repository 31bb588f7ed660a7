"""A caller who is put through, over the air."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
from samples.offline.phone import Phone

from support.livekit import Site, Trace, Worker, trace_of

from .agents.desk import BILLING, RECEPTION

THROUGH = "Please put me through to billing."
OWE = "How much do I owe you?"
TWELVE = "You owe us twelve euros."


@dataclass
class Held:
    phone: Phone
    trace: Trace


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call(site: Site, desk: Worker) -> AsyncIterator[Held]:
    async with await site.phone("put through", agent="desk") as phone:
        for sentence in (THROUGH, OWE):
            await phone.answered()
            await phone.say(sentence)
        await phone.answered()
    yield Held(phone, await asyncio.to_thread(trace_of, desk.journal, "put through"))


def test_both_agents_are_in_one_trace(call: Held):
    call.trace.check_whole()
    assert call.trace.heard == [THROUGH, OWE]
    assert call.trace.spoken == [RECEPTION, BILLING, TWELVE]
    assert call.trace.session.payload["agent_class"] == "Reception"


def test_the_tool_says_whom_the_caller_was_put_through_to(call: Held):
    (tool,) = call.trace.of("tool:transfer_to_billing")
    assert tool.result["outcome"] == "handoff"
    assert tool.result["outputs"]["agent"] == "billing"


def test_the_caller_reads_what_was_said(call: Held):
    assert call.phone.understood == [THROUGH, OWE]
    assert call.phone.agent_said == [RECEPTION, BILLING, TWELVE]
    streams = [one for one in call.phone.heard if one.speaker != call.phone.identity]
    assert all(one.final and one.ended for one in streams)
    # Word by word, as they are spoken: nothing was held back or joined on the way.
    assert [len(one.chunks) for one in streams] == [len(one.text.split()) for one in streams]


def test_it_was_delivered(call: Held, site: Site, desk: Worker):
    site.delivered(desk, call.trace)
    assert site.prefactor.violations() == []
