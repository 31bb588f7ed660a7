"""Toolsets: the tools' names, not the set's; one that cannot be set up is an error of the call."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from pathlib import Path
from typing import Any

import livekit.agents
import pytest
from livekit.agents import Agent, AgentSession, function_tool, llm
from livekit.agents.llm import mcp

import support.mcp_server
from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.record.livekit import toolsets
from support.line import NO_RETRIES
from support.scripted import ScriptedLLM, Use
from support.tree import JSON, Recorder, check
from support.waiting import PATIENCE

WITH_SETUP = hasattr(llm.Toolset, "setup")
from_1_6 = pytest.mark.skipif(not WITH_SETUP, reason="1.5 has no toolsets that are set up")


@traced_tool
async def plain() -> str:
    """Plain."""
    return ""


@traced_tool
async def inside() -> str:
    """In a set."""
    return ""


@function_tool
async def deep() -> str:
    """In a set in a set."""
    return ""


class Bag(llm.Toolset):
    """A toolset, as all versions have it."""

    def __init__(self, id: str, *tools: Any) -> None:
        super().__init__(id=id)
        self.content = list(tools)

    @property
    def tools(self) -> Any:
        return self.content


class Broken(Bag):
    async def setup(self) -> Any:
        raise ConnectionError("no key")


async def in_a_call(agent: Agent, *answers: Any, **options: Any) -> None:
    session: AgentSession[Any] = AgentSession(
        llm=ScriptedLLM(*(answers or ("Hm.",))), conn_options=NO_RETRIES, **options
    )
    await session.start(agent)
    await session.run(user_input="go")
    await session.aclose()


def listed_and_offered(spans: list[JSON]) -> tuple[list[str], list[str]]:
    (root,) = [span for span in spans if span["parent_id"] is None]
    first = next(span for span in spans if span["type"] == "livekit:llm")
    return sorted(root["payload"]["tools"]), sorted(first["payload"]["inputs"]["tools"])


def errors(spans: list[JSON]) -> list[tuple[str, str, str]]:
    return [
        (span["payload"]["source"], span["payload"]["error_type"], span["payload"]["message"])
        for span in spans
        if span["type"] == "livekit:error"
    ]


@pytest.mark.parametrize("where", ["agent", "session"])
async def test_the_tools_in_a_set_are_listed_by_name(where: str, sink: Recorder) -> None:
    tools = [Bag("bag", inside), plain]
    if where == "agent":
        await in_a_call(TracedAgent(instructions="x", tools=tools))
    else:
        await in_a_call(TracedAgent(instructions="x"), tools=tools)
    listed, offered = listed_and_offered(check(sink))
    assert listed == offered == ["inside", "plain"]


@from_1_6
async def test_the_tools_in_a_set_in_a_set_are_listed(sink: Recorder) -> None:
    tools = [Bag("outer", Bag("inner", deep), inside), plain]
    await in_a_call(TracedAgent(instructions="x", tools=tools))
    listed, offered = listed_and_offered(check(sink))
    assert listed == offered == ["deep", "inside", "plain"]


@pytest.mark.skipif(not hasattr(llm, "ToolFlag"), reason="from 1.6 on a tool has flags")
async def test_the_tools_that_livekit_adds_are_listed(sink: Recorder) -> None:
    flags = getattr(llm.ToolFlag, "CANCELLABLE", None)
    if flags is None:
        assert livekit.agents.__version__ < "1.6"
        return

    @traced_tool(flags=flags)
    async def long() -> str:
        """Can be cancelled."""
        return ""

    await in_a_call(TracedAgent(instructions="x", tools=[long]))
    listed, offered = listed_and_offered(check(sink))
    assert listed == offered
    assert len(listed) == 3


@from_1_6
@pytest.mark.parametrize("where", ["agent", "session"])
async def test_a_set_that_cannot_be_set_up_is_an_error_of_the_call(
    where: str, sink: Recorder
) -> None:
    tools = [Broken("shop", inside), plain]
    if where == "agent":
        await in_a_call(TracedAgent(instructions="x", tools=tools))
    else:
        await in_a_call(TracedAgent(instructions="x"), tools=tools)
    spans = check(sink)
    assert errors(spans) == [("shop", "ConnectionError", "no key")]
    (root,) = [span for span in spans if span["parent_id"] is None]
    (error,) = [span for span in spans if span["type"] == "livekit:error"]
    assert error["parent_id"] == root["id"]
    assert root["payload"]["tools"] == ["plain"]


@from_1_6
async def test_the_inner_set_is_the_source(sink: Recorder) -> None:
    class Outer(Bag):
        async def setup(self) -> Any:
            for one in self.content:
                await one.setup()

    await in_a_call(TracedAgent(instructions="x", tools=[Outer("outer", Broken("inner"))]))
    assert errors(check(sink)) == [("inner", "ConnectionError", "no key")]


@from_1_6
async def test_a_set_of_a_later_agent_is_an_error_when_that_agent_has_the_call(
    sink: Recorder,
) -> None:
    class First(TracedAgent):
        @traced_tool
        async def give(self) -> Agent:
            """Gives the call away."""
            return TracedAgent(instructions="y", tools=[Broken("late")])

    await in_a_call(First(instructions="x"), [Use("give")], "Hm.", "Hm.")
    assert errors(check(sink)) == [("late", "ConnectionError", "no key")]


@from_1_6
async def test_each_call_has_its_own_failures(sink: Recorder) -> None:
    class Moody(Bag):
        fails = True

        async def setup(self) -> Any:
            if self.fails:
                raise ConnectionError("no key")

    moody = Moody("moody", inside)
    await in_a_call(TracedAgent(instructions="x", tools=[moody]))
    moody.fails = False
    await in_a_call(TracedAgent(instructions="x", tools=[moody]))
    spans = check(sink)
    assert errors(spans) == [("moody", "ConnectionError", "no key")]
    roots = [span for span in spans if span["parent_id"] is None]
    assert [root["payload"]["tools"] for root in roots] == [[], ["inside"]]


@pytest.mark.real_time
async def test_an_mcp_server_that_does_not_start_is_an_error_of_the_call(sink: Recorder) -> None:
    server = mcp.MCPServerStdio(command=sys.executable, args=["-c", "input(); raise SystemExit(1)"])
    await in_a_call(TracedAgent(instructions="x", mcp_servers=[server]))
    ((source, _, _),) = errors(check(sink))
    assert source == "MCPServerStdio" or source.startswith("mcp_toolset_")


@from_1_6
@pytest.mark.real_time
async def test_the_tools_of_an_mcp_server_are_listed(sink: Recorder) -> None:
    path = str(Path(support.mcp_server.__file__))
    server = mcp.MCPServerStdio(
        command=sys.executable, args=[path], client_session_timeout_seconds=PATIENCE
    )
    tools = [mcp.MCPToolset(id="shop", mcp_server=server)]
    await in_a_call(TracedAgent(instructions="x", tools=tools))
    listed, offered = listed_and_offered(check(sink))
    assert listed == offered
    assert listed
    assert "shop" not in listed


def test_nothing_of_a_failed_set_is_kept() -> None:
    def fail(toolset: llm.Toolset) -> None:
        raise ConnectionError("no key")

    def set_up(toolset: llm.Toolset) -> None:
        try:
            fail(toolset)
        except ConnectionError:
            line = ("livekit.agents", logging.ERROR, "", 0, "Error in _do_setup", ())
            toolsets._look(logging.LogRecord(*line, sys.exc_info()))

    broken = Broken("shop")
    set_up(broken)
    kept = weakref.ref(broken)
    assert [failure.source for failure in toolsets._failures.values()] == ["shop"]
    del broken
    gc.collect()
    assert kept() is None
    assert not toolsets._failures


def test_livekits_log_is_read_once() -> None:
    toolsets.listen()
    assert logging.getLogger("livekit.agents").filters.count(toolsets._look) == 1
