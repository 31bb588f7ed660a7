"""Every form that a tool can have, and every way in which a call of one can end."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from enum import Enum
from typing import Annotated, Any, Literal

from livekit.agents import RunContext, StopResponse, ToolError, function_tool, llm
from livekit.agents.llm.tool_context import ToolFlag
from livekit.agents.voice.run_result import mock_tools
from pydantic import BaseModel, Field

from support.scripted import Use, Wait

from .same import assert_same, rows
from .stage import Stage

NEW = "on_duplicate" in inspect.signature(function_tool).parameters
RAW = {
    "name": "look",
    "description": "Look, in its own words.",
    "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
}


def having(s: Stage, *tools: Any) -> Any:
    return type("Mine", (s.Agent,), {})(instructions="be", tools=tools)


async def asked(s: Stage, agent: Any, *replies: Any, then: float = 0.0) -> Any:
    """A call in which the user asks for something that takes these replies."""
    call = await s.call(agent, *replies)
    await call.types()
    await asyncio.sleep(then)
    return call


# What the model is told, and how it is called


async def a_method(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def look(self, x: int) -> str:
            """Look.

            Args:
                x: Where.
            """
            s.note("body", self.id, x)
            await asyncio.sleep(0.1)
            return f"seen {x}"

    call = await asked(s, Mine(instructions="be"), [Use("look", {"x": 1})], "so")
    assert call.outputs() == [("seen 1", False)]


async def a_function_with_options(s: Stage) -> None:
    @s.tool(name="see", description="See it.", flags=ToolFlag.IGNORE_ON_ENTER)
    async def look(x: int = 3) -> str:
        return f"seen {x}"

    call = await asked(s, having(s, look), [Use("see")], "so")
    assert call.outputs() == [("seen 3", False)]


class Unit(Enum):
    METRE = "m"
    FOOT = "ft"


class Place(BaseModel):
    name: str
    height: Annotated[float, Field(ge=0)] = 0.0


async def rich_arguments(s: Stage) -> None:
    @s.tool
    async def look(
        place: Place,
        unit: Unit,
        how: Literal["far", "near"] = "far",
        *,
        several: list[int] | None = None,
    ) -> dict[str, Any]:
        """Look at a place."""
        s.note("body", place, unit, how, several)
        return {"name": place.name, "unit": unit.value}

    given = {"place": {"name": "K2", "height": 8611}, "unit": "m", "several": [1, 2]}
    await asked(s, having(s, look), [Use("look", given)], "so")


async def a_run_context(s: Stage) -> None:
    @s.tool
    async def look(ctx: RunContext[Any], x: int) -> str:
        """Look."""
        s.note("body", ctx.function_call, ctx.speech_handle, ctx.session.agent_state, x)
        ctx.speech_handle.allow_interruptions = False
        return "seen"

    await asked(s, having(s, look), [Use("look", {"x": 1})], "so")


async def a_raw_schema(s: Stage) -> None:
    @s.tool(raw_schema=RAW)
    async def look(raw_arguments: dict[str, object], context: RunContext[Any]) -> Any:
        s.note("body", raw_arguments, context.function_call)
        return raw_arguments["x"]

    await asked(s, having(s, look), [Use("look", {"x": 1})], "so")


async def sync_function(s: Stage) -> None:
    @s.tool
    def look(x: int) -> str:
        """Look."""
        s.note("body", x)
        return "seen"

    s.note("called directly", look(1))
    await asked(s, having(s, look), [Use("look", {"x": 1})], "so")


async def function_giving_a_coroutine(s: Stage) -> None:
    async def later(x: int) -> str:
        await asyncio.sleep(0.1)
        return f"seen {x}"

    @s.tool
    def look(x: int) -> Any:
        """Look."""
        return later(x)

    await asked(s, having(s, look), [Use("look", {"x": 1})], "so")


async def partial_function(s: Stage) -> None:
    async def look(where: str, x: int) -> str:
        """Look."""
        return f"{where} {x}"

    tool = functools.wraps(look)(functools.partial(look, "there"))
    del tool.__wrapped__  # type: ignore[attr-defined]
    await asked(s, having(s, s.tool(tool)), [Use("look", {"x": 1})], "so")


async def decorated_before(s: Stage) -> None:
    def twice(function: Any) -> Any:
        @functools.wraps(function)
        async def both(*args: Any, **kwargs: Any) -> str:
            return await function(*args, **kwargs) + await function(*args, **kwargs)

        return both

    @s.tool
    @twice
    async def look(x: int) -> str:
        """Look."""
        return f"seen {x} "

    await asked(s, having(s, look), [Use("look", {"x": 1})], "so")


async def tool_above_function_tool(s: Stage) -> None:
    async def look(x: int) -> str:
        """Look."""
        return f"seen {x}"

    made = function_tool(look, name="see")
    await asked(s, having(s, made if s.plain else s.tool(made)), [Use("see", {"x": 1})], "so")


async def tool_below_function_tool(s: Stage) -> None:
    async def look(x: int) -> str:
        """Look."""
        return f"seen {x}"

    made = function_tool(look if s.plain else s.tool(look), name="see")
    await asked(s, having(s, made), [Use("see", {"x": 1})], "so")


async def tool_of_a_base_class(s: Stage) -> None:
    class Base(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def look(self, x: int) -> str:
            """Look."""
            return f"seen {x}"

    class Mine(Base):
        async def search(self) -> str:
            return str(await self.look(7))

    agent = Mine(instructions="be")
    s.note("called directly", await agent.search())
    await asked(s, agent, [Use("look", {"x": 1})], "so")


async def tool_calling_a_tool(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def inner(self, x: int) -> str:
            """Inner."""
            return f"inner {x}"

        @s.tool
        async def outer(self, ctx: RunContext[Any]) -> str:
            """Outer."""
            return f"outer {await self.inner(2)}"

    await asked(s, Mine(instructions="be"), [Use("outer")], "so")


# How a call may end


async def nothing_returned(s: Stage) -> None:
    @s.tool
    async def look() -> None:
        """Look."""

    await asked(s, having(s, look), ["One moment. ", Use("look")])


async def a_tool_error(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        raise ToolError("it is dark")

    call = await asked(s, having(s, look), [Use("look")], "so")
    assert call.outputs() == [("it is dark", True)]


async def an_exception(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    call = await asked(s, having(s, look), [Use("look")], "so")
    assert call.outputs()[0][1]


async def a_stop_response(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        raise StopResponse

    await asked(s, having(s, look), [Use("look")])


async def cancelled_by_itself(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        raise asyncio.CancelledError

    call = await s.call(having(s, look), [Use("look")], "so")
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.wait([asyncio.ensure_future(speech.wait_for_playout())], timeout=2)


async def too_late(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        async with asyncio.timeout(0.1):
            await asyncio.sleep(1)
        return "never"

    await asked(s, having(s, look), [Use("look")], "so")


async def something_unserializable(s: Stage) -> None:
    @s.tool
    async def look() -> Any:
        """Look."""
        return object()

    await asked(s, having(s, look), [Use("look")], "so")


async def a_list_with_numbers(s: Stage) -> None:
    @s.tool
    async def look() -> Any:
        """Look."""
        return [1, 2.5, None, {"a": b"bytes"}]

    await asked(s, having(s, look), [Use("look")], "so")


async def wrong_arguments(s: Stage) -> None:
    @s.tool
    async def look(x: int) -> str:
        """Look."""
        return "seen"

    given = [Use("look", {"x": "no number"}), Use("look", {}), Use("look", "{broken")]
    await asked(s, having(s, look), given, "so")


async def an_unknown_tool(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        return "seen"

    await asked(s, having(s, look), [Use("listen"), Use("look")], "so")


async def several_at_once(s: Stage) -> None:
    @s.tool
    async def look(x: float) -> str:
        """Look."""
        s.note("begins", x)
        await asyncio.sleep(x)
        s.note("ends", x)
        if x == 0.2:
            raise ToolError("blinked")
        return f"seen {x}"

    uses = [Use("look", {"x": x}) for x in (0.3, 0.1, 0.2)]
    await asked(s, having(s, look), ["Let me see. ", *uses], "so")


async def several_steps(s: Stage) -> None:
    @s.tool
    async def look(x: int) -> str:
        """Look."""
        return f"seen {x}"

    call = await s.call(
        having(s, look),
        *([Use("look", {"x": x})] for x in range(3)),
        "so",
        max_tool_steps=2,
    )
    await call.types()


async def interrupted_while_it_runs(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError as error:
            s.note("cancelled", error)
            raise
        return "seen"

    call = await s.call(having(s, look), [Use("look")], "so")
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.2)
    await call.session.interrupt()
    await speech
    await asyncio.sleep(1)


async def spoken_over_while_it_runs(s: Stage) -> None:
    @s.tool
    async def look(ctx: RunContext[Any]) -> str:
        """Look."""
        await asyncio.sleep(1)
        s.note("still wanted", ctx.speech_handle)
        return "seen"

    call = await s.call(having(s, look), [Use("look")], "so", "really", hears=("wait",))
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.2)
    await call.says(0.7)
    await speech
    await asyncio.sleep(2)


async def not_to_be_interrupted(s: Stage) -> None:
    @s.tool
    async def look(ctx: RunContext[Any]) -> str:
        """Look."""
        ctx.disallow_interruptions()
        await asyncio.sleep(0.5)
        return "seen"

    call = await s.call(
        having(s, look), ["Let me see. ", Use("look")], "so", "yes?", hears=("wait",)
    )
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.2)
    with s.noting():
        await call.session.interrupt()
    await call.says(0.7)
    await speech


async def closed_while_it_runs(s: Stage) -> None:
    @s.tool
    async def look() -> str:
        """Look."""
        await asyncio.sleep(5)
        return "seen"

    call = await s.call(having(s, look), [Use("look")], "so")
    call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.2)


async def speaking_while_it_runs(s: Stage) -> None:
    @s.tool
    async def look(ctx: RunContext[Any]) -> str:
        """Look."""
        await ctx.session.say("One moment.")
        ctx.session.generate_reply(instructions="fill the silence")
        await asyncio.sleep(0.2)
        return "seen"

    await asked(s, having(s, look), [Use("look")], "filler", "so", then=3)


async def waiting_for_its_own_words(s: Stage) -> None:
    @s.tool
    async def look(ctx: RunContext[Any]) -> str:
        """Look."""
        await ctx.wait_for_playout()
        s.note("played")
        return "seen"

    await asked(s, having(s, look), ["Let me see. ", Wait(0.1), Use("look")], "so")


async def waiting_for_itself(s: Stage) -> None:
    @s.tool
    async def look(ctx: RunContext[Any]) -> str:
        """Look."""
        await ctx.speech_handle.wait_for_playout()
        return "never"

    await asked(s, having(s, look), [Use("look")], "so")


async def mocked(s: Stage) -> None:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def look(self, x: int) -> str:
            """Look."""
            raise AssertionError("the mock runs")

    with mock_tools(Mine, {"look": lambda x: f"mocked {x}"}):
        call = await asked(s, Mine(instructions="be"), [Use("look", {"x": 1})], "so")
    assert call.outputs() == [("mocked 1", False)]


async def added_while_it_runs(s: Stage) -> None:
    @s.tool
    async def found() -> str:
        """Found."""
        return "found"

    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        @s.tool
        async def look(self) -> str:
            """Look."""
            await self.update_tools([*self.tools, found])
            return "there is a new tool"

    await asked(s, Mine(instructions="be"), [Use("look")], [Use("found")], "so")


async def in_a_run(s: Stage) -> None:
    @s.tool
    async def look(x: int) -> str:
        """Look."""
        return f"seen {x}"

    call = await s.call(having(s, look), [Use("look", {"x": 1})], "so", audio=False)
    result = await call.session.run(user_input="hello")
    for event in result.events:
        s.note("run", event)


# Called by the program, or of a form of its own


async def a_generator_called_by_another(s: Stage) -> None:
    @s.tool
    def rows_of(x: int) -> Any:
        """Rows."""
        yield x
        yield 2

    @s.tool
    async def look() -> str:
        """Look."""
        return str(list(rows_of(1)))

    call = await asked(s, having(s, look), [Use("look")], "so")
    assert call.outputs() == [("[1, 2]", False)]


async def a_partial_with_a_name(s: Stage) -> None:
    async def ping(place: str) -> str:
        return f"pong {place}"

    look: Any = functools.partial(ping, "here")
    look.__name__ = "look"
    call = await asked(s, having(s, s.tool(look)), [Use("look")], "so")
    assert call.outputs() == [("pong here", False)]


async def without_a_name(s: Stage) -> None:
    async def ping(place: str) -> str:
        return f"pong {place}"

    try:
        s.tool(functools.partial(ping, "here"))
    except AttributeError as error:
        s.note("refused", str(error))
    await asked(s, having(s), "so")


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


async def a_default_that_cannot_be_compared(s: Stage) -> None:
    weights = Incomparable()

    async def look(raw_arguments: dict[str, object], weights: Any = weights) -> str:
        return f"seen {raw_arguments['x']}"

    await asked(s, having(s, s.tool(look, raw_schema=RAW)), [Use("look", {"x": 1})], "so")


async def in_a_thread(s: Stage) -> None:
    @s.tool
    def inner(x: int) -> int:
        """Inner."""
        return x + 1

    @s.tool
    async def look(x: int) -> Any:
        """Look."""
        return await asyncio.get_running_loop().run_in_executor(
            None, contextvars.copy_context().run, inner, x
        )

    await asked(s, having(s, look), [Use("look", {"x": 1})], "so")


async def called_wrongly_by_another(s: Stage) -> None:
    @s.tool
    async def inner(x: int) -> int:
        """Inner."""
        return x

    @s.tool
    async def look() -> str:
        """Look."""
        try:
            await inner()
        except TypeError as error:
            return f"no: {error}"
        return "yes"

    await asked(s, having(s, look), [Use("look")], "so")


CASES = [
    a_generator_called_by_another,
    a_partial_with_a_name,
    without_a_name,
    a_default_that_cannot_be_compared,
    in_a_thread,
    called_wrongly_by_another,
    a_method,
    a_function_with_options,
    rich_arguments,
    a_run_context,
    a_raw_schema,
    sync_function,
    function_giving_a_coroutine,
    partial_function,
    decorated_before,
    tool_above_function_tool,
    tool_below_function_tool,
    tool_of_a_base_class,
    tool_calling_a_tool,
    nothing_returned,
    a_tool_error,
    an_exception,
    a_stop_response,
    cancelled_by_itself,
    too_late,
    something_unserializable,
    a_list_with_numbers,
    wrong_arguments,
    an_unknown_tool,
    several_at_once,
    several_steps,
    interrupted_while_it_runs,
    spoken_over_while_it_runs,
    not_to_be_interrupted,
    closed_while_it_runs,
    speaking_while_it_runs,
    waiting_for_its_own_words,
    waiting_for_itself,
    mocked,
    added_while_it_runs,
    in_a_run,
]


# Of later versions (1.8)


async def a_tool_result(s: Stage) -> None:
    @s.tool
    async def look() -> Any:
        """Look."""
        return llm.ToolResult({"seen": 1}, reply_required=False)

    await asked(s, having(s, look), ["Let me see. ", Use("look")])


async def reporting_progress(s: Stage) -> None:
    @s.tool
    async def look(ctx: RunContext[Any]) -> str:
        """Look."""
        await ctx.update("looking")
        await asyncio.sleep(1)
        await ctx.update("nearly there")
        await asyncio.sleep(1)
        return "seen"

    await asked(s, having(s, look), [Use("look")], "wait", "wait", "so", "well", then=5)


def twice(s: Stage, **options: Any) -> Any:
    @s.tool(**options)
    async def look(ctx: RunContext[Any], x: int) -> str:
        """Look."""
        s.note("begins", x)
        try:
            await ctx.update("looking")
            await asyncio.sleep(0.5)
        except asyncio.CancelledError as error:
            s.note("cancelled", error)
            raise
        return f"seen {x}"

    return having(s, look)


async def duplicates_rejected(s: Stage) -> None:
    agent = twice(s, on_duplicate="reject")
    uses = [Use("look", {"x": 1}), Use("look", {"x": 2})]
    await asked(s, agent, uses, "so", "well", "good", then=5)


async def duplicates_replaced(s: Stage) -> None:
    agent = twice(s, on_duplicate="replace", flags=ToolFlag.CANCELLABLE)
    uses = [Use("look", {"x": 1}), Use("look", {"x": 2})]
    await asked(s, agent, uses, "so", "well", "good", then=5)


async def duplicates_to_be_confirmed(s: Stage) -> None:
    agent = twice(s, on_duplicate="confirm", duplicate_scope="name_and_args")
    again = Use("look", {"x": 1, "lk_agents_confirm_duplicate": True})
    uses = [Use("look", {"x": 1}), Use("look", {"x": 1}), again]
    await asked(s, agent, uses, "so", "well", "good", then=5)


async def cancelled_by_the_model(s: Stage) -> None:
    agent = twice(s, flags=ToolFlag.CANCELLABLE)
    first = [Use("look", {"x": 1}, call_id="first")]
    listing = Use("lk_agents_get_running_tasks")
    stop = [listing, Use("lk_agents_cancel_task", {"call_id": "first"})]
    call = await s.call(agent, first, "so", stop, "stopped", "good")
    await call.types()
    await call.types("stop that")
    await asyncio.sleep(3)


if NEW:
    CASES += [
        a_tool_result,
        reporting_progress,
        duplicates_rejected,
        duplicates_replaced,
        duplicates_to_be_confirmed,
        cancelled_by_the_model,
    ]


@rows(*CASES)
def test_a_tool_goes_the_same_with_and_without_tracing(case: Any) -> None:
    assert_same(case)
