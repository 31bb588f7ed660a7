"""The tool that a user writes: LiveKit's own, traced."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, overload

from livekit.agents import function_tool
from livekit.agents.llm import FunctionTool, RawFunctionTool

from .record.tool_calls import ToolCall

P = ParamSpec("P")
R = TypeVar("R", bound=Awaitable[Any])

_MARK = "__prefactor_traced__"


@overload
def traced_tool(f: FunctionTool[P, R], **options: Any) -> FunctionTool[P, R]: ...


@overload
def traced_tool(f: RawFunctionTool[P, R], **options: Any) -> RawFunctionTool[P, R]: ...


@overload
def traced_tool(f: Callable[P, R], **options: Any) -> FunctionTool[P, R]: ...


@overload
def traced_tool(
    f: None = None, **options: Any
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def traced_tool(f: Any = None, **options: Any) -> Any:
    """Make a function a tool whose every call is recorded; stands in for LiveKit's
    ``@function_tool``.

    It can be used bare or with the keyword arguments of ``function_tool``, on functions and
    methods, above or below ``@function_tool``, and on a tool object that is already made. The model
    sees the same tool. Each call emits an input span when the body begins and a result span when it
    ends; what the body returns or raises passes through untouched. Called directly, outside a
    session, the function just works.

    Args:
        f: The function, or a ``FunctionTool`` or ``RawFunctionTool``.
        **options: What ``function_tool`` takes: ``name``, ``description``, ``raw_schema``,
        ``flags`` …

    Raises:
        TypeError: ``options`` were given for a tool object that is already made.
    """

    def decorate(target: Any) -> Any:
        if not isinstance(target, FunctionTool | RawFunctionTool):
            return function_tool(_recording(target, target), **options)
        if options:
            raise TypeError(
                f"{target.info.name} is a tool already: give its options to function_tool"
            )
        if hasattr(target, _MARK):
            return target
        # The tool object itself is called, not its function: it may be bound to an instance.
        function: Any = inspect.unwrap(target, stop=inspect.isfunction)
        kind: Any = type(target)
        return kind(_recording(target, function), target.info)

    return decorate if f is None else decorate(f)


def _recording(call: Callable[..., Any], like: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, recorded: with the name, the signature and the kind (sync or not) of ``like``."""
    signature = inspect.signature(call)
    name = getattr(getattr(call, "info", None), "name", like.__name__)

    if inspect.iscoroutinefunction(like):

        @functools.wraps(like)
        async def coroutine_tool(*args: Any, **kwargs: Any) -> Any:
            span = ToolCall.begin(name, signature, args, kwargs)
            if span is None:
                return await call(*args, **kwargs)
            try:
                value = await call(*args, **kwargs)
            except BaseException as error:
                span.raised(error)
                raise
            span.returned(value)
            return value

        recorded: Callable[..., Any] = coroutine_tool
    else:

        @functools.wraps(like)
        def tool(*args: Any, **kwargs: Any) -> Any:
            span = ToolCall.begin(name, signature, args, kwargs)
            if span is None:
                return call(*args, **kwargs)
            try:
                value = call(*args, **kwargs)
            except BaseException as error:
                span.raised(error)
                raise
            if inspect.isawaitable(value):
                return _awaited(value, span)
            span.returned(value)
            return value

        recorded = tool

    recorded.__signature__ = signature  # type: ignore[attr-defined]
    setattr(recorded, _MARK, True)
    return recorded


async def _awaited(value: Any, span: ToolCall) -> Any:
    try:
        result = await value
    except BaseException as error:
        span.raised(error)
        raise
    span.returned(result)
    return result
