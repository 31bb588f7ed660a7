"""Four recorded calls over a real LiveKit server, held at the same time, at several sample rates:
callers interrupt, change their microphone, are put on hold, and mute themselves."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from samples.offline.phone import Phone
from samples.offline.waveform import WINDOW

from prefactor_agent.demo.script import CANCEL, GOODBYE, KETTLE, RETURN, WHERE
from prefactor_agent.stored import recording
from prefactor_agent.stored.recording import Recording
from support import recordings
from support.livekit import Site, Trace, Worker, trace_of

from .agents.rates import HEARS, HOLD, NAME, PLAYS, SPEAKS
from .test_room_handoff import OWE

HERE = Path(__file__).parent
WITHIN = 0.02
"""Seconds, for 95 of 100."""
ARRIVES = 0.5
"""Seconds until nothing comes any more of a microphone that is off."""


@dataclass
class Caller:
    """Who has asked what, and when nothing of them could be heard."""

    phone: Phone
    asked: list[str] = field(default_factory=list)
    unheard: tuple[float, float] | None = None
    """Seconds since the Unix epoch."""

    async def ask(self, *questions: str) -> None:
        for question in questions:
            await self._say(question)
            await self.phone.answered()

    async def interrupt(self) -> None:
        await self._say(RETURN)
        await self.phone.talking(1.5)
        await self.ask(GOODBYE)

    async def ask_in_vain(self) -> None:
        since = time.time() + ARRIVES
        await asyncio.sleep(ARRIVES)
        await self.phone.say(KETTLE)
        self.unheard = since, time.time()
        await asyncio.sleep(ARRIVES)

    async def _say(self, question: str) -> None:
        await self.phone.say(question)
        self.asked.append(question)


async def talk(caller: Caller) -> None:
    await caller.ask(WHERE, OWE, CANCEL)
    await caller.interrupt()
    await caller.ask(OWE)


async def change_the_microphone(caller: Caller) -> None:
    await caller.ask(WHERE)
    await caller.phone.change_microphone(48_000)
    await asyncio.sleep(2.0)  # the agent has to hear of it first
    await caller.ask(OWE)
    await caller.interrupt()
    await caller.ask(CANCEL)


async def be_put_on_hold(caller: Caller) -> None:
    await caller.ask(CANCEL)
    (agent,) = caller.phone.room.remote_participants.values()
    call = caller.phone.room.local_participant.perform_rpc
    await call(destination_identity=agent.identity, method=HOLD, payload="on")
    await caller.ask_in_vain()
    await call(destination_identity=agent.identity, method=HOLD, payload="off")
    await caller.ask(OWE)
    await caller.interrupt()
    await caller.ask(WHERE)


async def mute(caller: Caller) -> None:
    await caller.interrupt()
    caller.phone.mute()
    await caller.ask_in_vain()
    caller.phone.unmute()
    await asyncio.sleep(2.0)  # the server has to hear of it first
    await caller.ask(OWE, CANCEL, WHERE)


@dataclass(frozen=True)
class Call:
    """What the caller does, and samples a second: of the microphone, of what the STT gets, of the
    agent's voice, and of what is played."""

    do: Callable[[Caller], Awaitable[None]]
    microphone: int
    hears: int
    speaks: int
    plays: int


CALLS = {
    "talk": Call(talk, 48_000, hears=24_000, speaks=24_000, plays=16_000),
    "microphones": Call(change_the_microphone, 16_000, hears=24_000, speaks=24_000, plays=24_000),
    "on hold": Call(be_put_on_hold, 48_000, hears=16_000, speaks=16_000, plays=48_000),
    "muted": Call(mute, 44_100, hears=48_000, speaks=48_000, plays=24_000),
}
QUESTIONS = 21
"""What is asked in all of them, and heard."""


@dataclass
class Held:
    """A call that is over."""

    caller: Caller
    trace: Trace
    recording: Recording


