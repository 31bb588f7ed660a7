"""The verdict of LiveKit's answering machine detection, and the other things that it does beside
the conversation."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession, MetricsCollectedEvent, metrics

from prefactor_agent import TracedAgent
from prefactor_agent.config import Settings
from prefactor_agent.redact import Redactor
from support.job import Job
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT
from support.tree import JSON, Recorder, check

amd = pytest.importorskip("livekit.agents.voice.amd", reason="before LiveKit 1.6")


class Agent(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="x")


def result(sink: Recorder) -> JSON:
    (root,) = (sink.plain(span) for span in sink.of("livekit:session"))
    found: JSON = root["result"]
    return found


def verdict(category: str) -> Any:
    from livekit.agents.voice.amd.classifier import AMDCategory, AMDPredictionEvent

    return AMDPredictionEvent(
        speech_duration=1.25,
        category=AMDCategory(category),
        reason="llm",
        transcript="leave a message",
        delay=0.75,
    )


class Detector(amd.AMD):  # type: ignore[misc]
    """Waits for nobody: the test says what it finds."""

    async def _setup(self, session: Any) -> None:
        pass


async def test_the_verdict_is_a_moment_of_the_call(sink: Recorder) -> None:
    job = Job()
    with job.running():
        session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
        await session.start(Agent())
        async with Detector(session, suppress_compatibility_warning=True) as detector:
            session.say("Hello?")
            detector._on_amd_prediction(verdict("machine-vm"))
        await session.aclose()
        await job.end("done")
    check(sink)
    (one,) = result(sink)["answering_machine"]
    assert one.pop("at_us") >= 0
    assert one == {
        "category": "machine-vm",
        "reason": "llm",
        "speech_ms": 1250.0,
        "delay_ms": 750.0,
        "transcript": "leave a message",
    }
    redactor = Redactor(Settings(journal=Path("unused"), capture_content=False), frozenset)
    clean: Any = redactor.value(result(sink), "livekit:session", is_result=True)
    assert clean["answering_machine"][0]["category"] == "machine-vm"
    assert "message" not in json.dumps(clean["answering_machine"])


@pytest.mark.parametrize("category, unanswered", [("machine-vm", 0), ("human", 1)])
async def test_what_a_machine_says_is_no_question(
    sink: Recorder, category: str, unanswered: int
) -> None:
    """The reply to it was made ahead, and the program breaks it off after the verdict."""
    job = Job()
    line = Line(hears=ScriptedSTT("leave a message"), thinks=ScriptedLLM("Good day."))
    with job.running():
        async with line.to(Agent()):
            async with Detector(line.session, suppress_compatibility_warning=True) as detector:
                await line.says(then=1.0)
                await line.session.interrupt()
                detector._on_amd_prediction(verdict(category))
            await asyncio.sleep(7)
        await job.end("done")
    check(sink)
    assert result(sink)["unanswered"]["turns"] == unanswered


async def test_a_verdict_that_nothing_came_before_is_read_from_the_tags(sink: Recorder) -> None:
    job = Job()
    with job.running():
        session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
        await session.start(Agent())
        async with Detector(session, suppress_compatibility_warning=True) as detector:
            detector._on_amd_prediction(verdict("uncertain"))
        await session.aclose()
        await job.end("done")
    assert result(sink)["answering_machine"] == [{"category": "uncertain"}]


async def test_keyterms_are_counted_and_never_named(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM("Hi.", "Yes."), stt_context_options={"keyterms": ["Graz", "Linz"]}
    )
    await session.start(Agent())
    await session.run(user_input="hello")
    session.update_options(keyterms=["Graz", "Wien", "Melk"])
    await session.run(user_input="again")
    await session.aclose()
    check(sink)
    told = result(sink)["keyterms"]
    assert [(one["count"], one["added"], one["removed"]) for one in told] == [(2, 2, 0), (3, 2, 1)]
    assert told[0]["at_us"] <= told[1]["at_us"]
    assert "Graz" not in json.dumps(result(sink))


async def test_the_detection_of_menus(sink: Recorder) -> None:
    job = Job()
    with job.running():
        session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."), ivr_detection=True)
        await session.start(Agent())
        await session.run(user_input="press one")
        await session.aclose()
        await job.end("done")
    check(sink)
    assert result(sink)["ivr_detection"]["began_us"] >= 0


async def test_an_avatar_that_joins_and_speaks(sink: Recorder) -> None:
    """LiveKit's own measurements, as an avatar's session emits them (avatar/_types.py)."""
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(Agent())
    about = metrics.base.Metadata(model_provider="puppet")
    measured = [
        metrics.base.AvatarMetrics(
            timestamp=1.0, session_started_time=100.0, avatar_joined_time=102.5, metadata=about
        ),
        *(
            metrics.base.AvatarMetrics(timestamp=1.0, playback_latency=latency, metadata=about)
            for latency in (0.2, 0.5, 0.3)
        ),
    ]
    for one in measured:
        rtc.EventEmitter.emit(session, "metrics_collected", MetricsCollectedEvent(metrics=one))
    await session.run(user_input="hello")
    await session.aclose()
    check(sink)
    (avatar,) = result(sink)["avatars"]
    avatar.pop("joined_us")
    assert avatar == {
        "provider": "puppet",
        "join_ms": 2500.0,
        "spoke": 3,
        "playback_latency_median_ms": 300.0,
        "playback_latency_worst_ms": 500.0,
    }


async def test_a_call_without_any_of_it_says_nothing(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(Agent())
    await session.run(user_input="hello")
    await session.aclose()
    told = {"answering_machine", "keyterms", "ivr_detection", "avatars", "sound"}
    assert not told & {*result(sink)}
