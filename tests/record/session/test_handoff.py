"""One agent gives the call to another: by a tool's answer, by the program, and back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, RunContext, function_tool

from prefactor_agent import TracedAgent, traced_tool
from support.line import NO_RETRIES, Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use
from support.tree import JSON, Recorder, check, outline


class Sales(TracedAgent):
    """Greets when it is entered."""

    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="sell", **options)

    async def on_enter(self) -> None:
        self.session.say("Sales, hello.")


class PlainSales(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="sell")

    async def on_enter(self) -> None:
        self.session.say("Sales, hello.")


class Reception(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="help")

    async def on_exit(self) -> None:
        await asyncio.sleep(0.02)

    @traced_tool
    async def transfer(self) -> Agent:
        """Transfer to sales."""
        return Sales()

    @traced_tool
    async def announce(self) -> tuple[Agent, str]:
        """Transfer to sales, and say so."""
        return Sales(), "Transferring you."

    @traced_tool
    async def exchange(self, context: RunContext) -> str:
        """Have the program transfer to sales."""
        context.session.update_agent(Sales())
        return "done"

    @traced_tool
    async def to_plain(self) -> Agent:
        """Transfer to an agent that is not traced."""
        return PlainSales()

    @function_tool
    async def untraced(self) -> Agent:
        """Transfer to sales, by a tool that is not traced."""
        return Sales()


async def call(*replies: Any, says: int = 1, agent: Agent | None = None) -> list[Any]:
    """Some typed turns; what is in the history of the agent that has the call in the end."""
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(*replies), conn_options=NO_RETRIES)
    async with asyncio.timeout(10):
        await session.start(agent or Reception())
        for _ in range(says):
            await session.run(user_input="sales please")
        current = session.current_agent
        await session.aclose()
    return [(item.type, getattr(item, "role", "")) for item in current.chat_ctx.items]


def handoffs(sink: Recorder) -> list[JSON]:
    return [sink.plain(span) for span in sink.of("livekit:handoff")]


def one(sink: Recorder, type_: str) -> Any:
    return sink.one(f"livekit:{type_}")


async def test_a_tool_answers_with_an_agent(sink: Recorder) -> None:
    await call([Use("transfer", call_id="call-7")])
    assert outline(sink) == [
        "session",
        "  user_turn: sales please",
        "  assistant_turn",
        "    llm",
        "    tool:transfer: handoff",
        "      tool_result transfer: handoff",
        "  handoff: reception to sales",
        "  assistant_turn: Sales, hello.",
        "    transcription: Sales, hello.",
    ]
    check(sink)
    (handoff,) = handoffs(sink)
    payload = handoff["payload"]
    assert (payload["from"], payload["to"]) == ("reception", "sales")
    assert (payload["cause"], payload["tool_name"], payload["call_id"]) == (
        "tool",
        "transfer",
        "call-7",
    )


async def test_it_lasts_from_the_old_agents_exit_to_the_new_ones_entry(sink: Recorder) -> None:
    await call([Use("transfer")])
    (handoff,) = handoffs(sink)
    began = one(sink, "session")["started_us"]
    hooks = one(sink, "session")["result"]["hooks"]
    exited = next(hook for hook in hooks if hook["name"] == "on_exit")
    entered = [hook for hook in hooks if hook["name"] == "on_enter"][1]
    assert handoff["started_us"] - began == pytest.approx(exited["started_us"], abs=1000)
    assert handoff["finished_us"] - began == pytest.approx(entered["started_us"], abs=1000)
    assert handoff["finished_us"] - handoff["started_us"] >= 20_000  # on_exit takes so long
    (greeting,) = [span for span in sink.as_dicts() if span["payload"].get("source") == "say"]
    assert handoff["finished_us"] <= greeting["started_us"]


async def test_a_tool_answers_with_an_agent_and_words(sink: Recorder) -> None:
    await call([Use("announce")], ["Transferring you now."])
    assert "  handoff: reception to sales" in outline(sink)
    check(sink)
    (handoff,) = handoffs(sink)
    assert (handoff["payload"]["cause"], handoff["payload"]["tool_name"]) == ("tool", "announce")


async def test_a_tool_asks_the_session_for_another_agent(sink: Recorder) -> None:
    await call([Use("exchange", call_id="call-8")], ["Good bye."])
    check(sink)
    (handoff,) = handoffs(sink)
    assert handoff["payload"]["cause"] == "tool"
    assert handoff["payload"]["call_id"] == "call-8"
    assert handoff["parent_id"] == one(sink, "session")["id"]


async def test_the_program_exchanges_the_agent(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Sold."]), conn_options=NO_RETRIES)
    async with asyncio.timeout(10):
        await session.start(Reception())
        session.update_agent(Sales())
        await asyncio.sleep(0.1)
        await session.run(user_input="a kettle")
        await session.aclose()
    check(sink)
    (handoff,) = handoffs(sink)
    payload = handoff["payload"]
    assert (payload["from"], payload["to"], payload["cause"]) == ("reception", "sales", "program")
    assert "tool_name" not in payload
    assert "call_id" not in payload


async def test_an_untraced_tool_answers_with_an_agent(sink: Recorder) -> None:
    await call([Use("untraced", call_id="call-9")])
    check(sink)
    (handoff,) = handoffs(sink)
    payload = handoff["payload"]
    assert (payload["cause"], payload["tool_name"], payload["call_id"]) == (
        "tool",
        "untraced",
        "call-9",
    )


async def test_to_a_plain_agent_and_back(sink: Recorder) -> None:
    """What a plain agent does is known from events: its turns are there, and its model's calls."""

    class Middle(PlainSales):
        @function_tool
        async def back(self) -> Agent:
            """Transfer back."""
            return Reception()

    class First(Reception):
        @traced_tool
        async def to_plain(self) -> Agent:
            """Transfer to an agent that is not traced."""
            return Middle()

    await call(
        [Use("to_plain")], ["It costs three."], [Use("back")], ["I am back."], says=4, agent=First()
    )
    check(sink)
    told = [line for line in outline(sink) if not line.startswith("    ")]
    assert told == [
        "session",
        "  user_turn: sales please",
        "  assistant_turn",
        "  handoff: first to middle",
        "  assistant_turn: Sales, hello.",
        "  user_turn: sales please",
        "  assistant_turn: It costs three.",
        "  user_turn: sales please",
        "  assistant_turn",
        "  handoff: middle to reception",
        "  user_turn: sales please",
        "  assistant_turn: I am back.",
    ]
    seen = ["output" in span.streams for span in sink.of("livekit:llm")]
    assert seen == [True, False, False, True]  # chunks were seen of the traced agents only
    causes = [(h["payload"]["cause"], h["payload"]["tool_name"]) for h in handoffs(sink)]
    assert causes == [("tool", "to_plain"), ("tool", "back")]


