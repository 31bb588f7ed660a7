"""The traced form of an agent's nodes and hooks.

A traced callable is of the same kind as the original (a coroutine function for a coroutine
function, else a plain one), gives back the same kind of thing, is bound to the agent as any method
is, and has the original behind ``__wrapped__``."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
import weakref
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from livekit.agents import Agent

from ...core.guard import guarded, report
from .calls import observed
from .passthrough import Watcher, ended, observe

NODES = frozenset(
    {"stt_node", "llm_node", "tts_node", "transcription_node", "realtime_audio_output_node"}
)
HOOKS = frozenset({"on_enter", "on_exit", "on_user_turn_completed", "on_user_turn_exceeded"})
INTERCEPTED = NODES | HOOKS


class HookCall(Protocol):
    """One call of one hook."""

    def end(self, error: BaseException | None) -> None: ...


class NodeCall(Watcher, Protocol):
    """One call of one node, as the trace sees it."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    """What to call the node with: the arguments, an input stream among them being watched."""

    def value(self, result: Any) -> None:
        """The node answered with something that is no stream (text, a chunk, nothing)."""


class Tracer(Protocol):
    """What the traced callables talk to. ``None`` means: not traced, just call."""

    def open_node(
        self, agent: Agent, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> NodeCall | None: ...

    def open_hook(
        self, agent: Agent, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HookCall | None: ...

    def keep(self, agent: Agent, form: Callable[..., Any]) -> None:
        """Keep a traced form for as long as the call that the agent is in lasts."""


_made: weakref.WeakValueDictionary[tuple[str, int], Callable[..., Any]] = (
    weakref.WeakValueDictionary()
)
# By the id of a function, which its traced form keeps alive: while one is in use, and at least as
# long as the call goes on, the same one is given out, so that two look-ups compare equal as bound
# methods do; afterwards nothing is kept.


_inside: ContextVar[tuple[int, str] | None] = ContextVar("prefactor_agent_assigned", default=None)
"""The agent and the name of an assigned callable that is being called: what it calls in its turn is
often what stood there before, and the call is one."""


@guarded("intercept")
def traced(tracer: Tracer, agent: Agent, name: str, original: Any) -> Any:
    """The traced form of ``original``, which is what ``agent.<name>`` is without us; ``None`` where
    it has none."""
    if not callable(original):
        return None
    make = _hook if name in HOOKS else _node
    if isinstance(original, types.MethodType) and original.__self__ is agent:
        function = original.__func__
        key = (name, id(function))
        made = _made.get(key)
        if made is None:
            made = _made[key] = make(tracer, name, function)
            tracer.keep(agent, made)
        return types.MethodType(made, agent)
    # Assigned on the instance, or a static method: it is called without the agent.
    form = make(tracer, name, _without(original, name))
    return _Assigned(original, functools.partial(form, agent))


class _Assigned:
    """A callable that is no method of the agent: it differs from the original in the call only (a
    mock can be asked for its calls, and is equal to what was assigned)."""

    __slots__ = ("_assigned_call", "_assigned_original")

    def __init__(self, original: Any, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_assigned_original", original)
        object.__setattr__(self, "_assigned_call", call)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self._assigned_original.__class__

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._assigned_original)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._assigned_call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._assigned_original, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._assigned_original, name, value)

    def __eq__(self, other: object) -> bool:
        if type(other) is _Assigned:
            other = other._assigned_original
        return bool(self._assigned_original == other)

    def __hash__(self) -> int:
        return hash(self._assigned_original)

    def __repr__(self) -> str:
        return repr(self._assigned_original)


def _node(tracer: Tracer, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _ObservedNode | None:
        agent, *others = args
        if _within(agent, name):
            return None
        call = tracer.open_node(agent, name, tuple(others), kwargs)
        return _ObservedNode(agent, call) if call is not None else None

    return observed(function, begin)


class _ObservedNode:
    """A call of a node: its stream is watched until it ends."""

    def __init__(self, agent: Agent, call: NodeCall) -> None:
        self.args, self.kwargs = (agent, *call.args), call.kwargs
        self._call = call

    def returned(self, value: Any, *, awaited: bool) -> Any:
        call = self._call
        try:
            if isinstance(value, AsyncIterable):
                return observe(value, call)
            call.value(value)
        except Exception as failure:
            report("node.answer", failure, call)
        ended(call, None)
        return value

    def raised(self, error: BaseException) -> None:
        ended(self._call, error)


def _hook(tracer: Tracer, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _ObservedHook | None:
        agent, *others = args
        if _within(agent, name):
            return None
        call = tracer.open_hook(agent, name, tuple(others), kwargs)
        return _ObservedHook(args, kwargs, call) if call is not None else None

    return observed(function, begin)


class _ObservedHook:
    """A call of a hook."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], call: HookCall) -> None:
        self.args, self.kwargs = args, kwargs
        self._call = call

    def returned(self, value: Any, *, awaited: bool) -> Any:
        ended(self._call, None)
        return value

    def raised(self, error: BaseException) -> None:
        ended(self._call, error)


def _without(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """``function``, an assigned one, which leaves out its first argument."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function, updated=())  # a callable's __dict__ is its own affair
        async def coroutine(agent: Agent, *args: Any, **kwargs: Any) -> Any:
            return await _awaited_inside(function(*args, **kwargs), agent, name)

        return coroutine

    @functools.wraps(function, updated=())
    def plain(agent: Agent, *args: Any, **kwargs: Any) -> Any:
        with _being_called(agent, name):
            result = function(*args, **kwargs)
        return _awaited_inside(result, agent, name) if asyncio.iscoroutine(result) else result

    return plain


async def _awaited_inside(coroutine: Any, agent: Agent, name: str) -> Any:
    with _being_called(agent, name):
        return await coroutine


@contextmanager
def _being_called(agent: Agent, name: str) -> Iterator[None]:
    before = _inside.get()
    _inside.set((id(agent), name))
    try:
        yield
    finally:
        _inside.set(before)  # no reset: a coroutine can be closed in another context


def _within(agent: Agent, name: str) -> bool:
    return _inside.get() == (id(agent), name)
