"""Subclassing is all that a user does, whatever they do in the subclass: each test here holds a
``TracedAgent`` against what ``Agent`` does in its place."""

from __future__ import annotations

import abc
import asyncio
import copy
import functools
import gc
import inspect
import pickle
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest import mock

import pytest
from livekit.agents import Agent, AgentSession, AgentTask, llm
from livekit.agents.voice.agent_activity import AgentActivity

from prefactor_agent import TracedAgent, TracedAgentTask
from support.memory_sink import MemorySink
from support.scripted import Microphone, ScriptedLLM, ScriptedSTT, silence, sound

NODES = ["stt_node", "llm_node", "tts_node", "transcription_node", "realtime_audio_output_node"]
HOOKS = ["on_enter", "on_exit", "on_user_turn_completed"]


@asynccontextmanager
async def running(agent: Agent, *replies: str) -> AsyncIterator[AgentSession[None]]:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(*(replies or ("from the model",))))
    await session.start(agent)
    try:
        yield session
    finally:
        await session.aclose()


async def answer(agent: Agent) -> str:
    """What the agent says to one message; LiveKit itself calls the nodes."""
    async with running(agent) as session:
        await session.run(user_input="hello")
        item = session.history.items[-1]
        return item.text_content or "" if item.type == "message" else ""


def llm_texts(sink: MemorySink) -> list[str]:
    return [sink.plain(span)["result"]["text"] for span in sink.of("livekit:llm")]


# Overrides: traced once, together with what they call


def with_super(base: Any) -> Any:
    class Mine(base):
        async def llm_node(self, *args: Any) -> Any:
            async for chunk in super().llm_node(*args):
                yield chunk
            yield ", through super()"

    return Mine


def with_two_levels_of_super(base: Any) -> Any:
    class Mine(with_super(base)):
        async def llm_node(self, *args: Any) -> Any:
            async for chunk in super().llm_node(*args):
                yield chunk
            yield ", twice"

    return Mine


def with_the_default(base: Any) -> Any:
    class Mine(base):
        async def llm_node(self, *args: Any) -> Any:
            async for chunk in Agent.default.llm_node(self, *args):
                yield chunk
            yield ", by default"

    return Mine


def with_a_mixin_before(base: Any) -> Any:
    class Mixin:
        def llm_node(self, *args: Any) -> Any:
            return Agent.default.llm_node(self, *args)  # type: ignore[arg-type]

    class Mine(Mixin, base):
        pass

    return Mine


def with_a_mixin_after(base: Any) -> Any:
    class Mixin:
        def note(self) -> str:
            return "mixed in"

    class Mine(base, Mixin):
        async def llm_node(self, *args: Any) -> Any:
            yield self.note()

    return Mine


def in_full(base: Any) -> Any:
    class Mine(base):
        async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
            yield "mine"

    return Mine


def not_at_all(base: Any) -> Any:
    class Mine(base):
        pass

    return Mine


def as_a_string(base: Any) -> Any:
    class Mine(base):
        async def llm_node(self, *args: Any) -> Any:
            return "a string"

    return Mine


def as_a_sync_string(base: Any) -> Any:
    class Mine(base):
        def llm_node(self, *args: Any) -> Any:
            return "a sync string"

    return Mine


