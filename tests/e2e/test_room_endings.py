"""How a call ends, and what its trace says about it. The four calls are held at the same time."""

import asyncio
import time

import pytest_asyncio

from prefactor_agent.demo.script import INTERRUPTED, KETTLE, RULES
from support.livekit import Site, Trace, Worker, together, trace_of

LONG_ANSWER = next(rule.says for rule in RULES if rule.question == INTERRUPTED)
QUIET = 200
"""Peak of what counts as silence, of 32768."""


async def hang_up_in_mid_sentence(site: Site, shop: Worker, room: str) -> None:
    async with await site.phone(room) as phone:
        await phone.answered()
        saying = asyncio.create_task(phone.say(KETTLE))
        # As soon as the agent hears it.
        await asyncio.to_thread(
            trace_of, shop.journal, room, until=lambda trace: bool(trace.of("stt"))
        )
    saying.cancel()


async def delete_the_room_during_an_answer(site: Site, room: str) -> None:
    async with await site.phone(room) as phone:
        await phone.answered()
        await phone.say(INTERRUPTED)
        await phone.talking(1.5)
        await site.delete_room(room)
        await phone.ended()


async def ask_to_hang_up(site: Site, room: str) -> None:
    async with await site.phone(room, agent="desk") as phone:
        await phone.answered()
        await phone.say("You can hang up now.")
        await phone.ended()


async def be_terminated_during_an_answer(site: Site, shop: Worker, room: str) -> int:
    """Gives the peak of what the caller hears for a second when the call is over."""
    async with await site.phone(room) as phone:
        await phone.answered()
        await phone.say(INTERRUPTED)
        await phone.talking(1.5)
        running = await asyncio.to_thread(trace_of, shop.journal, room, until=lambda _: True)
        instance = await asyncio.to_thread(site.instance, shop, running, "active")
        site.prefactor.terminate(instance, "not your customer")
        await asyncio.to_thread(trace_of, shop.journal, room)
        await asyncio.sleep(1.0)  # what was on its way to the ear still arrives
        at = time.monotonic()
        await asyncio.sleep(1.0)
        return phone.ear.between(at, at + 1.0).peak


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def heard_after_termination(site: Site, shop: Worker, desk: Worker) -> int:
    *_, heard = await together(
        hang_up_in_mid_sentence(site, shop, "hung up"),
        delete_the_room_during_an_answer(site, "deleted"),
        ask_to_hang_up(site, "shut down"),
        be_terminated_during_an_answer(site, shop, "terminated"),
    )
    return heard


def ended(site: Site, worker: Worker, room: str, status: str = "complete") -> Trace:
    """The trace of a call, whole, and delivered as it is."""
    trace = trace_of(worker.journal, room)
    trace.check_whole()
    site.delivered(worker, trace, status)
    return trace


def test_the_caller_hung_up_in_mid_sentence(site: Site, shop: Worker):
    trace = ended(site, shop, "hung up")
    assert trace.session.status == "complete"
    assert trace.session.result["close_reason"] == "participant_disconnected"
    (caller,) = trace.session.result["participants"]
    assert caller["disconnect_reason"] == "client_initiated"
    (turn,) = trace.of("user_turn")
    assert turn.status == "cancelled"
    assert not turn.result["is_final"]
    assert [stt.status for stt in trace.of("stt")] == ["cancelled"]
    assert len(trace.of("assistant_turn")) == 1


def test_the_room_was_deleted(site: Site, shop: Worker):
    trace = ended(site, shop, "deleted")
    assert trace.session.status == "complete"
    # LiveKit closes the session either because its participant is gone, or because the job is.
    assert trace.session.result["close_reason"] in ("participant_disconnected", "user_initiated")
    assert trace.session.result["room_disconnect_reason"] == "room_deleted"
    answer = trace.of("assistant_turn")[-1]
    assert (answer.status, answer.result["interrupted"]) == ("complete", True)
    assert answer.result["interrupted_by"] == "program"
    assert LONG_ANSWER.startswith(answer.result["generated_text"])
    assert answer.result["generated_text"].startswith(answer.result["spoken_text"])
    assert len(answer.result["spoken_text"]) < len(LONG_ANSWER)
    assert answer.result["playback_position_s"] > 1.0


def test_a_tool_shut_the_job_down(site: Site, desk: Worker):
    trace = ended(site, desk, "shut down")
    assert trace.session.status == "complete"
    assert trace.session.result["close_reason"] == "user_initiated"
    assert trace.session.result["shutdown_reason"] == "the caller asked for it"
    (tool,) = trace.of("tool:end_call")
    (result,) = trace.of("tool_result")
    assert tool.status == result.status == "complete"
    assert result.result["outputs"] == {"output": "The call ends."}
    assert trace.of("assistant_turn")[-1].status == "complete", (
        "its tool did what it was called for"
    )


def test_prefactor_terminated_the_call(site: Site, shop: Worker, heard_after_termination: int):
    assert heard_after_termination < QUIET
    trace = ended(site, shop, "terminated", "terminated")
    assert trace.session.status == "cancelled"
    assert trace.session.result["termination_reason"] == "not your customer"
    answer = trace.of("assistant_turn")[-1]
    assert answer.result["interrupted_by"] == "program"
    assert len(answer.result["spoken_text"]) < len(LONG_ANSWER) / 2
