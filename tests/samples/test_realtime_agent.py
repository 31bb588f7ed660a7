"""The realtime sample: as it is made, and with a scripted model in the provider's place."""

from __future__ import annotations

import pytest
from livekit.plugins import openai
from samples.realtime_agent import Counter, new_session

from prefactor_agent.tracing import tracer
from support.line import until
from support.scripted import Microphone, Speaker, Use, silence, sound
from support.scripted_realtime import ScriptedRealtime
from support.tree import Recorder, check, outline


async def test_it_is_made_with_openais_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    assert isinstance(new_session().llm, openai.realtime.RealtimeModel)


async def test_a_price_is_asked_for() -> None:
    sink = Recorder()
    tracer.send_to(sink)
    model = ScriptedRealtime(
        [Use("price", {"item": "kettle"})], "Thirty pounds.", heard=["how much is the kettle"]
    )
    session = new_session(model, vad=None, aec_warmup_duration=None)
    microphone, speaker = Microphone(), Speaker()
    session.input.audio, session.output.audio = microphone, speaker
    await session.start(Counter())
    microphone.play([*silence(0.3), *sound(0.4), *silence(0.5)])
    await until(lambda: speaker.finished)
    await session.aclose()
    assert outline(sink) == [
        "session",
        "  user_turn: how much is the kettle",
        "  assistant_turn: Thirty pounds.",
        "    realtime",
        "    tool:price: returned",
        "      tool_result price: returned",
        "    transcription: Thirty pounds.",
    ]
    check(sink)
