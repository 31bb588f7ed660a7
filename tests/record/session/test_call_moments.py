"""Moments of a call that LiveKit tells of and that have no span."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from livekit.agents import AgentSession
from livekit.agents.inference import OverlappingSpeechEvent
from livekit.agents.voice import events

from prefactor_agent import TracedAgent
from prefactor_agent.core import guard
from prefactor_agent.record.session.call_moments import KEPT, CallMoments
from support.line import Line, until
from support.scripted import Heard, ScriptedLLM, ScriptedSTT
from support.seams import broken
from support.tree import JSON, Recorder, check

TELLS_OF_SILENCE = hasattr(events, "UserTranscriptionTimeoutEvent")


def result(sink: Recorder) -> JSON:
    check(sink)
    return sink.plain(sink.of("livekit:session")[0])["result"]


def told(sink: Recorder) -> list[JSON]:
    return result(sink).get("moments", [])


async def test_a_user_who_is_away_and_back(sink: Recorder) -> None:
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM("Hi."))
    line.session.options.user_away_timeout = 0.5
    async with line.to(TracedAgent(instructions="x")):
        await asyncio.sleep(1.0)
        await line.says()
        await line.answers()
    away, back = told(sink)[:2]
    assert (away["kind"], back["kind"]) == ("user_away", "user_back")
    assert 400_000 < away["at_us"] < back["at_us"]


async def test_a_false_interruption_is_a_moment_of_the_call(sink: Recorder) -> None:
    line = Line(
        hears=ScriptedSTT("tell me", Heard("", [])),
        thinks=ScriptedLLM("A long story about a kettle and a teapot and a friend of theirs."),
        interruption={
            "mode": "vad",
            "min_duration": 0.2,
            "resume_false_interruption": True,
            "false_interruption_timeout": 0.5,
        },
    )
    async with line.to(TracedAgent(instructions="x")):
        await line.says()
        await until(lambda: line.speaker.frames)
        await line.says(0.3, before=0.0)
        await line.answers()
    found = [one for one in told(sink) if one["kind"] == "false_interruption"]
    assert [one["resumed"] for one in found] == [True]


@pytest.mark.parametrize(
    "said, verdict",
    [
        ({"is_interruption": True}, "interruption"),
        ({}, "backchannel"),
        ({"agent_ended": True}, "undecided"),
    ],
)
async def test_a_verdict_on_who_spoke_over_the_agent(
    sink: Recorder, said: dict[str, Any], verdict: str
) -> None:
    if not said.keys() <= OverlappingSpeechEvent.model_fields.keys():
        pytest.skip("this version does not tell that the agent ended")
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(TracedAgent(instructions="x"))
    # As voice/agent_activity.py does; LiveKit's detector is a service of its cloud.
    session.emit(
        "overlapping_speech",
        OverlappingSpeechEvent(
            probability=0.91234,
            detection_delay=0.32,
            overlap_started_at=time.time() - 0.32,
            num_requests=2,
            **said,
        ),
    )
    await session.aclose()
    (one,) = told(sink)
    assert one.items() >= {
        "kind": "overlapping_speech", "verdict": verdict, "probability": 0.9123, "delay_ms": 320.0,
    }.items()  # fmt: skip
    assert abs(one["at_us"] - one["began_us"] - 320_000) < 50_000


async def test_a_verdict_that_no_model_gave_has_no_probability(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(TracedAgent(instructions="x"))
    session.emit("overlapping_speech", OverlappingSpeechEvent())
    await session.aclose()
    (one,) = told(sink)
    assert one.keys() == {"at_us", "kind", "verdict"}


@pytest.mark.skipif(not TELLS_OF_SILENCE, reason="this version does not tell")
async def test_speech_of_which_no_words_came(sink: Recorder) -> None:
    line = Line(hears=ScriptedSTT(""))
    line.session.options.transcription_timeout = 0.5
    async with line.to(TracedAgent(instructions="x")):
        await line.says(0.6, then=2.0)
    (one,) = told(sink)
    assert one["kind"] == "transcription_timeout"
    assert one["speech_ms"] >= 0.0  # which the scripted detector does not count
    assert 600_000 < one["at_us"] - one["began_us"] < 2_000_000


async def test_the_first_are_kept_and_all_are_counted(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(TracedAgent(instructions="x"))
    for _ in range(KEPT + 5):
        session.emit("overlapping_speech", OverlappingSpeechEvent())
    await session.aclose()
    found = result(sink)
    assert (len(found["moments"]), found["moments_total"]) == (KEPT, KEPT + 5)


async def test_a_call_without_any_says_nothing(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(TracedAgent(instructions="x"))
    await session.run(user_input="hello")
    await session.aclose()
    assert result(sink).keys().isdisjoint({"moments", "moments_total"})


@pytest.mark.parametrize(
    "part, event",
    [
        (CallMoments.on_overlap, "overlapping_speech"),
        (CallMoments.on_transcription_timeout, "user_transcription_timeout"),
        (CallMoments.on_false_interruption, "agent_false_interruption"),
        (CallMoments.on_user_state, "user_state_changed"),
    ],
)
async def test_a_failure_of_ours_is_counted(sink: Recorder, part: Any, event: Any) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(TracedAgent(instructions="x"))
    made: Any = {
        "agent_false_interruption": events.AgentFalseInterruptionEvent(resumed=True),
        "user_state_changed": events.UserStateChangedEvent(old_state="listening", new_state="away"),
    }.get(event, OverlappingSpeechEvent())
    with broken(part):
        session.emit(event, made)
    await session.aclose()
    assert len(guard.failures) == 1
