"""A real session has what their cost is worked out of."""

from __future__ import annotations

from typing import Any

import pytest

import prefactor_agent
from prefactor_agent import TracedAgent
from prefactor_agent.pricing import costs
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, Tokens
from support.tree import Recorder

RATES: dict[str, dict[str, float]] = {
    "scripted/scripted-llm": {"input": 2.0, "output": 10.0},
    "scripted-tts": {"characters": 50.0},
}


def told(sink: Recorder) -> dict[str, Any]:
    [root] = [sink.plain(span) for span in sink.of("livekit:session")]
    assert root["payload"]["rates"] == RATES
    used = root["result"]["usage"]["model_usage"]
    found = costs(used, lambda provider, model: RATES.get(f"{provider}/{model}", RATES.get(model)))
    return {one.kind: (one.usd, one.unpriced) for one in found}


async def test_a_spoken_call_costs_what_its_models_used(sink: Recorder) -> None:
    prefactor_agent.configure(rates=RATES)
    line = Line(
        hears=ScriptedSTT("tea"),
        thinks=ScriptedLLM(["Three.", Tokens(1000, 200)]),
        speaks=ScriptedTTS(seconds_per_character=0.01),
    )
    async with line.to(TracedAgent(instructions="help")):
        await line.says(0.3)
        await line.answers(1)
    found = told(sink)
    assert found["llm"] == (pytest.approx((1000 * 2 + 200 * 10) / 1e6), ())
    assert found["tts"] == (pytest.approx(len("Three.") * 50 / 1e6), ())
