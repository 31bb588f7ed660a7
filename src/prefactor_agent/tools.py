"""The tool that a user writes: LiveKit's own, traced."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar, overload

from livekit.agents import Agent, function_tool, llm
from livekit.agents.llm import FunctionTool, RawFunctionTool

from . import config, tool_options
from .agent import TracedAgent, TracedAgentTask
from .core.guard import guarded, logger
from .record.intercept.calls import observed
from .record.livekit import private as livekit_private
from .record.tools.traced import ToolCall
from .record.turns.context import current_turn
from .tool_options import ToolOptions

P = ParamSpec("P")
R = TypeVar("R", bound=Awaitable[Any])

_MARK = "__prefactor_traced__"

_AS_WRITTEN: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    import annotationlib

    # An annotation may name what is defined further below.
    _AS_WRITTEN = {"annotation_format": annotationlib.Format.FORWARDREF}


@overload
def traced_tool(f: FunctionTool[P, R], **options: Any) -> FunctionTool[P, R]: ...


@overload
def traced_tool(f: RawFunctionTool[P, R], **options: Any) -> RawFunctionTool[P, R]: ...


@overload
def traced_tool(
    f: Callable[P, R], *, raw_schema: Mapping[str, Any], **options: Any
) -> RawFunctionTool[P, R]: ...


@overload
def traced_tool(
    f: None = None, *, raw_schema: Mapping[str, Any], **options: Any
) -> Callable[[Callable[P, R]], RawFunctionTool[P, R]]: ...


@overload
def traced_tool(f: Callable[P, R], **options: Any) -> FunctionTool[P, R]: ...


@overload
def traced_tool(
    f: None = None, **options: Any
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def traced_tool(
    f: Any = None,
    *,
    data_risk: Mapping[str, Any] | None = None,
    summary: str | None = None,
    capture_content: bool = True,
    **options: Any,
) -> Any:
    """Make a function a tool whose every call is recorded; stands in for LiveKit's
    ``@function_tool``.

    It can be used bare or with the keyword arguments of ``function_tool``, on functions and
    methods, above or below ``@function_tool``, and on a tool object that is already made. The model
    sees the same tool. Each call emits an input span when the body begins and a result span when it
    ends; what the body returns or raises passes through untouched. Called directly, outside a
    session, the function just works.

    Args:
        f: The function, or a ``FunctionTool`` or ``RawFunctionTool``.
        data_risk: What is declared to Prefactor of the tool's data, in the form of prefactor-core's
            ``data_risk``: ``action_profile`` (``read_data`` … each ``unknown``, ``allowed`` or
            ``disallowed``), ``params_data_categories`` and ``result_data_categories``
            (``contact_information`` … each ``unknown``, ``included`` or ``excluded``). What is left
            out is unknown.
        summary: How Prefactor shows a call of the tool in one line: a Liquid template over the
            span's payload and result, like ``{{ inputs.city }}: {{ outputs.output }}``.
        capture_content: ``False`` keeps neither arguments nor results of this tool, wherever they
            pass, as ``configure(hide_tools=…)`` does.
        **options: What ``function_tool`` takes: ``name``, ``description``, ``raw_schema``,
            ``flags`` …

    Raises:
        ConfigurationError: ``data_risk``, ``summary`` or ``capture_content`` cannot be used.
        TypeError: ``options`` were given for a tool object that is already made.
    """
    declared = tool_options.checked(data_risk, summary, capture_content)

    def decorate(target: Any) -> Any:
        tool = make(target)
        if declared != ToolOptions() or tool is not target:
            tool_options.declare(tool.info.name, declared._replace(arguments=_arguments(tool)))
        return tool

    def make(target: Any) -> Any:
        if not isinstance(target, FunctionTool | RawFunctionTool):
            if not hasattr(target, "__name__"):
                function_tool(target, **options)  # raises LiveKit's own error
            recorded = _recording(target, target)
            tool: Any = function_tool(recorded, **options)
        elif options:
            raise TypeError(
                f"{target.info.name} is a tool already: give its options to function_tool"
            )
        elif hasattr(target, _MARK):
            return target
        else:
            # The tool object itself is called, not its function: it may be bound to an instance.
            recorded = _recording(target, inspect.unwrap(target, stop=inspect.isfunction))
            kind: Any = type(target)
            tool = kind(recorded, target.info)
        setattr(recorded, _MARK, tool.info.name)
        return tool

    return decorate if f is None else decorate(f)


def _recording(call: Callable[..., Any], like: Callable[..., Any]) -> Any:
    """``call``, recorded: with the name, the signature and the kind (sync or not) of ``like``."""
    signature = _signature(call)

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _ObservedTool | None:
        record = _begin(recorded, signature, args, kwargs)
        if record is None:
            _warn_of_plain_agent(args)
            return None
        return _ObservedTool(args, kwargs, record)

    recorded: Any = observed(call, begin, like)
    # From 3.14 on a function has both, and the first can be read before the names in it exist.
    if not (hasattr(like, "__annotate__") or hasattr(like, "__annotations__")):
        recorded.__annotations__ = {}  # those of our wrapper mean nothing to LiveKit
    if signature is not None and _names(signature) != _names(_signature(recorded)):
        # Only if they differ: from 3.13 on, a class method's would hide that its class is bound.
        recorded.__signature__ = signature
    setattr(recorded, _MARK, "")  # the tool's name, once LiveKit has made the tool
    return recorded


def _signature(call: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(call, **_AS_WRITTEN)
    except (ValueError, TypeError):  # a builtin may have none
        return None


def _arguments(
    tool: FunctionTool[..., Any] | RawFunctionTool[..., Any],
) -> tuple[tuple[str, ...], ...]:
    """Where the arguments of a tool are among the inputs of its calls, in order. ``self`` and the
    run context are no arguments."""
    if isinstance(tool, RawFunctionTool):
        schema = tool.info.raw_schema.get("parameters")
        known = schema.get("properties") if isinstance(schema, dict) else None
        return tuple(("raw_arguments", name) for name in known) if isinstance(known, dict) else ()
    signature = _signature(tool)
    parameters = signature.parameters.values() if signature is not None else ()
    return tuple(
        (one.name,)
        for one in parameters
        if one.name != "self" and "RunContext" not in str(one.annotation)
    )


def _names(signature: inspect.Signature | None) -> list[tuple[str, Any]]:
    # Without the defaults, which need not be comparable.
    parameters = signature.parameters.items() if signature is not None else ()
    return [(name, parameter.kind) for name, parameter in parameters]


class _ObservedTool:
    """A call of a tool's body, inside a traced session."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], record: ToolCall) -> None:
        self.args, self.kwargs = args, kwargs
        self._record = record

    def returned(self, value: Any, *, awaited: bool) -> Any:
        self._returned(value, awaited)
        return value

    @guarded("tool.end")
    def _returned(self, value: Any, awaited: bool) -> None:
        self._record.returned(value, awaited=awaited)

    @guarded("tool.end")
    def raised(self, error: BaseException) -> None:
        self._record.raised(error)