def statically(base: Any) -> Any:
    class Mine(base):
        @staticmethod
        async def llm_node(chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
            yield "static"

    return Mine


def on_the_class(base: Any) -> Any:
    class Mine(base):
        @classmethod
        async def llm_node(cls, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
            yield cls.__name__

    return Mine


def with_an_own_getattribute(base: Any) -> Any:
    class Mixin:
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name == "instructions":
                return f"{found}, politely"
            return found

    class Mine(Mixin, base):
        pass

    return Mine


def with_an_own_getattribute_behind(base: Any) -> Any:
    class Mixin:
        def __getattribute__(self, name: str) -> Any:
            return super().__getattribute__(name)

    class Mine(base, Mixin):
        pass

    return Mine


def with_an_own_getattr(base: Any) -> Any:
    class Mixin:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("get_"):
                return lambda: name
            raise AttributeError(name)

    class Mine(Mixin, base):
        async def llm_node(self, *args: Any) -> Any:
            yield self.get_it()

    return Mine


def with_an_abstract_mixin(base: Any) -> Any:
    class Mixin(abc.ABC):
        @abc.abstractmethod
        def word(self) -> str: ...

    class Mine(Mixin, base):
        def word(self) -> str:
            return "concrete"

        async def llm_node(self, *args: Any) -> Any:
            yield self.word()

    return Mine


OVERRIDES = [
    not_at_all,
    with_super,
    with_two_levels_of_super,
    with_the_default,
    with_a_mixin_before,
    with_a_mixin_after,
    in_full,
    as_a_string,
    as_a_sync_string,
    statically,
    on_the_class,
    with_an_own_getattribute,
    with_an_own_getattribute_behind,
    with_an_own_getattr,
    with_an_abstract_mixin,
]


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda f: f.__name__)
async def test_an_override_is_traced_once(override: Callable[[Any], Any], sink: MemorySink) -> None:
    plain, mine = override(Agent)(instructions="be"), override(TracedAgent)(instructions="be")
    expected = await answer(plain)
    assert expected
    assert not sink.spans
    assert await answer(mine) == expected
    assert llm_texts(sink) == [expected]
    assert mine.instructions == plain.instructions
    assert mine.id == plain.id


def test_an_abstract_agent_cannot_be_made() -> None:
    class Mine(TracedAgent, abc.ABC):
        @abc.abstractmethod
        def word(self) -> str: ...

    with pytest.raises(TypeError, match="abstract"):
        Mine(instructions="be")  # type: ignore[abstract]


# Patched later


@contextmanager
def assigned(agent: Agent, node: Any) -> Iterator[None]:
    agent.llm_node = node  # type: ignore[method-assign]
    yield


@contextmanager
def patched_on_the_class(agent: Agent, node: Any) -> Iterator[None]:
    def method(self: Agent, *args: Any) -> Any:
        return node(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(agent), "llm_node", method)
        yield


@contextmanager
def patched_with_mock(agent: Agent, node: Any) -> Iterator[None]:
    with mock.patch.object(agent, "llm_node", node):
        yield
    assert "llm_node" not in vars(agent)


def function(*args: Any) -> Any:
    return "function"


async def coroutine(*args: Any) -> Any:
    return "coroutine"


async def generator(*args: Any) -> Any:
    yield "generator"


class Answering:
    def __call__(self, *args: Any) -> Any:
        return generator(*args)

    async def method(self, *args: Any) -> Any:
        return "bound method"


FORMS = {
    "function": function,
    "coroutine": coroutine,
    "generator": generator,
    "partial": functools.partial(lambda given, *args: given, "partial"),
    "partial of a coroutine": functools.partial(coroutine),
    "callable": Answering(),
    "bound method": Answering().method,
    "mock": mock.MagicMock(return_value="mock"),
    "async mock": mock.AsyncMock(return_value="async mock"),
}


@pytest.mark.parametrize("how", [assigned, patched_on_the_class, patched_with_mock])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_node_that_is_exchanged_later_is_traced(
    form: Any, how: Callable[[Agent, Any], Any], sink: MemorySink
) -> None:
    for base in (Agent, TracedAgent):
        agent = not_at_all(base)(instructions="be")
        with how(agent, form):
            if base is Agent:
                expected = await answer(agent)
            else:
                assert await answer(agent) == expected
                assert llm_texts(sink) == [expected]
    assert expected in {*FORMS, "coroutine"} or expected == "generator"


def by_a_function(node: Any) -> Any:
    return lambda *args: node(*args)


def by_a_coroutine(node: Any) -> Any:
    async def wrapper(*args: Any) -> Any:
        return node(*args)

    return wrapper


def by_a_mock(node: Any) -> Any:
    return mock.Mock(wraps=node)


@pytest.mark.parametrize("wrapped", [by_a_function, by_a_coroutine, by_a_mock])
async def test_a_node_that_is_wrapped_on_the_instance_is_traced_once(
    wrapped: Callable[[Any], Any], sink: MemorySink
) -> None:
    class Mine(TracedAgent):
        def __init__(self) -> None:
            super().__init__(instructions="be")
            self.llm_node = wrapped(self.llm_node)  # type: ignore[method-assign]
            self.on_enter = wrapped(self.on_enter)  # type: ignore[method-assign]

    async with running(Mine(), "one", "two") as session:
        await session.generate_reply(user_input="hello")
        await session.generate_reply(user_input="again")
    assert llm_texts(sink) == ["one", "two"]
    (told,) = [span["result"] for span in sink.as_dicts() if span["type"] == "livekit:session"]
    assert [hook["name"] for hook in told["hooks"]] == ["on_enter", "on_exit"]


def test_what_was_assigned_is_itself_in_all_but_the_call() -> None:
    agent = TracedAgent(instructions="be")
    for form in (*FORMS.values(), None, 3):
        agent.llm_node = form  # type: ignore[assignment]
        found = agent.llm_node
        assert found == form
        assert form == found
        if form is not None:
            assert isinstance(found, type(form))
            assert hash(found) == hash(form)
        assert repr(found) == repr(form)
        assert inspect.iscoroutinefunction(found) == inspect.iscoroutinefunction(form)
        assert asyncio.iscoroutinefunction(found) == asyncio.iscoroutinefunction(form)
        if callable(form) and not isinstance(form, mock.NonCallableMock):
            assert inspect.signature(found) == inspect.signature(form)
    spy = mock.MagicMock()
    agent.llm_node = spy  # type: ignore[method-assign]
    agent.llm_node.return_value = "x"  # type: ignore[attr-defined]
    assert agent.llm_node(1, b=2) == "x"  # type: ignore[call-arg, arg-type]
    agent.llm_node.assert_called_once_with(1, b=2)  # type: ignore[attr-defined]


# What an agent is


class Mine(TracedAgent):
    async def on_enter(self) -> None: ...

    def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        """My own."""
        return "x"


class MinePlain(Agent):
    async def on_enter(self) -> None: ...

    def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        """My own."""
        return "x"


def test_signatures_and_kinds_are_those_of_the_plain_agent() -> None:
    assert inspect.signature(TracedAgent) == inspect.signature(Agent)
    assert inspect.signature(Mine) == inspect.signature(MinePlain)
    for name in (*NODES, *HOOKS):
        mine, plain = (
            getattr(Mine(instructions=""), name),
            getattr(MinePlain(instructions=""), name),
        )
        assert inspect.signature(mine) == inspect.signature(plain)
        assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(plain)
        assert inspect.isasyncgenfunction(mine) == inspect.isasyncgenfunction(plain)
        assert inspect.ismethod(mine)
        assert mine.__doc__ == plain.__doc__
        assert mine.__name__ == plain.__name__
        assert mine.__func__.__wrapped__ is getattr(Mine, name)


async def test_signature_of_a_task() -> None:
    assert inspect.signature(TracedAgentTask) == inspect.signature(AgentTask)


@pytest.mark.parametrize("name", [*NODES, *HOOKS])
def test_the_class_is_left_as_it_is(name: str) -> None:
    class Sub(TracedAgent): ...

    assert getattr(TracedAgent, name) is getattr(Agent, name)
    assert getattr(Sub, name) is getattr(Agent, name)
    assert getattr(type(Sub(instructions="")), name) is getattr(Agent, name)


def test_bound_nodes_are_equal_as_methods_are() -> None:
    one, other = Mine(instructions=""), Mine(instructions="")
    assert one.llm_node == one.llm_node
    assert hash(one.llm_node) == hash(one.llm_node)
    assert one.llm_node != other.llm_node
    assert one.llm_node != one.tts_node
    assert one.llm_node.__self__ is one  # type: ignore[attr-defined]


async def test_what_a_node_is_looked_up_as_lives_as_long_as_the_call(sink: MemorySink) -> None:
    def looked_up() -> weakref.ref[Any]:
        node: Any = agent.llm_node
        return weakref.ref(node.__func__)

    agent = Mine(instructions="be")
    assert looked_up()() is None
    async with running(agent):
        form = looked_up()
        assert form() is not None
        assert looked_up() is form
    gc.collect()
    assert form() is None


async def test_ids_are_those_of_the_plain_agent() -> None:
    class Concierge(TracedAgent): ...

    class BookTable(TracedAgentTask[None]): ...

    assert TracedAgent(instructions="").id == Agent(instructions="").id == "default_agent"
    assert TracedAgent(instructions="", id="own").id == Agent(instructions="", id="own").id
    assert TracedAgent(instructions="").label == Agent(instructions="").label
    assert Concierge(instructions="").id == "concierge"
    assert Concierge(instructions="", id="own").id == "own"
    plain: AgentTask[None] = AgentTask(instructions="")
    task: TracedAgentTask[None] = TracedAgentTask(instructions="")
    assert task.id == plain.id
    assert BookTable(instructions="").id == "book_table"


# Copies


class WithState(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="be")
        self.words = ["state"]

    def __getstate__(self) -> Any:
        return {**self.__dict__, "words": [*self.words, "saved"]}

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)
        self.words.append("restored")


