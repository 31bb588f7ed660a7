"""Every form that an ``llm_node`` can have, in an answer that is heard and in one that is cut."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
from livekit.agents import FlushSentinel, StopResponse, llm

from support.scripted import Tokens, Wait

from .models import NotedTTS
from .same import assert_same, product
from .stage import PLAIN, Call, Stage, played

REPLY = ["One two three. ", Wait(0.1), "Four five six. ", Wait(0.1), "Seven.", Tokens(3, 4)]
WORDS = ("Eins zwei drei. ", "Vier fünf sechs. ", "Sieben.")


def chunk(text: str) -> llm.ChatChunk:
    return llm.ChatChunk(id="x", delta=llm.ChoiceDelta(role="assistant", content=text))


async def words(s: Stage, *items: Any) -> AsyncIterator[Any]:
    """A source of its own, which notes what becomes of it."""
    try:
        for item in items or WORDS:
            s.note("produce", item)
            await asyncio.sleep(0.1)
            yield item
    except BaseException as error:
        s.note("broken off", error)
        raise
    finally:
        await asyncio.sleep(0)
        s.note("finally")


class Spoken:
    """Iterable, and nothing more: each time anew."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __aiter__(self) -> Any:
        return self._source()


class Stepped:
    """An iterator without ``aclose``."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._source)


class Closeable(Stepped):
    async def aclose(self) -> None:
        await self._source.aclose()


# Forms: ways in which a program gives an agent its node


def overriding(s: Stage, node: Any) -> Any:
    return type("Mine", (s.Agent,), {"llm_node": node})(instructions="be")


def untouched(s: Stage) -> Any:
    return type("Mine", (s.Agent,), {})(instructions="be")


def the_class_itself(s: Stage) -> Any:
    return s.Agent(instructions="be")


def async_generator(s: Stage) -> Any:
    async def llm_node(self: Any, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        async for item in words(s):
            yield item

    return overriding(s, llm_node)


def coroutine_of_a_generator(s: Stage) -> Any:
    async def llm_node(self: Any, *args: Any) -> Any:
        await asyncio.sleep(0.05)
        return words(s)

    return overriding(s, llm_node)


def function_giving_a_generator(s: Stage) -> Any:
    return overriding(s, lambda self, *args: words(s))


def function_giving_a_coroutine(s: Stage) -> Any:
    async def later() -> Any:
        return words(s)

    return overriding(s, lambda self, *args: later())


def coroutine_of_none(s: Stage) -> Any:
    async def llm_node(self: Any, *args: Any) -> Any:
        s.note("asked")

    return overriding(s, llm_node)


def coroutine_of_a_string(s: Stage) -> Any:
    async def llm_node(self: Any, *args: Any) -> Any:
        return "All of it. At once."

    return overriding(s, llm_node)


def function_giving_a_string(s: Stage) -> Any:
    return overriding(s, lambda self, *args: "All of it. At once.")


def coroutine_of_a_chunk(s: Stage) -> Any:
    async def llm_node(self: Any, *args: Any) -> Any:
        return chunk("which LiveKit does not read")

    return overriding(s, llm_node)


def a_list(s: Stage) -> Any:
    return overriding(s, lambda self, *args: ["which LiveKit", "does not read"])


def chunks(s: Stage) -> Any:
    usage = llm.CompletionUsage(completion_tokens=1, prompt_tokens=2, total_tokens=3)
    last = llm.ChatChunk(id="x", usage=usage)
    return overriding(s, lambda self, *args: words(s, *map(chunk, WORDS), last))


def with_flush_marks(s: Stage) -> Any:
    parts = (WORDS[0], FlushSentinel(), WORDS[1], FlushSentinel(), WORDS[2])
    return overriding(s, lambda self, *args: words(s, *parts))


def with_empty_and_foreign_items(s: Stage) -> Any:
    return overriding(s, lambda self, *args: words(s, "", 7, "Words.", None, object()))


def nothing_in_it(s: Stage) -> Any:
    return overriding(s, lambda self, *args: words(s, ""))


def class_with_aiter(s: Stage) -> Any:
    return overriding(s, lambda self, *args: Spoken(lambda: words(s)))


def iterator_without_aclose(s: Stage) -> Any:
    return overriding(s, lambda self, *args: Stepped(words(s)))


def iterator_with_aclose(s: Stage) -> Any:
    return overriding(s, lambda self, *args: Closeable(words(s)))


def through_super(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
            async for item in super().llm_node(chat_ctx, tools, model_settings):
                s.note("passed on", item)
                yield item

    return Mine(instructions="be")


def handing_on_super(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        def llm_node(self, *args: Any) -> Any:
            s.note("asked", *args)
            return super().llm_node(*args)

    return Mine(instructions="be")


def through_default(s: Stage) -> Any:
    async def llm_node(self: Any, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        async for item in s.Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield item

    return overriding(s, llm_node)


def two_overrides_and_a_mixin(s: Stage) -> Any:
    class Loud:
        async def llm_node(self, *args: Any) -> Any:
            async for item in super().llm_node(*args):  # type: ignore[misc]
                text = getattr(item.delta, "content", None)
                yield text.upper() if text else item

    class Base(Loud, s.Agent):  # type: ignore[misc, name-defined]
        pass

    class Mine(Base):
        async def llm_node(self, *args: Any) -> Any:
            yield "So: "
            async for item in super().llm_node(*args):
                yield item

    return Mine(instructions="be")


def on_the_instance(s: Stage) -> Any:
    agent = untouched(s)
    agent.llm_node = lambda *args: words(s)
    return agent


def partial_on_the_instance(s: Stage) -> Any:
    def by_source(source: Any, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        return source()

    agent = untouched(s)
    agent.llm_node = functools.partial(by_source, functools.partial(words, s))
    return agent


def mock_on_the_instance(s: Stage) -> Any:
    agent = untouched(s)
    agent.llm_node = mock.Mock(side_effect=lambda *args: words(s))
    return agent


def patched_class(s: Stage) -> Any:
    agent = untouched(s)
    type(agent).llm_node = lambda self, *args: words(s)
    return agent


def static_method(s: Stage) -> Any:
    return overriding(s, staticmethod(lambda *args: words(s)))


def the_models_own_stream(s: Stage) -> Any:
    def llm_node(self: Any, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        return self.session.llm.chat(chat_ctx=chat_ctx, tools=tools)

    return overriding(s, llm_node)


def entered_as_a_context(s: Stage) -> Any:
    async def llm_node(self: Any, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        async with self.session.llm.chat(chat_ctx=chat_ctx) as stream:
            async for item in stream:
                yield item

    return overriding(s, llm_node)


def with_a_limit_for_each_chunk(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def llm_node(self, *args: Any) -> Any:
            stream = aiter(super().llm_node(*args))
            while True:
                try:
                    async with asyncio.timeout(0.06):
                        item = await anext(stream)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    s.note("too slow", error)
                    yield "Moment. "
                    return
                yield item

    return Mine(instructions="be")


def changing_what_is_asked(s: Stage) -> Any:
    class Mine(s.Agent):  # type: ignore[misc, name-defined]
        async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
            @s.tool
            async def added() -> str:
                """Added in the node."""
                return ""

            chat_ctx.add_message(role="system", content="be brief")
            tools.append(added)
            model_settings.tool_choice = "none"
            async for item in super().llm_node(chat_ctx, tools, model_settings):
                yield item

    return Mine(instructions="be")


def raising_at_once(s: Stage) -> Any:
    def llm_node(self: Any, *args: Any) -> Any:
        raise ValueError("no node")

    return overriding(s, llm_node)


def raising_midway(s: Stage) -> Any:
    async def llm_node(self: Any, *args: Any) -> Any:
        async for item in words(s):
            yield item
            raise ValueError("in the middle")

    return overriding(s, llm_node)


def raising_what_livekit_knows(s: Stage) -> Any:
    async def llm_node(self: Any, *args: Any) -> Any:
        yield "Words. "
        raise StopResponse

    return overriding(s, llm_node)


def slow_to_clean_up(s: Stage) -> Any:
    async def llm_node(self: Any, *args: Any) -> Any:
        try:
            async for item in words(s):
                yield item
        finally:
            await asyncio.sleep(0.2)
            s.note("cleaned up")

    return overriding(s, llm_node)


FORMS = [
    untouched,
    the_class_itself,
    async_generator,
    coroutine_of_a_generator,
    function_giving_a_generator,
    function_giving_a_coroutine,
    coroutine_of_none,
    coroutine_of_a_string,
    function_giving_a_string,
    coroutine_of_a_chunk,
    a_list,
    chunks,
    with_flush_marks,
    with_empty_and_foreign_items,
    nothing_in_it,
    class_with_aiter,
    iterator_without_aclose,
    iterator_with_aclose,
    through_super,
    handing_on_super,
    through_default,
    two_overrides_and_a_mixin,
    on_the_instance,
    partial_on_the_instance,
    mock_on_the_instance,
    patched_class,
    static_method,
    the_models_own_stream,
    entered_as_a_context,
    with_a_limit_for_each_chunk,
    changing_what_is_asked,
    raising_at_once,
    raising_midway,
    raising_what_livekit_knows,
    slow_to_clean_up,
]


# Scripts: what such an agent goes through


async def answers(call: Call) -> None:
    await call.types()


async def is_interrupted_by_the_caller(call: Call) -> None:
    await call.says()
    await call.says()
    await asyncio.sleep(3)


async def is_interrupted_by_the_program(call: Call) -> None:
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.15)
    await call.session.interrupt()
    await speech


async def is_interrupted_while_it_speaks(call: Call) -> None:
    speech = call.session.generate_reply(user_input="hello")
    await asyncio.sleep(0.7)
    await call.session.interrupt()
    await speech


class Record(dict[str, Any]):
    """A well-known way to write ``record.key``: what is missing is a KeyError."""

    __getattr__ = dict.__getitem__


def test_something_that_is_no_chunk() -> None:
    async def case(s: Stage) -> None:
        class Mine(s.Agent):  # type: ignore[misc, name-defined]
            async def llm_node(self, *_: Any) -> Any:
                yield "Eins. "
                yield Record(kind="meta")
                yield "Zwei."

        await answers(await s.call(Mine(instructions="be"), REPLY))

    assert_same(case)


SCRIPTS = [
    answers,
    is_interrupted_by_the_caller,
    is_interrupted_by_the_program,
    is_interrupted_while_it_speaks,
]


async def cast(s: Stage, agent: Any) -> Call:
    slow = NotedTTS(seconds_per_character=0.05)
    turns = {"interruption": {"min_duration": 0.1}}
    return await s.call(
        agent, REPLY, REPLY, hears=("hello there", "wait"), speaks=slow, turns=turns
    )


@product(FORMS, SCRIPTS)
def test_an_llm_node_goes_the_same_with_and_without_tracing(form: Any, script: Any) -> None:
    async def case(s: Stage) -> None:
        await script(await cast(s, form(s)))

    assert_same(case)


@pytest.mark.parametrize("script", SCRIPTS[1:], ids=lambda script: script.__name__)
def test_the_scripts_do_interrupt(script: Any) -> None:
    async def case(s: Stage) -> None:
        call = await cast(s, async_generator(s))
        speeches: list[Any] = []
        call.session.on("speech_created", lambda event: speeches.append(event.speech_handle))
        await script(call)
        assert speeches[0].interrupted

    broken = [entry for entry in played(case, PLAIN) if entry[2] == "broken off"]
    assert bool(broken) == (script is is_interrupted_by_the_program)
