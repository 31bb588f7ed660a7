"""The pickup of real sessions: in a job with a room, and without one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.job import RunningJobInfo

from prefactor_agent import BudgetExceeded, TracedAgent, configure
from prefactor_agent.core import guard
from prefactor_agent.record.room.arrival import Arrivals
from prefactor_agent.record.session.pickup import PickupFacts
from prefactor_agent.record.session.pickup_budget import PickupBudget
from support.job import LINKED, TELLS_WHEN_JOINED, Job, person
from support.line import Line, until
from support.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, Speaker, Wait
from support.seams import broken
from support.tree import JSON, Recorder, check

INBOUND = {"sip.callStatus": "active", "sip.ruleID": "SDR_1"}
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
TELLS_THE_DISPATCH = hasattr(RunningJobInfo, "received_at")
tells_when_joined = pytest.mark.skipif(
    not TELLS_WHEN_JOINED, reason="this livekit.rtc does not tell when somebody joined"
)


class Greeter(TracedAgent):
    def __init__(self, *, greets: bool = True) -> None:
        super().__init__(instructions="greet")
        self.greets = greets

    async def on_enter(self) -> None:
        if self.greets:
            self.session.generate_reply(instructions="Greet the caller.")


class Call:
    """A session in the room of a job, which speaks through a speaker of ours."""

    def __init__(self, **job: Any) -> None:
        self.job = Job(**job)
        self.session: AgentSession[None] = AgentSession(
            llm=ScriptedLLM([Wait(0.1), "Hello there."], "Well."),
            tts=ScriptedTTS(first_byte=0.05, leading_silence=0.2),
        )
        self.speaker = Speaker()
        self.session.output.audio = self.speaker

    @asynccontextmanager
    async def going_on(self, agent: TracedAgent | None = None) -> AsyncIterator[Call]:
        with self.job.running():
            await self.session.start(agent or Greeter(), room=self.job.room, room_options=LINKED)
            yield self
            await self.session.aclose()
            await self.job.end("done")


def pickup(sink: Recorder) -> JSON | None:
    """What the session's span says of it."""
    check(sink)
    found = sink.plain(sink.of("livekit:session")[0])["result"].get("pickup")
    if found is not None:
        assert round(sum(one["ms"] for one in found["stages"]), 3) == found["ms"]
        assert all(one["ms"] > 0 for one in found["stages"])
    return found


def stages(found: JSON | None) -> dict[str, float]:
    assert found is not None
    return {one["name"]: one["ms"] for one in found["stages"]}


async def test_a_greeting_without_a_room_is_counted_from_the_start_of_the_session(
    sink: Recorder,
) -> None:
    line = Line(
        thinks=ScriptedLLM([Wait(0.2), "Hello."]),
        speaks=ScriptedTTS(first_byte=0.1, leading_silence=0.15),
    )
    async with line.to(Greeter()):
        await line.answers()
    found = pickup(sink)
    assert found is not None and found["basis"] == {"from": "session_start", "to": "audio"}
    took = stages(found)
    assert took["llm_ttft"] >= 195 and took["tts_ttfb"] >= 90
    assert 145 <= took["leading_silence"] <= 160
    assert took.keys() <= {
        "session_start", "on_enter", "llm_queue", "llm_ttft", "first_sentence", "tts_ttfb",
        "playback", "leading_silence",
    }  # fmt: skip


async def test_without_a_room_a_caller_who_speaks_first_waited_for_no_pickup(
    sink: Recorder,
) -> None:
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM("Hi."))
    async with line.to(Greeter(greets=False)):
        await line.says()
        await line.answers()
    assert pickup(sink) is None