class WithReduce(TracedAgent):
    def __init__(self, word: str) -> None:
        super().__init__(instructions="be")
        self.words = [word]

    def __reduce__(self) -> Any:
        return WithReduce, (self.words[0] + " again",)


class Simple(TracedAgent):
    words = ("simple",)

    async def llm_node(self, *args: Any) -> Any:
        yield " ".join(self.words)


def round_trip(agent: Any) -> Any:
    return pickle.loads(pickle.dumps(agent))


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": round_trip}


@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES)
async def test_a_copy_is_traced_by_itself(way: Callable[[Any], Any], sink: MemorySink) -> None:
    original = Simple(instructions="be")
    original.llm_node  # noqa: B018  # looked up, as LiveKit does
    twin = way(original)
    assert vars(twin).keys() == vars(original).keys()
    twin.words = ("a", "copy")
    assert twin.llm_node.__self__ is twin
    assert await answer(twin) == "a copy"
    assert await answer(original) == "simple"
    assert llm_texts(sink) == ["a copy", "simple"]
    assert way(WithState()).words == ["state", "saved", "restored"]
    assert way(WithReduce("word")).words == ["word again"]


# Memory


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_an_unused_agent_is_freed_at_once() -> None:
    with no_collector():
        agent = Mine(instructions="")
        for name in (*NODES, *HOOKS):
            getattr(agent, name)
        gone = weakref.ref(agent)
        del agent
        assert gone() is None


