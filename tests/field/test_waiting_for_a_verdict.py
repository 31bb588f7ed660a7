"""A call that an answering machine may have taken: LiveKit plays nothing before the verdict of its
detection, and the program speaks after it. docs/field-tests.md names the report."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prefactor_agent import TracedAgent
from prefactor_agent.testing import Trace
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT

amd = pytest.importorskip("livekit.agents.voice.amd", reason="before LiveKit 1.6")


class Detector(amd.AMD):  # type: ignore[misc]
    """Holds the agent back as LiveKit's does. The test says what it finds, and when."""

    async def _setup(self, session: Any) -> None:
        session._activity._pause_authorization()

    def finds(self, category: str) -> None:
        from livekit.agents.voice.amd.classifier import AMDCategory, AMDPredictionEvent

        self._on_amd_prediction(
            AMDPredictionEvent(
                speech_duration=0.4,
                category=AMDCategory(category),
                reason="llm",
                transcript="hello",
                delay=1.0,
            )
        )


async def test_an_answer_that_was_held_back_for_it_says_so(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM("Good morning."))
    async with line.to(TracedAgent(instructions="x")):
        async with Detector(line.session, suppress_compatibility_warning=True) as detector:
            await line.says(0.4, then=1.5)
            detector.finds("human")
            line.session._activity._resume_authorization()  # type: ignore[union-attr]
        await line.answers()
    (turn,) = [turn for turn in trace.turns if turn.assistant.text]
    assert turn.latency is not None
    stages = turn.latency.stages
    assert turn.latency.perceived_ms == pytest.approx(1550, abs=40)
    # The detector of speech needs 0.2 s, endpointing no more; the voice had audio after 0.05 s.
    assert stages["answering_machine"] == pytest.approx(1250, abs=60)
    assert stages.get("playback", 0) < 20


async def test_what_is_said_to_a_machine_waited_for_the_verdict(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("leave a message"), thinks=ScriptedLLM("Hi!"))
    async with line.to(TracedAgent(instructions="x")):
        async with Detector(line.session, suppress_compatibility_warning=True) as detector:
            await line.says(0.4, then=1.5)
            await line.session.interrupt(force=True)
            detector.finds("machine-vm")
            line.session._activity._resume_authorization()  # type: ignore[union-attr]
            await asyncio.sleep(0.1)
            line.session.say("Please call back.")
        await line.answers()
    (turn,) = [turn for turn in trace.turns if turn.assistant.text == "Please call back."]
    assert turn.latency is not None
    stages = turn.latency.stages
    assert stages["answering_machine"] == pytest.approx(1300, abs=60)
    assert stages["program_call"] == pytest.approx(100, abs=20)