async def test_words_that_nobody_hears_are_no_pickup(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hello.", "Hi."))
    await session.start(Greeter())
    await session.run(user_input="hello")
    await session.aclose()
    assert pickup(sink) is None


@tells_when_joined
async def test_a_caller_who_was_there_before_the_agent(sink: Recorder) -> None:
    now = time.time()
    call = Call()
    info = call.job.context._info
    if TELLS_THE_DISPATCH:
        info.received_at, info.accepted_at = now - 1.5, now - 1.4
        info.assigned_at, info.launched_at = now - 1.2, now - 0.5
    call.job.room._remote_participants["anna"] = person("anna", joined_at=now - 2)
    async with call.going_on():
        call.job.connects(time.time())
        await until(lambda: call.speaker.finished)
    found = pickup(sink)
    assert found is not None and found["basis"] == {"from": "joined", "to": "audio"}
    took = stages(found)
    if TELLS_THE_DISPATCH:
        assert abs(took["dispatch"] - 500) < 2
        assert abs(took["accept"] - 100) < 2
        assert abs(took["assignment"] - 200) < 2
        assert abs(took["process"] - 700) < 2
        assert took["entrypoint"] >= 500
    else:
        assert took["dispatch"] >= 2000
    assert 2300 < found["ms"] < 5000


async def test_one_whose_arrival_nobody_tells_is_counted_from_the_start_of_the_session(
    sink: Recorder,
) -> None:
    call = Call()
    call.job.room._remote_participants["anna"] = person("anna")
    async with call.going_on():
        call.job.connects()
        await until(lambda: call.speaker.finished)
    found = pickup(sink)
    assert found is not None and found["basis"] == {"from": "session_start", "to": "audio"}
    assert 340 < found["ms"] < 2000


@tells_when_joined
@pytest.mark.parametrize("ahead", [60.0, -60.0], ids=["ahead", "behind"])
async def test_two_clocks_that_disagree(sink: Recorder, ahead: float) -> None:
    """The agent itself joined a minute early or late by the server's clock, and so did the
    caller."""
    begun = time.time()
    call = Call()
    call.job.room._remote_participants["anna"] = person("anna", joined_at=begun - 1 + ahead)
    async with call.going_on():
        call.job.connects(time.time() + ahead)
        await until(lambda: call.speaker.finished)
        ended = time.time()
    found = pickup(sink)
    assert found is not None
    assert abs(abs(ahead) * 1000 - found["basis"]["clocks_apart_ms"]) < (ended - begun) * 1000
    assert 1000 < found["ms"] < (ended - begun + 1) * 1000


async def test_a_caller_who_comes_to_an_agent_that_waits(sink: Recorder) -> None:
    call = Call()
    async with call.going_on(Greeter(greets=False)):
        call.job.connects()
        await asyncio.sleep(0.3)
        call.job.joins(person("recorder", kind=rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS))
        await asyncio.sleep(0.3)
        call.job.joins(person("anna"))
        came = time.perf_counter()
        await asyncio.sleep(0.2)
        call.session.say("Hello Anna.")
        await until(lambda: call.speaker.finished)
        heard = time.perf_counter()
    found = pickup(sink)
    assert found is not None and found["basis"] == {"from": "seen", "to": "audio"}
    assert stages(found)["program"] >= 195
    assert 400 < found["ms"] < (heard - came) * 1000


@tells_when_joined
async def test_a_call_that_the_agent_makes_is_counted_from_the_answer(sink: Recorder) -> None:
    call = Call()
    async with call.going_on(Greeter(greets=False)):
        call.job.connects()
        anna = person("anna", kind=SIP, attributes={"sip.callStatus": "dialing"},
                      joined_at=time.time())  # fmt: skip
        call.job.joins(anna)
        await asyncio.sleep(0.5)
        call.job.says(anna, sip_callStatus="active")
        answered = time.perf_counter()
        call.session.say("Hello Anna.")
        await until(lambda: call.speaker.finished)
        over = time.perf_counter()
    found = pickup(sink)
    assert found is not None and found["basis"] == {"from": "answered", "to": "audio"}
    assert 250 < found["ms"] < (over - answered) * 1000


@pytest.mark.parametrize("there", [True, False])
async def test_a_call_that_was_answered_before_the_agent_saw_it(
    sink: Recorder, there: bool
) -> None:
    anna = person("anna", kind=SIP, attributes={"sip.callStatus": "active"},
                  joined_at=time.time() - 60)  # fmt: skip
    call = Call()
    if there:
        call.job.room._remote_participants["anna"] = anna
    async with call.going_on():
        call.job.connects()
        if not there:
            call.job.joins(anna)
        await until(lambda: call.speaker.finished)
    found = pickup(sink)
    assert found is not None and found["ms"] < 2000
    assert found["basis"]["from"] == ("session_start" if there else "answered")


async def test_a_call_that_nobody_answers_has_none(sink: Recorder) -> None:
    call = Call()
    async with call.going_on():
        call.job.connects()
        call.job.joins(person("anna", kind=SIP, attributes={"sip.callStatus": "dialing"}))
        await until(lambda: call.speaker.finished)
    assert pickup(sink) is None


async def test_an_empty_room_has_none(sink: Recorder) -> None:
    call = Call()
    async with call.going_on():
        await until(lambda: call.speaker.finished)
    assert pickup(sink) is None


async def test_the_telephone_counts_before_who_only_listens(sink: Recorder) -> None:
    call = Call()
    async with call.going_on(Greeter(greets=False)):
        call.job.connects()
        call.job.joins(person("supervisor"))
        await asyncio.sleep(0.5)
        call.job.joins(person("anna", kind=SIP, attributes=INBOUND))
        call.session.say("Hello.")
        await until(lambda: call.speaker.finished)
    found = pickup(sink)
    assert found is not None and found["ms"] < 500 and found["basis"]["from"] == "seen"


async def test_a_greeting_that_nobody_was_there_to_hear_is_not_the_first_sound(
    sink: Recorder,
) -> None:
    call = Call()
    async with call.going_on():
        call.job.connects()
        await until(lambda: call.speaker.finished)
        await until(lambda: call.session.current_speech is None)
        call.job.joins(person("anna"))
        came = time.perf_counter()
        call.session.say("Hello Anna.")
        await until(lambda: len(call.speaker.finished) > 1)
        over = time.perf_counter()
    found = pickup(sink)
    assert found is not None and 250 < found["ms"] < (over - came) * 1000


async def test_a_caller_who_types_first_ends_it(sink: Recorder) -> None:
    call = Call()
    async with call.going_on(Greeter(greets=False)):
        call.job.connects()
        call.job.joins(person("anna"))
        await asyncio.sleep(0.2)
        await call.session.run(user_input="hello")
    found = pickup(sink)
    assert found is not None and found["basis"] == {"from": "seen", "to": "caller"}
    assert found["ms"] > 195 and "caller" in stages(found)


async def test_only_the_first_session_of_a_job_picks_up(sink: Recorder) -> None:
    call = Call()
    async with call.going_on():
        call.job.connects()
        call.job.joins(person("anna"))
        await until(lambda: call.speaker.finished)
        second: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."), tts=ScriptedTTS())
        second.output.audio = speaker = Speaker()
        await second.start(Greeter())
        await until(lambda: speaker.finished)
        await second.aclose()
    first, other = (sink.plain(span)["result"] for span in sink.of("livekit:session"))
    assert "pickup" in first and "pickup" not in other


# Budgets


@pytest.fixture
def told() -> list[BudgetExceeded]:
    return []


async def test_a_budget_is_exceeded_while_nobody_is_heard(
    sink: Recorder, told: list[BudgetExceeded]
) -> None:
    configure(budgets={"pickup": 0.3}, on_budget_exceeded=told.append)
    line = Line(thinks=ScriptedLLM([Wait(0.6), "Hello."]))
    async with line.to(Greeter()):
        await line.answers()
    (event,) = told
    assert not event.answered and event.transcript == ""
    assert 0.3 < event.exceeded["pickup"] == event.perceived < 0.6
    assert event.stages["llm_ttft"] > 0.2
    found = pickup(sink)
    assert found is not None
    assert found["over_budget"] == {"pickup": found["ms"] / 1000}


async def test_one_that_holds_is_not(sink: Recorder, told: list[BudgetExceeded]) -> None:
    configure(budgets={"pickup": 30.0}, on_budget_exceeded=told.append)
    line = Line(thinks=ScriptedLLM("Hello."))
    async with line.to(Greeter()):
        await line.answers()
    assert told == []
    assert "over_budget" not in (pickup(sink) or {})


@pytest.mark.parametrize(
    "part",
    [
        Arrivals.follow, Arrivals._on_connection, Arrivals._on_joined, Arrivals._on_attributes,
        PickupFacts.sound_began, PickupFacts.speech_over, PickupBudget.caller_came,
        PickupBudget._due, PickupBudget.sound_began,
    ],
)  # fmt: skip
async def test_a_failure_of_ours_costs_the_pickup_at_most(sink: Recorder, part: Any) -> None:
    configure(budgets={"pickup": 0.1}, on_budget_exceeded=lambda _: None)
    call, anna = Call(), person("anna", kind=SIP, attributes={"sip.callStatus": "dialing"})
    with broken(part):
        async with call.going_on():
            call.job.connects()
            call.job.joins(anna)
            call.job.says(anna, sip_callStatus="active")
            await until(lambda: call.speaker.finished)
    assert len(guard.failures) == 1
    (greeting,) = sink.of("livekit:assistant_turn")
    assert sink.plain(greeting)["result"]["spoken_text"] == "Hello there."
