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
from collections.abc import AsyncIterable, Callable
from typing import Any, Protocol

from livekit.agents import Agent

from .passthrough import Watcher, watched

NODES = frozenset(
    {"stt_node", "llm_node", "tts_node", "transcription_node", "realtime_audio_output_node"}
)
HOOKS = frozenset({"on_enter", "on_exit", "on_user_turn_completed"})
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


_made: weakref.WeakValueDictionary[tuple[str, int], Callable[..., Any]] = (
    weakref.WeakValueDictionary()
)
# By the id of a function, which its traced form keeps alive: while one is in use the same one is
# given out, so that two look-ups compare equal as bound methods do; afterwards nothing is kept.


def traced(tracer: Tracer, agent: Agent, name: str, original: Any) -> Any:
    """The traced form of ``original``, which is what ``agent.<name>`` is without us."""
    if not callable(original):
        return original
    if isinstance(original, types.MethodType) and original.__self__ is agent:
        function = original.__func__
        key = (name, id(function))
        made = _made.get(key)
        if made is None:
            make = _hook if name in HOOKS else _node
            made = _made[key] = make(tracer, name, function)
        return types.MethodType(made, agent)
    # Assigned on the instance, or a static method: it is called without the agent.
    make = _hook if name in HOOKS else _node
    return functools.partial(make(tracer, name, _ignoring_self(original)), agent)


def _node(tracer: Tracer, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine_node(agent: Agent, *args: Any, **kwargs: Any) -> Any:
            call = tracer.open_node(agent, name, args, kwargs)
            if call is None:
                return await function(agent, *args, **kwargs)
            return await _answer(function(agent, *call.args, **call.kwargs), call)

        return coroutine_node

    @functools.wraps(function)
    def node(agent: Agent, *args: Any, **kwargs: Any) -> Any:
        call = tracer.open_node(agent, name, args, kwargs)
        if call is None:
            return function(agent, *args, **kwargs)
        try:
            result = function(agent, *call.args, **call.kwargs)
        except BaseException as error:
            call.end(error)
            raise
        return _answer(result, call) if asyncio.iscoroutine(result) else _hand_over(result, call)

    return node


def _hook(tracer: Tracer, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine_hook(agent: Agent, *args: Any, **kwargs: Any) -> Any:
            call = tracer.open_hook(agent, name, args, kwargs)
            return await _timed(function(agent, *args, **kwargs), call)

        return coroutine_hook

    @functools.wraps(function)
    def hook(agent: Agent, *args: Any, **kwargs: Any) -> Any:
        call = tracer.open_hook(agent, name, args, kwargs)
        try:
            result = function(agent, *args, **kwargs)
        except BaseException as error:
            if call is not None:
                call.end(error)
            raise
        if asyncio.iscoroutine(result):
            return _timed(result, call)
        if call is not None:
            call.end(None)
        return result

    return hook


def _ignoring_self(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(_agent: Agent, *args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return coroutine

    @functools.wraps(function, updated=())  # a callable object's __dict__ is its own affair
    def plain(_agent: Agent, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return plain


async def _answer(coroutine: Any, call: NodeCall) -> Any:
    try:
        result = await coroutine
    except BaseException as error:
        call.end(error)
        raise
    return _hand_over(result, call)


async def _timed(coroutine: Any, call: HookCall | None) -> Any:
    try:
        result = await coroutine
    except BaseException as error:
        if call is not None:
            call.end(error)
        raise
    if call is not None:
        call.end(None)
    return result


def _hand_over(result: Any, call: NodeCall) -> Any:
    if isinstance(result, AsyncIterable):
        return watched(result, call)
    call.value(result)
    call.end(None)
    return result
