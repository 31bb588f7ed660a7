"""Realtime models: they hear, think and speak by themselves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from livekit import rtc

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.core import guard
from prefactor_agent.pricing import costs
from prefactor_agent.record.audio.block import Block
from prefactor_agent.record.models.realtime import Realtime
from support.line import Line as NodesLine
from support.line import until
from support.realtime_line import RealtimeLine as Line
from support.scripted import (
    Heard,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedVAD,
    Use,
    Wait,
)
from support.scripted_realtime import ScriptedRealtime
from support.seams import broken
from support.tree import JSON, Recorder, check, in_order, of, outline


class Host(TracedAgent):
    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="help", **options)

    @traced_tool
    async def price(self, item: str) -> str:
        """What an item costs."""
        await asyncio.sleep(0.1)
        return f"{item}: 3"


def stages(turn: JSON) -> dict[str, float]:
    latency = turn["result"]["latency"]
    found: dict[str, float] = {}
    for one in latency["stages"]:
        found[one["name"]] = found.get(one["name"], 0) + one["ms"]
    assert round(sum(found.values()), 3) == latency["perceived_ms"]
    return found


async def test_its_tokens_cost_as_audio(sink: Recorder) -> None:
    line = Line(ScriptedRealtime(["It is noon."], heard=["what time is it"], answers_after=0.15))
    async with line.to(Host()):
        await line.says(0.5)
        await line.answers()
        await asyncio.sleep(0.3)
    (root,) = of(sink, "session")
    rates = {"input": 4.0, "output": 16.0, "audio_input": 32.0, "audio_output": 64.0}
    (cost,) = costs(root["result"]["usage"]["model_usage"], lambda *_: rates)
    assert (cost.kind, cost.name) == ("llm", "scripted/scripted-realtime")
    # Ten tokens in and eleven out, all of them of audio.
    assert cost.usd == pytest.approx((10 * 32 + 11 * 64) / 1e6)
    assert cost.unpriced == ()


@pytest.mark.parametrize("heard_after", [0.02, 0.6])
async def test_a_question_and_its_answer(heard_after: float, sink: Recorder) -> None:
    """The words of the question come before the answer begins, or while it is spoken."""
    model = ScriptedRealtime(
        ["It is ", "noon."], heard=["what time is it"], heard_after=heard_after, answers_after=0.15
    )
    line = Line(model)
    async with line.to(Host()):
        await line.says(0.5)
        await line.answers()
        await asyncio.sleep(0.3)
    assert outline(sink) == [
        "session",
        "  user_turn: what time is it",
        "  assistant_turn: It is noon.",
        "    realtime",
        "    transcription: It is noon.",
    ]
    check(sink)
    (user,), (answer,) = of(sink, "user_turn"), of(sink, "assistant_turn")
    (voice,) = of(sink, "realtime")
    assert user["result"]["is_final"] is True
    in_order(user, "speech_started", "vad_started", "speech_ended", "vad_ended", "committed")
    assert answer["result"]["user_turn_id"] == user["id"]
    assert answer["result"]["generated_text"] == "It is noon."
    assert (voice["payload"]["model_name"], voice["payload"]["provider"]) == (
        "scripted-realtime",
        "scripted",
    )
    assert voice["result"]["token_usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 11,
        "total_tokens": 21,
    }
    assert voice["result"]["usage"]["input_token_details"]["audio_tokens"] == 10
    assert voice["result"]["request_id"] == "response-1"
    seconds = sum(frame.duration for frame in line.speaker.frames)
    assert voice["result"]["audio_seconds"] == pytest.approx(seconds, abs=0.001)
    assert voice["result"]["leading_silence_ms"] == pytest.approx(100, abs=11)
    assert set(voice["chunks"]["audio"]["dbfs"]) == {-127, -12}

    # Both ends of the silence are measured on the sound.
    assert answer["result"]["latency"]["basis"] == {"from": "audio", "to": "audio"}
    found = stages(answer)
    assert found["vad"] > 120  # the model waits for 200 ms of silence
    assert found["leading_silence"] > 70
    assert sum(found.values()) > 350
    # The user's voice is in the trace as the agent's is.
    heard = user["chunks"]["audio"]
    assert max(heard["dbfs"]) == -12
    begun = user["result"]["moments_us"]["speech_started"]
    (root,) = of(sink, "session")
    assert user["started_us"] - root["started_us"] == pytest.approx(begun, abs=1)


async def test_what_the_model_is_given_is_what_it_is_given_without_us(sink: Recorder) -> None:
    model = ScriptedRealtime("Noon.", heard=["what time is it"])
    line = Line(model)
    async with line.to(Host()):
        await line.says()
        await line.answers()
        assert len(model.sessions) == 1
        count = len(model.sessions[0].frames)
    assert count >= 110
    check(sink)
    assert "push_audio" not in vars(model.sessions[0])
    mine = [one for each in model.sessions[0]._events.values() for one in each]
    assert not [one for one in mine if "prefactor" in str(getattr(one, "__module__", ""))]


async def test_a_model_that_does_not_tell_what_it_heard(sink: Recorder) -> None:
    line = Line(ScriptedRealtime("Noon.", "One."))
    async with line.to(Host()):
        for count in (1, 2):
            await line.says()
            await line.answers(count)
    assert [row for row in outline(sink) if "turn" in row] == [
        "  user_turn",
        "  assistant_turn: Noon.",
        "  user_turn",
        "  assistant_turn: One.",
    ]
    check(sink)
    users, answers = of(sink, "user_turn"), of(sink, "assistant_turn")
    for user, answer in zip(users, answers, strict=True):
        assert not {"transcript", "interim_revisions"} & set(user["result"])
        assert answer["result"]["user_turn_id"] == user["id"]
        assert "latency" in answer["result"]


async def test_words_that_never_come_are_not_those_of_the_next_turn(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefactor_agent.record.turns import awaited_words

    monkeypatch.setattr(awaited_words, "AWAITED_NS", 300_000_000)
    line = Line(ScriptedRealtime("Noon.", "One.", heard=[None, "and now"]))
    async with line.to(Host()):
        for count in (1, 2):
            await line.says()
            await line.answers(count)
        await asyncio.sleep(0.1)
    check(sink)
    users = of(sink, "user_turn")
    assert [user["result"].get("transcript") for user in users] == [None, "and now"]


async def test_each_answer_belongs_to_its_turn(sink: Recorder) -> None:
    line = Line(ScriptedRealtime("Noon.", "One.", heard=["now", "and then"], heard_after=0.3))
    async with line.to(Host()):
        for count in (1, 2):
            await line.says()
            await line.answers(count)
        await asyncio.sleep(0.3)
    assert [row for row in outline(sink) if "turn" in row] == [
        "  user_turn: now",
        "  assistant_turn: Noon.",
        "  user_turn: and then",
        "  assistant_turn: One.",
    ]
    check(sink)
    users, answers = of(sink, "user_turn"), of(sink, "assistant_turn")
    assert [a["result"]["user_turn_id"] for a in answers] == [u["id"] for u in users]
    used = [v["result"]["token_usage"]["completion_tokens"] for v in of(sink, "realtime")]
    assert used == [len("Noon."), len("One.")]


async def test_a_tool_of_a_realtime_model_is_below_its_answer(sink: Recorder) -> None:
    model = ScriptedRealtime([Use("price", {"item": "tea"})], "Three.", heard=["tea?"])
    line = Line(model)
    async with line.to(Host()):
        await line.says()
        await line.answers()
    assert outline(sink) == [
        "session",
        "  user_turn: tea?",
        "  assistant_turn: Three.",
        "    realtime",
        "    llm",
        "    tool:price: returned",
        "      tool_result price: returned",
        "    transcription: Three.",
    ]
    check(sink)
    (tool,), (answer,) = of(sink, "tool:price"), of(sink, "assistant_turn")
    assert tool["payload"]["inputs"] == {"item": "tea"}
    assert answer["result"]["tool_calls"] == 1
    # Two replies were made, one of them without a sound.
    (silent,), (spoken,) = of(sink, "llm"), of(sink, "realtime")
    assert silent["payload"]["from_metrics"] is True
    assert silent["result"]["token_usage"]["total_tokens"] == 10
    assert spoken["result"]["token_usage"]["total_tokens"] == 10 + len("Three.")


async def test_a_reply_that_the_program_asks_for(sink: Recorder) -> None:
    model = ScriptedRealtime("Welcome.", "Noon.")
    line = Line(model)
    async with line.to(Host()):
        await line.session.generate_reply(instructions="greet")
        await line.session.generate_reply(user_input="what time is it")
    assert [row for row in outline(sink) if "turn" in row] == [
        "  assistant_turn: Welcome.",
        "  user_turn: what time is it",
        "  assistant_turn: Noon.",
    ]
    check(sink)
    greeting, answer = of(sink, "assistant_turn")
    assert "user_turn_id" not in greeting["result"]
    assert answer["result"]["user_turn_id"] == of(sink, "user_turn")[0]["id"]
    assert [voice["result"]["request_id"] for voice in of(sink, "realtime")] == [
        "response-1",
        "response-2",
    ]
    assert model.sessions[0].instructions[-1] == "greet"


async def test_interrupted_by_the_user(sink: Recorder) -> None:
    model = ScriptedRealtime(
        "A very long answer that goes on and on and on.", "Yes?", heard=["tell me", "stop"]
    )
    line = Line(model)
    async with line.to(Host()):
        await line.says(then=0.7)
        await line.says(0.5)
        await line.answers(2)
        await asyncio.sleep(0.1)
    check(sink)
    users, (cut, answer) = of(sink, "user_turn"), of(sink, "assistant_turn")
    result = cut["result"]
    assert (result["interrupted"], result["interrupted_by"]) == (True, "user")
    assert result["generated_text"].startswith("A very long answer")
    assert 0 < result["playback_position_s"] < 1.5
    assert model.sessions[0].truncated == [int(result["playback_position_s"] * 1000)]
    assert 0 < result["barge_in_ms"] < 500
    assert [user["result"]["transcript"] for user in users] == ["tell me", "stop"]
    assert result["user_turn_id"] == users[0]["id"]
    assert answer["result"]["user_turn_id"] == users[1]["id"]
    assert answer["result"]["interrupted"] is False


async def test_interrupted_while_it_is_made(sink: Recorder) -> None:
    model = ScriptedRealtime(["It is ", Wait(10), "noon."])
    line = Line(model)
    async with line.to(Host()):
        speech = line.session.generate_reply(instructions="tell")
        await until(lambda: line.speaker.frames)
        await asyncio.sleep(0.1)
        speech.interrupt()
        await speech
        await asyncio.sleep(0.1)
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    assert (turn["result"]["interrupted"], turn["result"]["interrupted_by"]) == (True, "program")
    assert turn["result"]["generated_text"] == "It is "


@pytest.mark.parametrize("heard", [["what time is it"], None])
async def test_turns_that_the_program_or_a_vad_takes(
    heard: list[str] | None, sink: Recorder
) -> None:
    """LiveKit takes the turn, calls the hook, and asks the model."""
    model = ScriptedRealtime("Noon.", heard=heard, turn_detection=False)
    line = Line(model, vad=ScriptedVAD(), turn_detection="vad", min_endpointing_delay=0.05)
    async with line.to(Host()):
        await line.says(then=1.0)
        await line.answers()
        await asyncio.sleep(0.1)
    assert [row for row in outline(sink) if "turn" in row] == [
        "  user_turn: what time is it" if heard else "  user_turn",
        "  assistant_turn: Noon.",
    ]
    check(sink)
    (user,), (answer,) = of(sink, "user_turn"), of(sink, "assistant_turn")
    in_order(user, "speech_started", "speech_ended", "vad_ended", "committed", "hook_done")
    assert answer["result"]["user_turn_id"] == user["id"]
    assert answer["result"]["latency"]["basis"]["from"] == "audio"


@pytest.mark.parametrize("delay", [0.0, 0.5])
async def test_with_an_stt_of_its_own(delay: float, sink: Recorder) -> None:
    """An STT beside the model: its node hears the user, and nobody hears twice. Its words can come
    when the model already speaks."""
    line = Line(ScriptedRealtime("Noon."), stt=ScriptedSTT(Heard("what time is it", delay=delay)))
    async with line.to(Host()):
        await line.says()
        await line.answers()
        await asyncio.sleep(0.4)
    check(sink)
    (user,), (stt,) = of(sink, "user_turn"), of(sink, "stt")
    assert user["result"]["transcript"] == stt["result"]["transcript"] == "what time is it"
    assert stt["parent_id"] == user["id"]
    assert not user["chunks"]
    assert 0.4 <= stt["result"]["audio_seconds"] < 1.5
    assert of(sink, "assistant_turn")[0]["result"]["user_turn_id"] == user["id"]


async def test_the_next_agent_has_a_session_of_its_own(sink: Recorder) -> None:
    class Sales(Host):
        async def on_enter(self) -> None:
            self.session.generate_reply(instructions="greet")

    class Reception(Host):
        @traced_tool
        async def transfer(self) -> TracedAgent:
            """Hands over to sales."""
            return Sales()

    model = ScriptedRealtime([Use("transfer")], "Sales here.", "Sure.", heard=["sales", "tea"])
    line = Line(model)
    async with line.to(Reception()):
        await line.says()
        await line.answers(1)
        await line.says()
        await line.answers(2)
        await asyncio.sleep(0.1)
        assert "push_audio" not in vars(model.sessions[0])
        assert "push_audio" in vars(model.sessions[-1])
    assert len(model.sessions) == 2
    check(sink)
    first, second = of(sink, "user_turn")
    said = {turn["result"]["spoken_text"]: turn["result"] for turn in of(sink, "assistant_turn")}
    assert (first["result"]["transcript"], second["result"]["transcript"]) == ("sales", "tea")
    assert said["Sure."]["user_turn_id"] == second["id"]
    # The silence after the first question was ended by the agent that was handed over to.
    assert "latency" in said["Sales here."]
    assert max(second["chunks"]["audio"]["dbfs"]) == -12


async def test_calls_at_the_same_time(sink: Recorder) -> None:
    """One with a realtime model, and one with nodes."""
    one = Line(ScriptedRealtime("Noon.", heard=["what time is it"]))
    other = NodesLine(hears=ScriptedSTT("how much is tea"), thinks=ScriptedLLM("Three."))

    async def call(line: Any) -> None:
        async with line.to(Host()):
            await line.says()
            await line.answers()
            await asyncio.sleep(0.2)

    await asyncio.gather(call(one), call(other))
    spans = check(sink)
    talks = []
    for root in of(sink, "session"):
        mine = [span for span in spans if span["session_id"] == root["id"]]
        turns = [span["result"] for span in mine if span["type"].endswith("_turn")]
        talks.append([turn.get("transcript", turn.get("spoken_text")) for turn in turns])
    assert sorted(talks) == [["how much is tea", "Three."], ["what time is it", "Noon."]]


async def test_pictures_reach_the_model(sink: Recorder) -> None:
    model = ScriptedRealtime()
    line = Line(model)
    async with line.to(Host()):
        frame = rtc.VideoFrame(4, 4, rtc.VideoBufferType.RGBA, bytes(64))
        line.session._activity.push_video(frame)  # type: ignore[union-attr]
        assert model.sessions[0].pictures == [frame]
    check(sink)


@pytest.mark.parametrize(
    "name", ["follow", "_on_generation", "_note_reply", "_on_metrics", "_note_usage", "look"]
)
async def test_a_failure_of_ours_is_not_the_models(
    name: str, sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScriptedRealtime("Noon.", heard=["what time is it"])
    line = Line(model)
    with contextlib.ExitStack() as stack:
        if name == "look":

            def fails(*_arguments: Any) -> None:
                raise LookupError("a defect of ours")

            monkeypatch.setattr(Block, "add", fails)
        else:
            stack.enter_context(broken(getattr(Realtime, name)))
        async with line.to(Host()):
            await line.says(then=0.3)
            await line.answers()
    assert guard.failures
    assert len(model.sessions[0].frames) >= 100
    said = [item.text_content for item in line.session.history.items if item.type == "message"]
    assert said == ["what time is it", "Noon."]
