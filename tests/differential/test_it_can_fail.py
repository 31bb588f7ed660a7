"""The comparison notices a tracer that changes anything: each one here breaks one promise."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from livekit.agents import Agent, FlushSentinel, function_tool
from livekit.agents.voice.agent_activity import AgentActivity

from . import test_handoffs, test_llm_nodes, test_other_nodes, test_speeches, test_tools
from .same import difference
from .stage import PLAIN, Case, Names, Stage


def noticed(case: Case, names: Names) -> bool:
    """Whether ``case`` tells these names from LiveKit's: by what is seen, or by what it expects."""
    try:
        return difference(case, names) is not None
    except AssertionError:
        return True


def agent_whose(node: str, wrap: Callable[[Any], AsyncIterator[Any]]) -> Names:
    """Names that stand for a tracer which puts ``wrap`` around what a node gives."""

    class Broken(Agent):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name != node:
                return found

            @functools.wraps(found)
            async def wrapped(*args: Any, **kwargs: Any) -> Any:
                async for item in wrap(found(*args, **kwargs)):
                    yield item

            return wrapped

    return Names(Broken, PLAIN.AgentTask, function_tool)


async def swallowing_flush_marks(stream: Any) -> AsyncIterator[Any]:
    async for item in stream:
        if not isinstance(item, FlushSentinel):
            yield item


async def late_by_a_turn_of_the_loop(stream: Any) -> AsyncIterator[Any]:
    async for item in stream:
        await asyncio.sleep(0)
        yield item


async def reading_ahead(stream: Any) -> AsyncIterator[Any]:
    before: list[Any] = []
    async for item in stream:
        before.append(item)
        if len(before) == 2:
            yield before.pop(0)
    for item in before:
        yield item


async def leaving_the_source_open(stream: Any) -> AsyncIterator[Any]:
    kept.append(stream)
    while True:
        try:
            item = await asyncio.shield(asyncio.ensure_future(anext(stream)))
        except StopAsyncIteration:
            return
        yield item


async def with_another_exception(stream: Any) -> AsyncIterator[Any]:
    try:
        async for item in stream:
            yield item
    except ValueError as error:
        raise RuntimeError("wrapped") from error


async def leaving_a_task_behind(stream: Any) -> AsyncIterator[Any]:
    task = asyncio.create_task(asyncio.sleep(1000), name="ours")
    kept.append(task)
    async for item in stream:
        yield item


async def as_copies(stream: Any) -> AsyncIterator[Any]:
    async for item in stream:
        yield str(item)


kept: list[Any] = []


def in_an_answer(form: Any) -> Case:
    async def case(s: Stage) -> None:
        await test_llm_nodes.answers(await test_llm_nodes.cast(s, form(s)))

    return case


def in_a_cut_answer(form: Any) -> Case:
    async def case(s: Stage) -> None:
        call = await test_llm_nodes.cast(s, form(s))
        await test_llm_nodes.is_interrupted_by_the_program(call)

    return case


def spoken(form: Any) -> Case:
    async def case(s: Stage) -> None:
        await test_other_nodes.answers(await s.call(form(s), test_other_nodes.REPLY))

    return case


@pytest.mark.parametrize(
    ("node", "wrap", "case"),
    [
        ("llm_node", swallowing_flush_marks, in_an_answer(test_llm_nodes.with_flush_marks)),
        ("llm_node", late_by_a_turn_of_the_loop, in_an_answer(test_llm_nodes.chunks)),
        ("llm_node", reading_ahead, in_an_answer(test_llm_nodes.async_generator)),
        ("llm_node", leaving_the_source_open, in_a_cut_answer(test_llm_nodes.async_generator)),
        ("llm_node", with_another_exception, in_an_answer(test_llm_nodes.raising_midway)),
        ("llm_node", leaving_a_task_behind, in_an_answer(test_llm_nodes.async_generator)),
        ("transcription_node", as_copies, spoken(test_other_nodes.text_timed)),
    ],
    ids=lambda value: getattr(value, "__name__", value) if callable(value) else value,
)
def test_a_changed_stream_is_noticed(node: str, wrap: Any, case: Case) -> None:
    assert noticed(case, agent_whose(node, wrap))
    assert not noticed(case, PLAIN)


def tool_that(wrap: Callable[[Any], Any]) -> Names:
    def decorate(f: Any = None, **options: Any) -> Any:
        if f is None:
            return functools.partial(decorate, **options)
        return function_tool(wrap(f), **options)

    return Names(Agent, PLAIN.AgentTask, decorate)


def becomes_async(function: Any) -> Any:
    @functools.wraps(function)
    async def tool(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return tool


def turns_errors_into_words(function: Any) -> Any:
    @functools.wraps(function)
    async def tool(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except Exception as error:
            return str(error)

    return tool


def has_no_signature(function: Any) -> Any:
    async def tool(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        return await function(ctx, *args, **kwargs)

    tool.__name__, tool.__doc__ = function.__name__, function.__doc__
    return tool


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize(
    ("wrap", "case"),
    [
        (becomes_async, test_tools.sync_function),
        (turns_errors_into_words, test_tools.a_tool_error),
        (has_no_signature, test_tools.a_method),
    ],
    ids=lambda value: value.__name__,
)
def test_a_changed_tool_is_noticed(wrap: Any, case: Case) -> None:
    assert noticed(case, tool_that(wrap))


def test_an_stt_that_is_connected_anew_is_noticed() -> None:
    class Overriding(Agent):
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            async for event in super().stt_node(audio, model_settings):
                yield event

    case = test_handoffs.handed_over_in_speech
    names = Names(Overriding, PLAIN.AgentTask, function_tool)
    # Before 1.5.17 LiveKit itself connected anew at each handoff.
    assert noticed(case, names) == hasattr(AgentActivity, "_detach_reusable_resources")


def test_an_event_handler_that_changes_the_session_is_noticed() -> None:
    class Meddling(Agent):
        def __getattribute__(self, name: str) -> Any:
            if name == "on_enter":
                self.session.options.turn_handling["interruption"]["enabled"] = False
            return super().__getattribute__(name)

    case = test_speeches.talked_over
    assert noticed(case, Names(Meddling, PLAIN.AgentTask, function_tool))
