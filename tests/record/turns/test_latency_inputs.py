"""Which speech ends the silence, and what it is made of, in real sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import AgentSession, RunContext, StopResponse, TurnHandlingOptions

import prefactor_agent
from prefactor_agent import BudgetExceeded, TracedAgent, traced_tool
from support.memory_sink import MemorySink
from support.scripted import (
    Heard,
    Microphone,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Speaker,
    Use,
    Wait,
    silence,
    sound,
)

JSON = dict[str, Any]


class Line:
    """One call of which both ends are ours."""

    def __init__(
        self, model: ScriptedLLM | None, *heard: str | Heard, streaming: bool = True, **options: Any
    ) -> None:
        self.microphone, self.speaker = Microphone(), Speaker()
        turns: JSON = {"turn_detection": "vad", "endpointing": {"min_delay": 0.05}, **options}
        more: JSON = {}
        if "preemptive_generation" not in TurnHandlingOptions.__annotations__:
            # Before it was an option of turn handling it was one of the session.
            preemptive = turns.pop("preemptive_generation", {"enabled": True})
            more["preemptive_generation"] = preemptive["enabled"]
        self.session: AgentSession[None] = AgentSession(
            **more,
            stt=ScriptedSTT(*heard, streaming=streaming),
            **({"llm": model} if model is not None else {}),
            tts=ScriptedTTS(first_byte=0.1, leading_silence=0.1, streaming=streaming),
            vad=ScriptedVAD(),
            turn_handling=turns,  # type: ignore[arg-type]
        )
        self.session.input.audio, self.session.output.audio = self.microphone, self.speaker

    @asynccontextmanager
    async def to(self, agent: TracedAgent) -> AsyncIterator[Line]:
        async with asyncio.timeout(20):
            await self.session.start(agent)
            await asyncio.sleep(0.05)  # the session listens
            yield self
            await self.session.aclose()

    def says(self, seconds: float = 0.4, then: float = 1.5) -> None:
        self.microphone.play([*silence(0.3), *sound(seconds), *silence(then)])

    async def answers(self, count: int = 1) -> None:
        while len(self.speaker.finished) < count:
            await asyncio.sleep(0.01)


def turns(sink: MemorySink) -> list[JSON]:
    return [sink.plain(span)["result"] for span in sink.of("livekit:assistant_turn")]


def stages(result: JSON) -> dict[str, float]:
    latency = result["latency"]
    found: dict[str, float] = {}
    for one in latency["stages"]:
        found[one["name"]] = found.get(one["name"], 0) + one["ms"]
    assert round(sum(found.values()), 3) == latency["perceived_ms"]
    assert found.get("unattributed", 0) < 1, found
    return found


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("preemptive", [True, False])
async def test_a_plain_turn_has_all_its_stages(
    streaming: bool, preemptive: bool, sink: MemorySink
) -> None:
    line = Line(
        ScriptedLLM([Wait(0.3), "Noon."]),
        Heard("what time is it", delay=0.02),
        streaming=streaming,
        preemptive_generation={"enabled": preemptive},
    )
    async with line.to(TracedAgent(instructions="help")):
        line.says()
        await line.answers()
    (result,) = turns(sink)
    found = stages(result)
    assert result["latency"]["basis"] == {"from": "audio", "to": "audio"}
    assert found["vad"] == pytest.approx(200, abs=1)
    assert found["leading_silence"] == pytest.approx(100, abs=1)
    assert found["llm_ttft"] <= 301
    if not preemptive:
        assert found["llm_ttft"] == pytest.approx(300, abs=1)
    assert sink.one("livekit:session")["result"]["latency"]["turns"] == 1


async def test_a_filler_from_a_tool_ends_the_silence(sink: MemorySink) -> None:
    class Slow(TracedAgent):
        @traced_tool
        async def look(self, context: RunContext) -> str:
            """Look it up."""
            await asyncio.sleep(0.2)
            context.session.say("One moment.")
            await asyncio.sleep(0.8)
            return "it is noon"

    line = Line(ScriptedLLM([Use("look")], ["It is noon."]), "what time is it")
    async with line.to(Slow(instructions="help")):
        line.says(then=4)
        await line.answers(2)
        await asyncio.sleep(0.1)
    answer, filler = turns(sink)
    found = stages(filler)
    assert filler["latency"]["filler"] is True
    assert found["tool:look"] == pytest.approx(200, abs=1)
    assert "latency" not in answer
    assert answer["first_sound_by"] == sink.of("livekit:assistant_turn")[1].id
    assert answer["answer_ms"] > filler["latency"]["perceived_ms"] + 700


async def test_the_first_words_of_the_agent_that_was_handed_over_to_end_the_silence(
    sink: MemorySink,
) -> None:
    class Sales(TracedAgent):
        async def on_enter(self) -> None:
            await asyncio.sleep(0.15)
            self.session.generate_reply(instructions="greet")

    class Reception(TracedAgent):
        @traced_tool
        async def transfer(self) -> TracedAgent:
            """Transfer to sales."""
            return Sales(instructions="sell")

    line = Line(ScriptedLLM([Use("transfer")], ["Sales, hello."]), "sales please")
    async with line.to(Reception(instructions="help")):
        line.says(then=4)
        await line.answers()
        await asyncio.sleep(0.1)
    heard = [one for one in turns(sink) if "latency" in one]
    assert len(heard) == 1
    found = stages(heard[0])
    assert found["on_enter"] == pytest.approx(150, abs=1)
    assert "filler" not in heard[0]["latency"]


async def test_words_of_the_hook_without_a_model_end_the_silence(sink: MemorySink) -> None:
    class Parrot(TracedAgent):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            await asyncio.sleep(0.1)
            self.session.say("You said it.")
            raise StopResponse

    line = Line(ScriptedLLM(), "polly", preemptive_generation={"enabled": False})
    async with line.to(Parrot(instructions="repeat")):
        line.says()
        await line.answers()
    (result,) = turns(sink)
    found = stages(result)
    assert found["on_user_turn_completed"] == pytest.approx(100, abs=1)
    assert found["tts_ttfb"] == pytest.approx(100, abs=1)


async def test_what_the_program_says_later_by_itself_is_no_answer(sink: MemorySink) -> None:
    class Silent(TracedAgent):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            raise StopResponse

    line = Line(ScriptedLLM(), "hm", preemptive_generation={"enabled": False})
    async with line.to(Silent(instructions="wait")):
        line.says()
        await asyncio.sleep(1.5)
        line.session.say("Are you still there?")
        await line.answers()
    (result,) = turns(sink)
    assert "latency" not in result


async def test_a_manual_turn_waits_for_the_program(sink: MemorySink) -> None:
    line = Line(
        ScriptedLLM(["Noon."]), "what time is it", turn_detection="manual",
        preemptive_generation={"enabled": False},
    )  # fmt: skip
    async with line.to(TracedAgent(instructions="help")):
        line.says(then=3)
        await asyncio.sleep(1.4)  # 0.7 s after the end of the speech
        line.session.commit_user_turn()
        await line.answers()
    (result,) = turns(sink)
    found = stages(result)
    waited = found["vad"] + found.get("transcript", 0) + found["endpointing"]
    assert waited >= 600


async def test_the_silence_after_a_typed_turn_begins_when_it_came_in(sink: MemorySink) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM([Wait(0.1), "Noon."]))
    await session.start(TracedAgent(instructions="help"))
    await session.run(user_input="what time is it")
    await session.aclose()
    (result,) = turns(sink)
    assert result["latency"]["basis"] == {"from": "text", "to": "text"}
    assert stages(result)["llm_ttft"] == pytest.approx(100, abs=1)


async def test_a_barge_in_lasts_until_the_agents_last_sound(sink: MemorySink) -> None:
    line = Line(
        ScriptedLLM(["A very long answer that goes on and on. " * 30], ["Yes."]),
        "what time is it",
        "stop it",
        interruption={"mode": "vad", "min_duration": 0.3},
    )
    async with line.to(TracedAgent(instructions="help")):
        line.says(then=5)  # in the first three seconds of its speech nobody can interrupt
        line.says(seconds=1.0, then=2)
        await line.answers(2)
    first = turns(sink)[0]
    assert first["interrupted"]
    assert 250 <= first["barge_in_ms"] <= 600
    assert first["overlap_ms"] == first["barge_in_ms"]


async def test_a_budget_is_told_while_the_caller_still_waits(sink: MemorySink) -> None:
    told: list[BudgetExceeded] = []

    async def react(event: BudgetExceeded) -> None:
        told.append(event)
        if not event.answered:
            event.session.say("One moment.")
        raise RuntimeError("the application's own mistake")

    prefactor_agent.configure(
        budgets={"perceived": 0.6, "llm_ttft": 0.2, "tts_ttfb": 5.0}, on_budget_exceeded=react
    )
    line = Line(
        ScriptedLLM([Wait(1.0), "Noon."]),
        "what time is it",
        preemptive_generation={"enabled": False},
    )
    async with line.to(TracedAgent(instructions="help")):
        line.says(then=4)
        await line.answers()
    assert not told[0].answered
    assert set(told[0].exceeded) == {"perceived", "llm_ttft"}
    assert told[0].perceived == pytest.approx(0.6, abs=0.002)
    assert told[0].transcript == "what time is it"
    assert len(told) == 1  # each budget once
    result = next(one for one in turns(sink) if "latency" in one)
    assert set(result["latency"]["over_budget"]) >= {"perceived"}
    assert sink.one("livekit:session")["result"]["latency"]["over_budget"] == 1


async def test_no_budget_is_told_of_a_turn_within_it(sink: MemorySink) -> None:
    told: list[BudgetExceeded] = []
    prefactor_agent.configure(budgets={"perceived": 5}, on_budget_exceeded=told.append)
    line = Line(ScriptedLLM(["Noon."]), "what time is it")
    async with line.to(TracedAgent(instructions="help")):
        line.says()
        await line.answers()
    assert told == []
    assert "over_budget" not in turns(sink)[0]["latency"]


def test_a_budget_has_to_be_a_time() -> None:
    for wrong in (-1, float("nan"), "fast"):
        with pytest.raises(prefactor_agent.ConfigurationError, match="budgets: perceived"):
            prefactor_agent.configure(budgets={"perceived": wrong})  # type: ignore[dict-item]