async def test_nothing_of_ours_holds_an_agent_after_its_session(sink: MemorySink) -> None:
    with no_collector():
        agent = Mine(instructions="be")
        async with running(agent) as session:
            await session.run(user_input="hello")
        gone = weakref.ref(agent)
        del agent, session
        for _ in range(5):
            await asyncio.sleep(0)
        # LiveKit's session and activity hold it in a cycle, with plain ``Agent`` too.
        holders = {type(holder).__module__ for holder in gc.get_referrers(gone())}
        assert not any(module.startswith("prefactor") for module in holders)
    gc.collect()
    assert gone() is None


async def test_a_session_is_forgotten_with_its_trace(sink: MemorySink) -> None:
    from prefactor_agent.record.recorder import SessionRecorder
    from prefactor_agent.tracing import tracer

    async def call() -> tuple[weakref.ref[Any], weakref.ref[Any]]:
        async with running(Mine(instructions="be")) as session:
            await session.run(user_input="hello")
            trace = tracer._traces[session]
        assert isinstance(trace, SessionRecorder)
        return weakref.ref(session), weakref.ref(trace)

    session, trace = await call()
    await asyncio.sleep(0)
    sink.puts.clear()
    sink._spans.clear()
    gc.collect()
    assert session() is None
    assert trace() is None


