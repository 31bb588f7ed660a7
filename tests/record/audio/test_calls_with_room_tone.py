"""Whole calls with a voice whose audio begins with the tone of its room, or a soft breath: the
silence lasts until it is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from livekit import rtc

from prefactor_agent import TracedAgent
from prefactor_agent.testing import Trace, collecting
from support.line import Line
from support.scripted import RATE, ScriptedLLM, ScriptedSTT, silence, sound
from support.scripted_realtime import ScriptedRealtime

TOLERANCE_MS = 10
LEAD = 0.5


def noise(seconds: float, dbfs: float, *, swells: bool = False) -> Iterator[rtc.AudioFrame]:
    generator = np.random.default_rng(3)
    count = round(seconds * 100)
    for number in range(count):
        loud = 32_768 * 10 ** (dbfs / 20) * (np.sin(np.pi * number / count) if swells else 1)
        samples = generator.normal(0, loud, RATE // 100).astype(np.int16)
        yield rtc.AudioFrame(samples.tobytes(), RATE, 1, RATE // 100)


LEADS = {
    "digital silence": lambda: silence(LEAD),
    "hiss": lambda: noise(LEAD, -55),
    "loud hiss": lambda: noise(LEAD, -42),
    "a soft breath": lambda: [*noise(0.3, -54, swells=True), *silence(0.2)],
    "silence, then hiss": lambda: [*silence(0.2), *noise(0.3, -48)],
    "a click": lambda: [*silence(0.1), *sound(0.01), *silence(0.39)],
}


class Recorded(TracedAgent):
    def __init__(self, lead: str) -> None:
        super().__init__(instructions="x")
        self.lead = LEADS[lead]

    async def tts_node(self, text: Any, _settings: Any) -> AsyncIterator[rtc.AudioFrame]:
        async for _ in text:
            pass
        for frame in (*self.lead(), *sound(0.6)):
            yield frame

    async def realtime_audio_output_node(
        self, audio: Any, _settings: Any
    ) -> AsyncIterator[rtc.AudioFrame]:
        for frame in self.lead():
            yield frame
        async for frame in audio:
            yield frame


async def hold(line: Line, agent: TracedAgent) -> tuple[Trace, list[float]]:
    heard: list[float] = []
    line.speaker.on("playback_started", lambda event: heard.append(event.created_at + LEAD))
    with collecting() as trace:
        async with line.to(agent):
            for count in (1, 2):
                await line.says()
                await line.answers(count)
    return trace, heard


def check(trace: Trace, heard: list[float], kind: str) -> None:
    users = trace.spans("user_turn")
    answers = [turn for turn in trace.spans("assistant_turn") if "latency" in turn.result]
    root = trace.spans("session")[0].started_us / 1e3
    assert len(users) == len(answers) == len(heard) == 2
    for user, answer, moment in zip(users, answers, heard, strict=True):
        silent_from = root + user.result["moments_us"]["speech_ended"] / 1e3
        true_ms = moment * 1e3 - silent_from
        latency = answer.result["latency"]
        assert latency["perceived_ms"] == pytest.approx(true_ms, abs=TOLERANCE_MS)
        stages = {stage["name"]: stage["ms"] for stage in latency["stages"]}
        assert stages["leading_silence"] == pytest.approx(LEAD * 1e3, abs=TOLERANCE_MS)
    for span in trace.spans(kind):
        assert span.result["leading_silence_ms"] == pytest.approx(LEAD * 1e3, abs=TOLERANCE_MS)


@pytest.mark.parametrize("lead", LEADS)
async def test_the_silence_lasts_until_the_voice_is_heard(lead: str) -> None:
    line = Line(hears=ScriptedSTT("one", "two"), thinks=ScriptedLLM("An answer.", "Another."))
    check(*await hold(line, Recorded(lead)), "tts")


@pytest.mark.parametrize("lead", LEADS)
async def test_the_silence_lasts_until_a_realtime_models_voice_is_heard(lead: str) -> None:
    model = ScriptedRealtime("An answer.", "Another.", heard=["one", "two"], leading_silence=0)
    check(*await hold(Line(thinks=model, vad=None), Recorded(lead)), "realtime")
