"""Agents whose nodes are not traced: what LiveKit's own measurements tell of their models."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, RunContext, function_tool, llm
from livekit.agents.llm import ChatContext

from prefactor_agent import PrefactorLiveKitSession, TracedAgent
from support.line import Line
from support.scripted import Heard, ScriptedLLM, ScriptedSTT, Tokens, Use, Wait
from support.tree import Recorder, check

JSON = dict[str, Any]


class Plain(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @function_tool
    async def hours(self) -> str:
        """When it is open."""
        return "9 to 6"


async def started(agent: Agent, *replies: Any, **more: Any) -> AgentSession[None]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(*replies), **more)
    await PrefactorLiveKitSession().start(session, agent)
    return session


def of(spans: list[JSON], type_: str) -> list[JSON]:
    return [span for span in spans if span["type"] == type_]


async def test_each_call_of_the_llm_is_a_span_below_its_turn(sink: Recorder) -> None:
    session = await started(
        Plain(), [Use("hours"), Tokens(20, 5)], ["From ", Wait(0.02), "nine.", Tokens(30, 6)]
    )
    await session.run(user_input="When?")
    await session.aclose()
    spans = check(sink)
    [turn] = of(spans, "livekit:assistant_turn")
    calls = of(spans, "livekit:llm")
    assert [call["parent_id"] for call in calls] == [turn["id"]] * 2
    for call in calls:
        assert call["payload"]["from_metrics"] is True
        assert call["payload"]["model_name"] == "scripted-llm"
        assert call["payload"]["inputs"] == {"ai": {"model": {"id": "scripted-llm"}}}
        assert call["payload"]["turn_index"] == turn["payload"]["turn_index"]
        assert call["result"]["time_to_first_token_ms"] >= 0
        took = (call["finished_us"] - call["started_us"]) / 1e6
        assert took == pytest.approx(call["result"]["metrics"]["duration"], abs=1e-3)
    assert calls[1]["result"]["token_usage"] == {
        "prompt_tokens": 30,
        "completion_tokens": 6,
        "total_tokens": 36,
    }
    told = turn["result"]["metrics"]["llm"]
    assert [one["request_id"] for one in told] == ["reply-1", "reply-2"]
    assert turn["result"]["outputs"]["message"]["content"] == ["From nine."]
    assert "generated_text" not in turn["result"]


async def test_tokens_that_nobody_counted_are_absent(sink: Recorder) -> None:
    session = await started(Plain(), ["Hello."])
    await session.run(user_input="Hello?")
    await session.aclose()
    [call] = of(check(sink), "livekit:llm")
    assert not {"usage", "token_usage"} & call["result"].keys()


async def test_a_traced_node_is_not_told_twice(sink: Recorder) -> None:
    class Traced(TracedAgent):
        def __init__(self) -> None:
            super().__init__(instructions="Be brief.")

    session = await started(Traced(), ["Hello.", Tokens(20, 5)])
    await session.run(user_input="Hello?")
    await session.aclose()
    [call] = of(check(sink), "livekit:llm")
    assert "from_metrics" not in call["payload"]
    assert call["result"]["metrics"]["request_id"] == call["result"]["request_id"] == "reply-1"
    assert call["result"]["metrics"]["total_tokens"] == 25


async def test_two_sessions_with_one_llm_do_not_mix(sink: Recorder) -> None:
    model = ScriptedLLM(["One.", Tokens(1, 1)], ["Two.", Tokens(2, 2)])
    sessions: list[AgentSession[None]] = [AgentSession(llm=model) for _ in range(2)]
    for session in sessions:
        await PrefactorLiveKitSession().start(session, Plain())
    for session in sessions:
        await session.run(user_input="Hello?")
    for session in sessions:
        await session.aclose()
    calls = of(check(sink), "livekit:llm")
    assert len({call["session_id"] for call in calls}) == len(calls) == 2


async def test_a_call_that_was_cut_off_is_cancelled(sink: Recorder) -> None:
    session = await started(Plain(), ["Well, ", Wait(5), "never said."])
    speech = session.generate_reply(user_input="Hello?")
    while not session.llm.requests:  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)
    speech.interrupt()
    await speech
    await session.aclose()
    calls = of(check(sink), "livekit:llm")
    assert [call["status"] for call in calls] in ([], ["cancelled"])


async def test_a_call_that_a_tool_makes_is_below_the_same_turn(sink: Recorder) -> None:
    class Asks(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="Be brief.")

        @function_tool
        async def ask(self, context: RunContext[None]) -> str:
            """Asks the model itself."""
            model = context.session.llm
            assert isinstance(model, llm.LLM)
            async with model.chat(chat_ctx=ChatContext.empty()) as stream:
                return "".join([c.delta.content or "" async for c in stream if c.delta])

    session = await started(Asks(), [Use("ask")], ["Inner."], ["Outer."])
    await session.run(user_input="Ask.")
    await session.aclose()
    spans = check(sink)
    [turn] = of(spans, "livekit:assistant_turn")
    assert [call["parent_id"] for call in of(spans, "livekit:llm")] == [turn["id"]] * 3


async def test_a_spoken_call_of_a_plain_agent(sink: Recorder) -> None:
    line = Line(
        hears=ScriptedSTT(Heard("When are you open?", ("When", "When are"))),
        thinks=ScriptedLLM(["From ", "nine.", Tokens(30, 6)]),
    )
    await PrefactorLiveKitSession().attach(line.session)
    async with line.to(Plain()):
        await line.says()
        await line.answers()
    spans = check(sink)
    [asked], [answer] = of(spans, "livekit:user_turn"), of(spans, "livekit:assistant_turn")
    partials = asked["result"]["partial_transcripts"]
    assert [one["transcript"] for one in partials] == ["When", "When are"]
    assert asked["payload"]["started_at"] <= partials[0]["created_at"]
    assert asked["result"]["metrics"]["eou"]["metrics"]["type"] == "eou_metrics"
    assert answer["result"]["user_turn_id"] == asked["id"]
    [voice] = answer["result"]["metrics"]["tts"]
    assert voice["metrics"]["characters_count"] == len("From nine.")
    assert len(of(spans, "livekit:llm")) == 1


async def test_livekit_does_not_warn_of_a_deprecated_event(
    sink: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        session = await started(Plain(), ["Hello."])
        await session.run(user_input="Hello?")
        assert session._events["metrics_collected"]
        await session.aclose()
    assert "deprecated" not in caplog.text
    assert not session._events.get("metrics_collected")  # nothing of ours is left there