@guarded("tool.begin")
def _begin(
    recorded: Any,
    signature: inspect.Signature | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> ToolCall | None:
    name = getattr(recorded, _MARK)
    return ToolCall.begin(_renamed(recorded, name) or name, signature, args, kwargs)


@guarded("tool.plain_agent")
def _warn_of_plain_agent(args: tuple[Any, ...]) -> None:
    """Say once, when a model calls a traced tool of a plain ``Agent``, that nothing is traced."""
    global _warned_of_plain_agent
    agent = args[0] if args else None
    if (
        _warned_of_plain_agent
        or not isinstance(agent, Agent)
        or isinstance(agent, TracedAgent | TracedAgentTask)
    ):
        return
    if livekit_private.running_function_call() is None or config.settings().disabled:
        return
    _warned_of_plain_agent = True
    logger.warning(
        "%s has traced tools, but is a plain Agent, so this call is not traced: derive it from"
        " TracedAgent (prefactor-agent init shows how)",
        type(agent).__name__,
    )


_warned_of_plain_agent = False


@guarded("tool.name")
def _renamed(recorded: Any, name: str) -> str | None:
    """What the model calls this tool, where a ``function_tool`` above ours gave it another name. A
    call that runs for a tool of another name may also be one that this tool makes directly."""
    request = livekit_private.running_function_call()
    if request is None or request.name == name:
        return None
    found = current_turn.with_scope()
    session = found[1].state.session if found is not None else None
    if session is None:
        return None
    tools = [*session.current_agent.tools, *session.tools]
    tool: Any = llm.ToolContext(tools).get_function_tool(request.name)
    while tool is not None and tool is not recorded:
        tool = getattr(tool, "__wrapped__", None)
    if tool is None:
        return None
    tool_options.also_named(name, request.name)
    return request.name
