"""A tool's outcome is what the model got, whatever its body returned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
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
from livekit.agents.llm import utils as llm_utils
from pydantic import BaseModel

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.record.livekit import private
from support.line import NO_RETRIES
from support.scripted import ScriptedLLM, Use
from support.tree import JSON, Recorder, check

WITH_UPDATES = hasattr(livekit.agents, "ToolExecutionUpdatedEvent")
DECORATORS = pytest.mark.parametrize("decorate", [function_tool, traced_tool])
Function = Callable[..., Any]


@dataclass
class Order:
    number: int


class Model(BaseModel):
    number: int = 7


class Colour(StrEnum):
    RED = "red"


class Other(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="other")


VALUES: dict[str, Callable[[], Any]] = {
    "a text": lambda: "seven",
    "nothing": lambda: None,
    "a number": lambda: 7.5,
    "nested": lambda: {"rows": [1, (2, 3)], 4: {"five", "six"}},
    "an enum of texts": lambda: Colour.RED,
    "a dataclass": lambda: Order(7),
    "a dataclass inside": lambda: {"rows": [Order(7)]},
    "a model": Model,
    "bytes": lambda: b"seven",
    "a decimal": lambda: Decimal("7.5"),
    "an object": object,
    "a generator": lambda: (number for number in (1, 2)),
    "two agents": lambda: (Other(), Other()),
    "an agent and a dataclass": lambda: (Other(), Order(7)),
    "an agent and words": lambda: (Other(), "go on"),
    "an error": lambda: ValueError("no"),
    "a tool error": lambda: ToolError("no"),
    "a wish for silence": StopResponse,
}
if (ToolResult := getattr(llm, "ToolResult", None)) is not None:
    VALUES["a result"] = lambda: ToolResult("seven")
    VALUES["a result with a dataclass"] = lambda: ToolResult(Order(7))


def returning(make: Callable[[], Any]) -> Function:
    async def look() -> Any:
        """Look."""
        return make()

    return look


async def rows() -> Any:
    """Yields."""
    yield 7


def at_once() -> Any:
    """Is no coroutine function."""
    return {"number": 7}


def by_step() -> Any:
    """Yields, and is no coroutine function."""
    yield 7


FUNCTIONS = {
    **{name: returning(make) for name, make in VALUES.items()},
    "an async generator": rows,
    "no coroutine function": at_once,
    "a generator function": by_step,
}


async def used(
    tool: Any, answer: str = "call-1"
) -> tuple[AgentSession[Any], llm.FunctionCallOutput | None]:
    """Have the model use a tool: what it got."""
    name = tool.info.name
    session: AgentSession[Any] = AgentSession(
        llm=ScriptedLLM([Use(name)], *["Hm."] * 4), conn_options=NO_RETRIES
    )
    await session.start(TracedAgent(instructions="x", tools=[tool]))
    await session.run(user_input="go")
    await asyncio.sleep(0.05)
    outputs = {
        item.call_id: item for item in session.history.items if item.type == "function_call_output"
    }
    return session, outputs.get(answer)


def the_call(sink: Recorder) -> JSON:
    (call,) = [span for span in check(sink) if span["type"].startswith("livekit:tool:")] or [
        span for span in sink.as_dicts() if span["type"] == "livekit:tool"
    ]
    return call


@DECORATORS
@pytest.mark.parametrize("name", FUNCTIONS)
async def test_a_call_failed_exactly_if_the_model_got_an_error(
    name: str, decorate: Any, sink: Recorder
) -> None:
    session, output = await used(decorate(FUNCTIONS[name]))
    await session.aclose()
    call = the_call(sink)
    failed = output.is_error if output is not None else False
    if output is None and name != "a wish for silence":
        # 1.5 answers nothing in place of what it refuses, and says no more of a plain tool.
        assert not WITH_UPDATES
        failed = decorate is traced_tool
    assert call["result"]["is_error"] is failed
    assert (call["status"] == "failed") is failed
    assert ("error" in call["result"]) is failed


@pytest.mark.parametrize("name", ["a dataclass", "no coroutine function"])
async def test_what_the_body_returned_is_kept_beside_what_the_model_got(
    name: str, sink: Recorder
) -> None:
    session, output = await used(traced_tool(FUNCTIONS[name]))
    await session.aclose()
    result = the_call(sink)["result"]
    assert result["outcome"] == "invalid_output"
    assert result["outputs"] == {"output": {"number": 7}}
    assert result.get("model_output") == (output.output if output is not None else None)


@pytest.mark.skipif(not WITH_UPDATES, reason="before 1.6 a tool that ended is not heard of")
async def test_the_text_of_a_plain_tools_value_is_kept(sink: Recorder) -> None:
    session, output = await used(function_tool(FUNCTIONS["a dataclass"]))
    await session.aclose()
    result = the_call(sink)["result"]
    assert output is not None
    assert result["outputs"] == {"output": "Order(number=7)"}
    assert result["error"]["message"] == result["model_output"] == output.output


async def test_a_value_for_the_program_itself_is_no_error(sink: Recorder) -> None:
    inner = traced_tool(FUNCTIONS["a dataclass"])

    @traced_tool
    async def outer() -> int:
        """Asks."""
        order: Order = await inner()
        return order.number

    session, _ = await used(outer)
    await session.aclose()
    outcomes = {
        span["name"]: span["result"]["outcome"]
        for span in check(sink)
        if span["type"].startswith("livekit:tool:")
    }
    assert outcomes == {"outer": "returned", "look": "returned"}


async def test_a_value_that_a_function_above_makes_usable_is_no_error(sink: Recorder) -> None:
    inner = traced_tool(FUNCTIONS["a dataclass"])

    async def above() -> str:
        """Looks."""
        return str((await inner()).number)

    above.__wrapped__ = inner  # type: ignore[attr-defined]
    session, output = await used(function_tool(above, name="look"))
    await session.aclose()
    assert output is not None and not output.is_error
    call = the_call(sink)
    assert (call["status"], call["result"]["outcome"]) == ("complete", "returned")


@pytest.mark.skipif(not WITH_UPDATES, reason="1.5 answers nothing in place of what it refuses")
async def test_without_livekits_rule_the_refusal_is_an_error_of_the_call(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "_IS_TOOL_OUTPUT", None)
    session, output = await used(traced_tool(FUNCTIONS["a dataclass"]))
    await session.aclose()
    assert output is not None
    (error,) = [span for span in check(sink) if span["type"] == "livekit:error"]
    assert error["payload"]["source"] == "look"
    assert error["payload"]["message"] == output.output


def test_livekits_rule_is_there() -> None:
    assert private._IS_TOOL_OUTPUT is llm_utils._is_valid_function_output  # type: ignore[attr-defined]


@pytest.mark.skipif(not WITH_UPDATES, reason="from 1.6 on")
@DECORATORS
@pytest.mark.parametrize("name", VALUES)
async def test_the_final_value_of_a_background_tool_is_judged_as_livekit_does(
    name: str, decorate: Any, sink: Recorder
) -> None:
    async def look(ctx: RunContext[Any]) -> Any:
        """Look."""
        await ctx.update("looking")
        return VALUES[name]()

    session, output = await used(decorate(look), "call-1_final")
    await session.aclose()
    assert output is not None
    call = the_call(sink)
    assert call["result"]["is_error"] is output.is_error, (call["result"], output)
