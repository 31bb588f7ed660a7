"""Turns with a realtime model that no test had: push to talk, tools, words that come late, a task
in a tool, an STT beside the model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, RunContext, StopResponse

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool
from prefactor_agent.core import guard
from prefactor_agent.testing import Trace
from prefactor_agent.tracing import tracer
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.silences import Silence, silences
from support.line import Line, until
from support.realtime_line import RealtimeLine
from support.scripted import (
    Heard,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Use,
    silence,
    sound,
)
from support.scripted_realtime import ScriptedRealtime


class Host(TracedAgent):
    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="x", **options)

    @traced_tool
    async def look(self) -> str:
        """Look."""
        await asyncio.sleep(0.7)
        return "found"

    @traced_tool
    async def name(self) -> str:
        """Ask for a name."""
        return await Name(instructions="y")


class Name(TracedAgentTask[str]):
    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="ask")

    @traced_tool
    async def noted(self, ctx: RunContext[None]) -> None:
        """Note it."""
        self.complete("Ann")


def found(trace: Trace) -> tuple[Silence, ...]:
    """The silences of a call that is over, whose stages all sum to it."""
    assert not guard.failures
    spans = list(trace.calls[0].spans)
    assert not [span.type for span in spans if span.status == "active"]
    all_ = silences(build(spans)).all
    for one in all_:
        assert sum(stage.ms for stage in one.stages) == pytest.approx(one.ms)
    return all_


def stages(one: Silence) -> list[tuple[str, int]]:
    """Each stage that took some time, to 50 ms."""
    rounded = [(stage.name, 50 * round(stage.ms / 50)) for stage in one.stages]
    return [(name, ms) for name, ms in rounded if ms]


def heard(trace: Trace) -> list[str | None]:
    """The words of the user's turns."""
    spans = trace.spans("user_turn")
    assert {span.status for span in spans} == {"complete"}
    return [span.result.get("transcript") for span in spans]


@pytest.mark.parametrize("by_itself", [False, True])
@pytest.mark.parametrize("heard_after", [0.02, 0.6])
async def test_a_tool_has_its_own_stage(trace: Trace, heard_after: float, by_itself: bool) -> None:
    """Whether LiveKit asks for the answer to the result, or the model gives it by itself (as Gemini
    does), whose speech is then another one; and whenever the model tells what it heard."""
    model = ScriptedRealtime(
        [Use("look")],
        "Found it.",
        heard=["where is it"],
        heard_after=heard_after,
        answers_after=0.3,
        auto_tool_reply_generation=by_itself,
    )
    line = RealtimeLine(model)
    async with line.to(Host()):
        await line.says()
        await line.answers()
    (one,) = found(trace)
    assert stages(one) == [
        ("vad", 200),
        ("realtime_response", 300),
        ("tool:look", 700),
        ("realtime_response", 300),
        ("leading_silence", 100),
    ]
    assert one.turn.user is not None
    assert one.answer in one.turn.answers
    assert "filler" not in one.answer.span.result["latency"]
    assert heard(trace) == ["where is it"]


@pytest.mark.parametrize("heard_after", [0.02, 1.0])
async def test_push_to_talk(trace: Trace, heard_after: float) -> None:
    """The program takes the turn: LiveKit calls no hook, and there is no VAD."""
    model = ScriptedRealtime(
        "A.", "B.", heard=["one", "two"], heard_after=heard_after, turn_detection=False
    )
    line = RealtimeLine(model, turn_detection="manual")
    async with line.to(Host()):
        for count in (1, 2):
            await line.says(then=0.4)
            line.session.commit_user_turn()
            await line.answers(count)
            await asyncio.sleep(1.5)
    first, second = found(trace)
    expected = [("endpointing", 400), ("realtime_response", 100), ("leading_silence", 100)]
    assert stages(first) == stages(second) == expected
    assert heard(trace) == ["one", "two"]
    asked = [turn.user.text for turn in trace.turns if turn.user]
    assert asked == ["one", "two"]
    assert [turn.assistant.text for turn in trace.turns] == ["A.", "B."]


async def test_the_agent_that_awaited_a_task_is_listened_to_again(trace: Trace) -> None:
    """LiveKit makes a new session of the model for it, and enters nobody."""
    model = ScriptedRealtime(
        [Use("name")],
        "What is your name?",
        [Use("noted")],
        "Thank you.",
        "Noon.",
        answers_after=0.3,
    )
    line = RealtimeLine(model)
    async with line.to(Host()):
        for count in (1, 2, 3):
            await line.says(then=2.5)
            await line.answers(count)
    _, second, third = found(trace)
    assert stages(second)[-2] == ("realtime_response", 300)
    assert stages(third) == [("vad", 200), ("realtime_response", 300), ("leading_silence", 100)]
    assert third.answer.span.result["latency"]["basis"]["from"] == "audio"


async def test_who_goes_on_while_the_model_tells_the_first_words(trace: Trace) -> None:
    """One turn, with the words of both stretches."""
    model = ScriptedRealtime(
        "Yes.", heard=["my name is", "John Doe"], heard_after=0.5, answers_after=0.4
    )
    line = RealtimeLine(model)
    async with line.to(Host()):
        line.microphone.play([*sound(0.4), *silence(0.4), *sound(0.8), *silence(0.3)])
        await line.microphone.heard()
        await line.answers()
        await asyncio.sleep(1)
    assert heard(trace) == ["my name is John Doe"]
    (one,) = found(trace)
    assert stages(one) == [("vad", 200), ("realtime_response", 400), ("leading_silence", 100)]


