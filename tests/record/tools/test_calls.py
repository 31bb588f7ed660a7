"""Tools that are not traced: a span each, from events, and never two for one call."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import livekit.agents
import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    RunContext,
    StopResponse,
    ToolError,
    function_tool,
    llm,
)
from livekit.agents.llm.mcp import MCPServerStdio
from livekit.agents.voice.run_result import mock_tools

import support.mcp_server
from prefactor_agent import TracedAgent, traced_tool
from support.line import NO_RETRIES
from support.scripted import ScriptedLLM, Use, Wait
from support.tree import JSON, Recorder, check, outline
from support.waiting import PATIENCE

TOLD_AT_ONCE = hasattr(livekit.agents, "ToolExecutionUpdatedEvent")
"""From 1.6 on; before, a call is told of when all that were made with it are over."""


@function_tool
async def plain(item: str) -> str:
    """What an item costs."""
    await asyncio.sleep(0.05)
    return f"{item}: 3"


@function_tool(
    raw_schema={
        "name": "raw",
        "description": "Raw.",
        "parameters": {"type": "object", "properties": {"item": {"type": "string"}}},
    }
)
async def raw(raw_arguments: dict[str, object], context: RunContext[Any]) -> str:
    return f"{raw_arguments['item']}: 4"


@function_tool
async def refuses() -> str:
    """Says no."""
    raise ToolError("no")


@function_tool
async def breaks() -> str:
    """Has a defect."""
    raise KeyError("defect")


@function_tool
async def silent() -> str:
    """Wants no answer."""
    raise StopResponse


@traced_tool
async def traced(item: str) -> str:
    """What an item costs, traced."""
    return f"{item}: 5"


class Shelf(llm.Toolset):
    """A toolset."""

    def __init__(self) -> None:
        super().__init__(id="shelf")

    @property
    def tools(self) -> list[Any]:
        return [plain]


async def call(*replies: Any, tools: list[Any], **options: Any) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(*replies), conn_options=NO_RETRIES)
    async with asyncio.timeout(PATIENCE):
        await session.start(TracedAgent(instructions="help", tools=tools, **options))
        await session.run(user_input="go")
        await session.aclose()


def tools(sink: Recorder) -> list[JSON]:
    spans = sink.as_dicts()
    return [span for span in spans if span["type"].split(":")[1] == "tool"]


async def test_a_plain_tool_has_a_span(sink: Recorder) -> None:
    await call([Use("plain", {"item": "tea"}, "call-1")], ["Three."], tools=[plain])
    assert outline(sink) == [
        "session",
        "  user_turn: go",
        "  assistant_turn: Three.",
        "    llm",
        "    llm: Three.",
        "    tool: returned",
        "      tool_result plain: returned",
        "    transcription: Three.",
    ]
    check(sink)
    (tool,), (told,) = tools(sink), sink.of("livekit:tool_result")
    payload, result = tool["payload"], tool["result"]
    assert tool["type"] == "livekit:tool"
    assert (tool["name"], payload["tool_name"], payload["call_id"]) == ("plain", "plain", "call-1")
    assert payload["from_events"] is True
    assert payload["inputs"] == {"item": "tea"}
    assert result["outputs"] == {"output": "tea: 3"}
    assert result["is_error"] is False
    assert told.payload["from_events"] is True
    assert sink.plain(told)["result"] == result
    # It slept: whichever way LiveKit told of it, both ends are the tool's own.
    assert tool["finished_us"] - tool["started_us"] == pytest.approx(50_000, abs=1_000)
    first, second = (sink.plain(span) for span in sink.of("livekit:llm"))
    assert first["started_us"] <= tool["started_us"]
    assert tool["finished_us"] <= second["started_us"]
    assert sink.one("livekit:assistant_turn")["result"]["tool_calls"] == 1
    assert sink.one("livekit:session")["result"]["conversation"]["function_calls"] == 1


@pytest.mark.skipif(not TOLD_AT_ONCE, reason="LiveKit tells of a tool when it is over")
async def test_it_can_be_seen_while_it_runs(sink: Recorder) -> None:
    seen: list[str] = []

    @function_tool
    async def slow() -> str:
        """Take a while."""
        await asyncio.sleep(0.02)
        seen.extend(tool["status"] for tool in tools(sink))
        return "done"

    await call([Use("slow")], ["Done."], tools=[slow])
    assert seen == ["active"]
    check(sink)


@pytest.mark.parametrize("tool", [raw, Shelf()], ids=["raw schema", "toolset"])
async def test_raw_tools_and_toolsets_have_spans(tool: Any, sink: Recorder) -> None:
    name = "raw" if tool is raw else "plain"
    await call([Use(name, {"item": "tea"})], ["Done."], tools=[tool])
    check(sink)
    (span,) = tools(sink)
    assert span["name"] == name
    assert span["payload"]["inputs"] == {"item": "tea"}
    assert span["result"]["outputs"]["output"].startswith("tea: ")


@pytest.mark.real_time
async def test_a_tool_of_an_mcp_server(sink: Recorder) -> None:
    program = str(Path(support.mcp_server.__file__))
    server = MCPServerStdio(sys.executable, [program], client_session_timeout_seconds=PATIENCE)
    uses = [Use("price", {"item": "tea"}, "call-1"), Use("refuse", {}, "call-2")]
    await call(uses, ["Three."], tools=[], mcp_servers=[server])
    check(sink)
    price, refuse = sorted(tools(sink), key=lambda tool: tool["payload"]["call_id"])
    assert (price["name"], price["payload"]["inputs"]) == ("price", {"item": "tea"})
    assert price["status"] == "complete"
    assert "tea: 3" in price["result"]["outputs"]["output"]
    assert price["finished_us"] > price["started_us"]
    assert (refuse["name"], refuse["status"]) == ("refuse", "failed")
    assert refuse["result"]["is_error"] is True
    assert "refuse" in refuse["result"]["error"]["message"]


@pytest.mark.parametrize("tool", [refuses, breaks])
async def test_a_tool_that_fails(tool: Any, sink: Recorder) -> None:
    await call([Use(tool.info.name)], ["Sorry."], tools=[tool])
    check(sink)
    (span,) = tools(sink)
    assert span["status"] == "failed"
    assert (span["result"]["outcome"], span["result"]["is_error"]) == ("error", True)
    assert span["result"]["error"]["message"]


async def test_a_tool_that_wants_no_answer(sink: Recorder) -> None:
    await call([Use("silent")], tools=[silent])
    check(sink)
    (span,) = tools(sink)
    assert span["status"] == "complete"
    assert "outputs" not in span["result"] or span["result"]["outputs"]["output"] in ("", "None")


async def test_an_unknown_tool_has_a_span_that_failed(sink: Recorder) -> None:
    await call([Use("nonesuch")], ["Sorry."], tools=[])
    check(sink)
    (span,) = tools(sink)
    assert (span["name"], span["status"]) == ("nonesuch", "failed")


async def test_wrong_arguments_for_a_traced_tool(sink: Recorder) -> None:
    """Its body is never reached, so it is LiveKit that tells of the call."""
    await call([Use("traced", {"thing": "tea"})], ["Sorry."], tools=[traced])
    check(sink)
    (span,) = tools(sink)
    assert (span["name"], span["status"]) == ("traced", "failed")
    assert span["payload"]["from_events"] is True
    assert span["payload"]["inputs"] == {"thing": "tea"}


async def test_a_traced_and_a_plain_tool_at_the_same_time(sink: Recorder) -> None:
    uses = [
        Use("plain", {"item": "tea"}),
        Use("traced", {"item": "tea"}),
        Use("plain", {"item": "jam"}),
    ]
    await call(uses, ["Done."], tools=[plain, traced])
    check(sink)
    found = [(span["type"], span["payload"]["inputs"]["item"]) for span in tools(sink)]
    assert sorted(found) == [
        ("livekit:tool", "jam"),
        ("livekit:tool", "tea"),
        ("livekit:tool:traced", "tea"),
    ]
    assert len({span["payload"]["call_id"] for span in tools(sink)}) == 3
    assert len(sink.of("livekit:tool_result")) == 3
    assert sink.one("livekit:assistant_turn")["result"]["tool_calls"] == 3


async def test_a_call_id_that_is_used_again(sink: Recorder) -> None:
    """Some models number their calls anew in each reply."""
    steps = [[Use(name, {"item": "tea"}, "call-0")] for name in ("plain", "traced", "plain")]
    await call(*steps, ["Done."], tools=[plain, traced])
    check(sink)
    assert [span["name"] for span in tools(sink)] == ["plain", "traced", "plain"]


async def test_a_mock_stands_in_for_a_traced_tool(sink: Recorder) -> None:
    class Mine(TracedAgent):
        @traced_tool
        async def look(self, item: str) -> str:
            """Look."""
            raise AssertionError("not mocked")

    session: AgentSession[None] = AgentSession(llm=ScriptedLLM([Use("look", {"item": "x"})], ["1"]))
    with mock_tools(Mine, {"look": lambda item: f"mocked {item}"}):
        await session.start(Mine(instructions="help"))
        await session.run(user_input="go")
        await session.aclose()
    check(sink)
    (span,) = tools(sink)
    assert span["payload"]["from_events"] is True
    assert span["result"]["outputs"] == {"output": "mocked x"}


async def test_a_tool_that_is_broken_off(sink: Recorder) -> None:
    @function_tool
    async def given_up() -> str:
        """Is given up."""
        raise asyncio.CancelledError

    await call([Use("given_up")], ["Well."], tools=[given_up])
    check(sink)
    (span,) = tools(sink)
    # Before 1.6 LiveKit tells of it as of any other error.
    assert span["status"] == ("cancelled" if TOLD_AT_ONCE else "failed")


# One tool calls another


async def test_a_traced_tool_that_calls_another(sink: Recorder) -> None:
    class Clerk(TracedAgent):
        @traced_tool
        async def price(self, item: str) -> str:
            """What an item costs."""
            return f"{item}: 3"

        @traced_tool
        async def basket(self, context: RunContext) -> str:
            """What all of it costs."""
            one, other = await asyncio.gather(self.price("tea"), self.price("jam"))
            return f"{one}, {other}, {await self.nested(context)}"

        @traced_tool
        async def nested(self, context: RunContext) -> str:
            """Calls one itself."""
            return await self.price("milk")

    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("basket", {}, "call-1")], ["Nine."])
    )
    await session.start(Clerk(instructions="help"))
    await session.run(user_input="go")
    await session.aclose()
    assert outline(sink)[2:] == [
        "  assistant_turn: Nine.",
        "    llm",
        "    llm: Nine.",
        "    tool:basket: returned",
        "      tool:price: returned",
        "        tool_result price: returned",
        "      tool:price: returned",
        "        tool_result price: returned",
        "      tool:nested: returned",
        "        tool:price: returned",
        "          tool_result price: returned",
        "        tool_result nested: returned",
        "      tool_result basket: returned",
        "    transcription: Nine.",
    ]
    check(sink)
    with_id = [span["name"] for span in tools(sink) if "call_id" in span["payload"]]
    assert with_id == ["basket"]
    assert sink.one("livekit:assistant_turn")["result"]["tool_calls"] == 1


async def test_a_plain_tool_that_calls_a_traced_one(sink: Recorder) -> None:
    @function_tool
    async def around() -> str:
        """Calls a traced one, after a while."""
        await asyncio.sleep(0.02)
        return str(await traced("tea"))

    await call([Use("around", {}, "call-1")], ["Done."], tools=[around])
    check(sink)
    outer, inner = sorted(tools(sink), key=lambda span: span["type"])
    turn = sink.one("livekit:assistant_turn")
    # Before 1.6, nothing was known of the outer one yet.
    assert inner["parent_id"] == (outer["id"] if TOLD_AT_ONCE else turn["id"])
    assert (outer["type"], outer["payload"]["call_id"]) == ("livekit:tool", "call-1")
    assert inner["type"] == "livekit:tool:traced"
    assert "call_id" not in inner["payload"]
    assert turn["result"]["tool_calls"] == 1


async def test_a_traced_tool_that_the_program_calls(sink: Recorder) -> None:
    """It is no call of the model's."""

    class Clerk(TracedAgent):
        @traced_tool
        async def price(self, item: str) -> str:
            """What an item costs."""
            return f"{item}: 3"

        async def llm_node(self, *args: Any) -> Any:
            yield await self.price("tea")

    session: AgentSession[None] = AgentSession(llm=ScriptedLLM())
    await session.start(Clerk(instructions="help"))
    await session.run(user_input="go")
    await session.aclose()
    check(sink)
    (span,) = tools(sink)
    turn = sink.one("livekit:assistant_turn")
    assert span["parent_id"] == turn["id"]
    assert span["result"]["outputs"] == {"output": "tea: 3"}
    assert "call_id" not in span["payload"]
    assert turn["result"]["tool_calls"] == 0
    assert sink.one("livekit:session")["result"]["conversation"]["function_calls"] == 0


async def test_two_calls_of_the_model_never_nest(sink: Recorder) -> None:
    """A tool that the model calls while another runs is no part of it."""
    both = asyncio.Barrier(2)

    @traced_tool
    async def meets(item: str) -> str:
        """Wait for the other."""
        await both.wait()
        return item

    await call([Use("meets", {"item": "1"}), Wait(0.01), Use("meets", {"item": "2"})], ["Done."],
               tools=[meets])  # fmt: skip
    check(sink)
    turn = sink.of("livekit:assistant_turn")[0]
    assert [span["parent_id"] for span in tools(sink)] == [turn.id, turn.id]


async def test_outside_a_traced_call_nothing_is_kept(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("plain", {"item": "x"})], ["1"])
    )
    await session.start(Agent(instructions="help", tools=[plain]))
    await session.run(user_input="go")
    await session.aclose()
    assert not sink.spans