async def dial(site: Site, room: str) -> Phone:
    call = CALLS[room]
    rates = {HEARS: call.hears, SPEAKS: call.speaks, PLAYS: call.plays}
    attributes = {name: str(rate) for name, rate in rates.items()}
    return await site.phone(room, agent=NAME, rate=call.microphone, attributes=attributes)


async def hold(room: str, phone: Phone) -> Caller:
    async with phone:
        await phone.answered()
        caller = Caller(phone)
        await CALLS[room].do(caller)
    return caller


@pytest.fixture(scope="module")
def worker(site: Site) -> Iterator[Worker]:
    agent = HERE / "agents" / "rates.py"
    with site.worker(agent, settings={"PREFACTOR_KEEP_AUDIO": "1"}) as worker:
        yield worker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(site: Site, worker: Worker) -> AsyncIterator[dict[str, Held]]:
    talking: dict[str, asyncio.Task[Caller]] = {}
    async with asyncio.TaskGroup() as group:
        for room in CALLS:
            phone = await dial(site, room)
            await phone.talking(0)  # processes that start at once would make each other late
            talking[room] = group.create_task(hold(room, phone))
    over = {}
    for room, task in talking.items():
        trace = await asyncio.to_thread(trace_of, worker.journal, room)
        found = recording.of_call(worker.journal, trace.session.id)
        assert found is not None
        over[room] = Held(task.result(), trace, found)
    yield over


def test_the_calls_are_as_they_are_meant_to_be(calls: dict[str, Held]):
    for room, call in calls.items():
        call.trace.check_whole()
        assert call.trace.heard == call.caller.asked
        rates = [
            {span.stream("audio").get("sample_rate") for span in call.trace.of(kind)}
            for kind in ("stt", "tts")
        ]
        assert rates == [{CALLS[room].hears}, {CALLS[room].speaks}]
        (cut,) = (turn for turn in call.trace.of("assistant_turn") if turn.result["interrupted"])
        assert cut.result["interrupted_by"] == "user"
        assert call.trace.session.result["recording"].get("missing_s", 0) < 0.5
    assert sum(len(call.caller.asked) for call in calls.values()) == QUESTIONS


def test_sounds_begin_where_the_trace_has_them(calls: dict[str, Held]):
    caller, agent = of_both(calls, recordings.onsets)
    assert p95(caller) < WITHIN, caller
    assert p95(agent) < WITHIN, agent


def test_sounds_are_as_loud_as_the_trace_has_them_there(calls: dict[str, Held]):
    caller, agent = of_both(calls, recordings.lags)
    assert p95(caller) < WITHIN, caller
    assert p95(agent) < WITHIN, agent


def of_both(
    calls: dict[str, Held], measure: Callable[..., tuple[list[float], list[float]]]
) -> tuple[list[float], list[float]]:
    """What is measured of the two voices, in all calls."""
    found = [measure(call.recording, call.trace.spans) for call in calls.values()]
    caller, agent = (list(chain(*voice)) for voice in zip(*found, strict=True))
    assert (len(caller), len(agent)) == (QUESTIONS, QUESTIONS + len(CALLS))
    return caller, agent


def test_the_dead_air_is_as_long_as_the_trace_has_it(calls: dict[str, Held]):
    apart = [
        longer
        for call in calls.values()
        for _, longer in recordings.dead_air(call.recording, call.trace.spans)
    ]
    assert len(apart) == QUESTIONS
    assert p95(apart) < WITHIN, apart


def p95(apart: Sequence[float]) -> float:
    return sorted(map(abs, apart))[math.ceil(0.95 * len(apart)) - 1]


@pytest.mark.parametrize("room", ["on hold", "muted"])
def test_what_is_said_to_nobody_is_not_in_the_recording(calls: dict[str, Held], room: str):
    call = calls[room]
    assert call.caller.unheard is not None
    (caller, _), rate = recordings.decode(call.recording.path)
    since, until = (
        round((at - call.recording.begins_us / 1e6) / WINDOW) for at in call.caller.unheard
    )
    assert not recordings.audible(caller, rate)[since:until].any()
    assert np.any(caller[: round(since * WINDOW * rate)])
