"""How the sample's caller waits for an agent, without a room: its states are told by hand."""

import asyncio
import io
import time

import pytest
from rich.console import Console
from samples.offline.phone import CallFailedError, Phone

from prefactor_agent.demo.terminal import print_words


def tell_state(phone: Phone, *states: str) -> None:
    for state in states:
        phone.states.append((time.monotonic(), state))
    phone._changed.set()


async def test_a_greeting_is_heard_to_its_end():
    phone = Phone()
    waiting = asyncio.create_task(phone.greeted(patience=1.0))
    for state in ("initializing", "listening", "speaking"):
        tell_state(phone, state)
        await asyncio.sleep(0.02)
        assert not waiting.done(), state
    tell_state(phone, "listening")
    await asyncio.wait_for(waiting, 1.0)


async def test_an_agent_that_does_not_greet_lets_the_caller_begin():
    phone = Phone()
    tell_state(phone, "initializing", "listening")
    await asyncio.wait_for(phone.greeted(patience=0.05), 1.0)


async def test_an_agent_that_does_not_come_is_told_in_a_sentence():
    with pytest.raises(CallFailedError) as failed:
        await Phone().until(lambda: False, "the agent", 0.05)
    assert str(failed.value) == (
        "waited 0 s for the agent: none has come (is a worker running? A server gives no call to "
        "one that is busy)"
    )


async def test_what_happened_before_a_call_failed_is_told():
    phone = Phone()
    tell_state(phone, "initializing", "listening")
    with pytest.raises(CallFailedError, match=r"the agent was initializing, listening$"):
        await phone.until(lambda: False, "an answer", 0.05)


def test_a_long_line_goes_on_below_its_beginning():
    console = Console(file=io.StringIO(), width=24)
    print_words(console, "agent", "We have 3 of the kettle left.")
    assert console.file.getvalue() == (  # type: ignore[attr-defined]
        "  agent  We have 3 of\n"
        "         the kettle\n"
        "         left.\n"
    )  # fmt: skip
