"""The sample with overridden nodes, on a scripted line."""

from __future__ import annotations

from livekit.agents import AgentSession
from samples.custom_nodes import CarefulAgent

from support.line import Line
from support.scripted import Heard, ScriptedLLM, ScriptedSTT
from support.tree import JSON, Recorder, check, outline


def only(sink: Recorder, type_: str) -> JSON:
    (span,) = [one for one in check(sink) if one["type"] == f"livekit:{type_}"]
    return span


async def test_each_override_is_traced_once(sink: Recorder) -> None:
    line = Line(
        hears=ScriptedSTT(Heard("um, what is uh my number")),
        thinks=ScriptedLLM(["It is ", "12345678, ", "approx."]),
    )
    async with line.to(CarefulAgent()):
        await line.says(0.4)
        await line.answers()
    assert outline(sink) == [
        "session",
        "  user_turn: what is my number",
        "    stt: what is my number",
        "  assistant_turn: It is ••••5678, approx. / It is 12345678, approx.",
        "    llm: It is 12345678, approx.",
        "    transcription: It is ••••5678, approx.",
        "    tts: It is 12345678, approx.",
    ]
    # The node was given the abbreviation; the voice behind it was given the word.
    assert line.voice.spoken == ["It is 12345678, approximately"]
    audio = only(sink, "tts")["result"]["audio_seconds"]
    assert audio > 0.2


async def test_a_long_history_is_cut_for_the_model_alone(sink: Recorder) -> None:
    model = ScriptedLLM(*(f"answer {n}" for n in range(10)))
    session: AgentSession[None] = AgentSession(llm=model)
    session.output.audio = None
    await session.start(CarefulAgent())
    for n in range(10):
        await session.run(user_input=f"question {n}")
    await session.aclose()
    check(sink)
    assert len(model.requests[-1].items) <= 13
    inputs = sink.plain(sink.of("livekit:llm")[-1])["payload"]["inputs"]
    assert inputs["messages_total"] > len(model.requests[-1].items)  # what the node was given
    assert len(session.history.items) >= 20