async def test_words_that_are_told_before_the_hook_is_called(trace: Trace) -> None:
    """LiveKit waits for the tool of the speech before; the model tells what it heard meanwhile."""
    model = ScriptedRealtime([Use("look")], "B.", heard=["one", "two"], turn_detection=False)
    line = RealtimeLine(model, vad=ScriptedVAD(), turn_detection="vad", min_endpointing_delay=0.05)
    async with line.to(Host()):
        line.microphone.play([*sound(0.4), *silence(0.45), *sound(0.2), *silence(0.5)])
        await line.microphone.heard()
        await asyncio.sleep(1)
    assert heard(trace) == ["one", "two"]
    first, second = (span.id for span in trace.spans("user_turn"))
    answers = [span.result["user_turn_id"] for span in trace.spans("assistant_turn")]
    assert answers == [first, second]


async def test_a_wait_that_the_caller_breaks_off_before_the_model_tells_the_words(
    trace: Trace,
) -> None:
    """The voice begins with silence, in which the caller speaks again: nobody waited for it."""
    model = ScriptedRealtime(
        "This is the answer.", "B.", heard=["one", "two"], leading_silence=0.3, turn_detection=False
    )
    line = RealtimeLine(model, vad=ScriptedVAD(), turn_detection="vad", min_endpointing_delay=0.05)
    async with line.to(Host()):
        line.microphone.play([*sound(0.4), *silence(0.5), *sound(0.8), *silence(0.5)])
        await line.microphone.heard()
        await line.answers(2)
    (one,) = found(trace)
    assert one.turn.user is not None
    assert one.turn.user.span.result["transcript"] == "two"


@pytest.mark.parametrize("delay", [0.0, 0.5])
async def test_an_stt_beside_the_model(trace: Trace, delay: float) -> None:
    """Its words come after the model has taken the turn, and are not waited for."""
    model = ScriptedRealtime("A.", "B.", answers_after=0.05)
    line = RealtimeLine(model, stt=ScriptedSTT(*(Heard(w, delay=delay) for w in ("one", "two"))))
    async with line.to(Host()):
        for count in (1, 2):
            await line.says()
            await line.answers(count)
            await asyncio.sleep(1)
    assert heard(trace) == ["one", "two"]
    first, second = found(trace)
    assert stages(first)[:2] == [("vad", 200), ("realtime_response", 50)]
    assert stages(second)[:2] == [("vad", 200), ("realtime_response", 50)]


async def test_a_text_model_with_a_voice(trace: Trace) -> None:
    """The model writes: what it thinks about is its own, and the voice's first sentence is not."""
    model = ScriptedRealtime([Use("look")], "Found it.", audio=False, answers_after=0.3)
    voice = ScriptedTTS(first_byte=0.2, leading_silence=0.1)
    line = RealtimeLine(model, tts=voice)
    async with line.to(Host()):
        await line.says()
        await line.answers()
    (one,) = found(trace)
    assert stages(one) == [
        ("vad", 200),
        ("realtime_response", 300),
        ("tool:look", 700),
        ("realtime_response", 300),
        ("tts_ttfb", 200),
        ("leading_silence", 100),
    ]


@pytest.mark.parametrize("takes", ["model", "vad"])
async def test_an_agent_that_is_not_traced(trace: Trace, takes: str) -> None:
    """Nobody sees its hook: LiveKit's own word says which turn an answer is made for, also where it
    stops the speech before first."""
    model = ScriptedRealtime(
        "This answer is so long that it goes on while the caller says the next thing.",
        "B.",
        "C.",
        answers_after=0.3,
        turn_detection=takes == "model",
    )
    options: dict[str, Any] = {}
    if takes == "vad":
        options = {"vad": ScriptedVAD(), "turn_detection": "vad", "min_endpointing_delay": 0.05}
    line = RealtimeLine(model, **options)
    plain = Agent(instructions="x")
    tracer.trace(line.session, plain)
    async with line.to(plain):
        await line.says()
        await until(lambda: line.speaker.playing)
        await line.says(0.2)
        await line.answers(2)
        await line.says()
        await line.answers(3)
    for one in found(trace):
        assert stages(one) == [("vad", 200), ("realtime_response", 300)]
    asked = [span.id for span in trace.spans("user_turn")]
    answers = [span.result["user_turn_id"] for span in trace.spans("assistant_turn")]
    assert answers == asked
    assert heard(trace) == [None, None, None]


async def test_a_turn_that_a_hook_declines_which_nobody_sees(trace: Trace) -> None:
    """It ends where the caller was silent again, not in the middle of the next."""

    class Declining(Agent):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            if new_message.text_content == "one":
                raise StopResponse

    line = Line(hears=ScriptedSTT("one", "two"), thinks=ScriptedLLM("B."))
    plain = Declining(instructions="x")
    tracer.trace(line.session, plain)
    async with line.to(plain):
        await line.says()
        await line.says(then=1)
        await line.answers()
    first, second = trace.spans("user_turn")
    assert (first.status, second.status) == ("cancelled", "complete")
    assert first.finished_us is not None
    assert first.finished_us < second.started_us
