"""A voice that falters in its leading silence is drawn where it was heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit import rtc

from prefactor_agent import TracedAgent
from prefactor_agent.testing import collecting
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.sounds import played
from support import virtual_time
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, silence, sound


class Faltering(TracedAgent):
    """Gives 0.2 s of silence, nothing for 0.6 s, 0.1 s of silence more, and then speaks."""

    def __init__(self) -> None:
        super().__init__(instructions="x")

    async def tts_node(self, text: Any, _settings: Any) -> AsyncIterator[rtc.AudioFrame]:
        async for _ in text:
            pass
        for frame in silence(0.2):
            yield frame
        await asyncio.sleep(0.6)
        for frame in (*silence(0.1), *sound(0.6)):
            yield frame


def test_it_is_drawn_where_the_dead_air_ends() -> None:
    async def talk() -> None:
        line = Line(hears=ScriptedSTT("Where is it?"), thinks=ScriptedLLM("It ships today."))
        async with line.to(Faltering()):
            await line.says()
            await line.answers(1)

    with collecting() as trace:
        virtual_time.run(talk())
    call = build(trace.spans())
    (turn,) = call.turns
    (answer,) = turn.answers
    latency = answer.span.result["latency"]
    assert turn.user is not None
    silent_from = call.started_us + turn.user.span.result["moments_us"]["speech_ended"]
    heard = silent_from + latency["perceived_ms"] * 1000
    stages = {stage["name"]: stage["ms"] for stage in latency["stages"]}
    # 0.2 s played, 0.4 s of the 0.6 s in which nothing came were waited for, 0.1 s played.
    assert stages["leading_silence"] == pytest.approx(700, abs=20)
    stretches, sounds = played(call, answer)
    assert sounds[0].started_us == pytest.approx(heard, abs=15_000)
    assert stretches[0].ended_us - stretches[0].started_us == pytest.approx(200_000, abs=15_000)
    assert sounds[-1].ended_us - sounds[0].started_us == pytest.approx(600_000, abs=15_000)