# The STT at a handoff


@pytest.mark.parametrize("overridden", [False, True])
async def test_the_stt_stream_survives_a_handoff_as_without_us(
    overridden: bool, sink: MemorySink
) -> None:
    async def streams(base: Any) -> tuple[int, list[str]]:
        class First(base):
            if overridden:

                def stt_node(self, *args: Any) -> Any:
                    return super().stt_node(*args)

        class Second(base): ...

        ears = ScriptedSTT("before", "after")
        session: AgentSession[None] = AgentSession(
            stt=ears, turn_handling={"turn_detection": "manual"}
        )
        microphone = Microphone(speed=10)
        session.input.audio = microphone
        heard: list[str] = []
        session.on(
            "user_input_transcribed", lambda ev: heard.append(ev.transcript) if ev.is_final else 0
        )
        await session.start(First(instructions="be"))
        for count, agent in ((1, Second(instructions="be")), (2, None)):
            microphone.play([*silence(0.3), *sound(0.3), *silence(0.4)])
            async with asyncio.timeout(5):
                while len(heard) < count:
                    await asyncio.sleep(0.01)
            if agent is not None:
                session.update_agent(agent)
                while session.current_agent is not agent or agent._activity is None:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
        await session.aclose()
        return ears.streams, heard

    plain = await streams(Agent)
    assert await streams(TracedAgent) == plain
    assert plain[1] == ["before", "after"]
    if hasattr(AgentActivity, "_detach_reusable_resources"):
        assert plain[0] == (2 if overridden else 1)


async def test_hooks_are_noted(sink: MemorySink) -> None:
    await answer(Mine(instructions="be"))
    hooks = sink.one("livekit:session")["result"]["hooks"]
    assert [hook["name"] for hook in hooks] == ["on_enter", "on_exit"]


@pytest.mark.parametrize("outcome", ["done", "failed", "cancelled"])
async def test_a_hook_that_hands_over_its_work_is_timed_to_its_end(
    outcome: str, sink: MemorySink
) -> None:
    made: list[asyncio.Future[None]] = []

    async def work() -> None:
        await asyncio.sleep(0.2)
        if outcome == "failed":
            raise ValueError("no")
        if outcome == "cancelled":
            raise asyncio.CancelledError

    class Hands(TracedAgent):
        def on_enter(self) -> Any:
            made.append(asyncio.ensure_future(work()))
            return made[0]

    agent = Hands(instructions="be")
    async with running(agent):
        given = agent.on_enter
        await asyncio.wait(made)
        await asyncio.sleep(0)
    assert not inspect.iscoroutinefunction(given)
    enter = sink.one("livekit:session")["result"]["hooks"][0]
    assert enter["name"] == "on_enter"
    assert enter["duration_ms"] == pytest.approx(200, abs=1)
    assert enter["status"] == {"done": "complete"}.get(outcome, outcome)
    errors = [sink.plain(span)["payload"]["source"] for span in sink.of("livekit:error")]
    assert errors == (["on_enter"] if outcome == "failed" else [])


def test_arguments_are_passed() -> None:
    agent = TracedAgent(instructions="be", chat_ctx=llm.ChatContext.empty(), tools=[])
    assert agent.instructions == "be"