async def test_a_transfer_that_the_program_calls_off(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("transfer")], ["Still here."]), conn_options=NO_RETRIES
    )
    session.on("function_tools_executed", lambda event: event.cancel_agent_handoff())
    async with asyncio.timeout(10):
        await session.start(Reception())
        await session.run(user_input="sales please")
        await session.run(user_input="hello?")
        await session.aclose()
    check(sink)
    assert handoffs(sink) == []


async def test_the_conversation_goes_on_in_the_new_agents_history() -> None:
    """Tracing changes nothing of what an agent is given of the conversation."""

    async def histories(base: Any, tool: Any) -> list[Any]:
        class Second(base): ...

        class First(base):
            @tool
            async def transfer(self) -> tuple[Agent, str]:
                """Transfer, with all that was said."""
                return Second(instructions="sell", chat_ctx=self.chat_ctx), "Done."

        return await call(
            [Use("transfer")], ["Sure."], ["Three."], says=2, agent=First(instructions="")
        )

    assert await histories(TracedAgent, traced_tool) == await histories(Agent, function_tool)


async def test_in_a_spoken_call(sink: Recorder) -> None:
    """The words before and after it, each in its own turn, with the silence that was heard."""
    ears = ScriptedSTT("sales please", "a kettle")
    line = Line(hears=ears, thinks=ScriptedLLM([Use("transfer")], ["It costs three."]))
    async with line.to(Reception()):
        await line.says(then=1)
        await line.answers(1)
        await line.says(then=1)
        await line.answers(2)
    check(sink)
    told = [one for one in outline(sink) if not one.startswith("    ")]
    assert told == [
        "session",
        "  user_turn: sales please",
        "  assistant_turn",
        "  handoff: reception to sales",
        "  assistant_turn: Sales, hello.",
        "  user_turn: a kettle",
        "  assistant_turn: It costs three.",
    ]
    turns = [sink.plain(span)["result"] for span in sink.of("livekit:assistant_turn")]
    assert ["latency" in turn for turn in turns] == [False, True, True]
    stages = {stage["name"] for stage in turns[1]["latency"]["stages"]}
    assert {"vad", "endpointing", "handoff", "tts_ttfb"} <= stages
    assert "handoff" not in {stage["name"] for stage in turns[2]["latency"]["stages"]}
