"""Push to talk, as in LiveKit's example: the button is let go right after the last word, while a
VAD still waits to be sure. The silence that LiveKit adds for the STT is no time that passed."""

from __future__ import annotations

import asyncio

import pytest

from prefactor_agent import TracedAgent
from prefactor_agent.testing import Trace
from support.line import Line
from support.scripted import Heard, ScriptedLLM, ScriptedSTT, ScriptedVAD, Wait, silence, sound


@pytest.mark.parametrize("between", [0.4, 3.0])
async def test_dead_air_begins_with_the_last_word_of_each_press(
    trace: Trace, between: float
) -> None:
    line = Line(
        hears=ScriptedSTT(*(Heard(words, delay=0.2) for words in ("one", "two", "three"))),
        thinks=ScriptedLLM(*([Wait(0.6), answer] for answer in ("A.", "B.", "C."))),
        vad=ScriptedVAD(end=0.55),
        turn_detection="manual",
    )
    clock = asyncio.get_running_loop().time
    heard: list[float] = []
    line.speaker.on("playback_started", lambda _: heard.append(clock() + 0.05))
    said: list[float] = []
    async with line.to(TracedAgent(instructions="x")):
        for count in (1, 2, 3):
            line.session.input.set_audio_enabled(True)
            line.microphone.play([*sound(1.2), *silence(0.05)])
            await line.microphone.heard()
            said.append(clock() - 0.05)
            line.session.input.set_audio_enabled(False)
            line.session.commit_user_turn()
            await line.answers(count)
            await asyncio.sleep(between)
    for turn, ended, began in zip(trace.turns, said, heard, strict=True):
        assert turn.latency is not None
        assert turn.latency.perceived_ms == pytest.approx((began - ended) * 1000, abs=30)
        (answer,) = (span for span in turn.assistant.spans if span.type.endswith("assistant_turn"))
        assert answer.result["latency"]["basis"] == {"from": "audio", "to": "audio"}
