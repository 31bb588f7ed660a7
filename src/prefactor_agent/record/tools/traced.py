"""What is recorded of a traced tool's call: an input span while the body runs, and a result span
when it ends.

A traced tool that the program calls directly is no call of the model's: its span has no call id,
which is the name of one. Where another tool calls it, it is a part of that one's call, and its span
below the other's."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

from livekit.agents import Agent, RunContext, StopResponse, ToolError, llm

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON
from ...core.plain import plain
from ...core.span import SpanType, Status
from ..livekit import private as livekit_private
from ..spans.outcome import describe_error
from ..turns.context import RunningTool, current_tool, current_turn, running_tool
from ..turns.state import Scope
from ..turns.turn import AssistantTurn
from .tool_span import begin_tool, end_tool

_TOOL_RESULT: Any = getattr(llm, "ToolResult", ())  # from 1.8 on


class ToolCall:
    """One run of a tool's body, inside a traced session. The callers guard what is here."""

    @staticmethod
    def begin(
        name: str,
        signature: inspect.Signature | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> ToolCall | None:
        """Begin the input span; ``None`` outside a session, where a tool is just a function, and in
        a thread of the program's: a call is recorded on its loop only."""
        found = current_turn.with_scope()
        if found is None or found[1].state.closed or not _on_a_loop():
            return None
        return _begun(*found, name, signature, args, kwargs)

    def __init__(
        self,
        turn: AssistantTurn,
        scope: Scope,
        name: str,
        signature: inspect.Signature | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self._turn, self._scope = turn, scope
        inputs, context = _inputs(signature, args, kwargs)
        request = context.function_call if context else livekit_private.running_function_call()
        outer = running_tool(turn.span.session_id)
        # LiveKit makes one object for each call of the model's, and hands it on.
        caller = outer.span if outer and (request is None or request is outer.request) else None
        if caller is None and request is not None:
            caller = scope.state.untraced_spans.get(request.id)
        asked = request if request is not None and request.name == name and not caller else None
        self._asked = asked is not None
        self.span = begin_tool(
            scope,
            name,
            turn,
            caller or (turn.span if turn.span.open else None),
            now_ns(),
            inputs,
            usual_type=f"{SpanType.TOOL}:{name}",
            call_id=asked.call_id if asked is not None else None,
            group_id=getattr(asked, "group_id", None),
        )
        if asked is not None:
            turn.add_tool(self.span)
            scope.signals.tool_began.emit(self.span, asked, True)
        self._outer = current_tool.get()
        self._running = RunningTool(self.span, request)
        current_tool.set(self._running)

    def returned(self, value: Any) -> None:
        """The body returned this."""
        try:
            kind, outputs = _outcome(value)
        except Exception:  # the value's own words fail: say what is known
            kind, outputs = "returned", {"output": f"<{type(value).__qualname__}>"}
        if kind == "handoff" and self._asked:
            self._turn.handed_over_by = self.span
        self._end(Status.COMPLETE, {"outcome": kind, "outputs": outputs, "is_error": False})

    def raised(self, error: BaseException) -> None:
        """The body raised this."""
        if isinstance(error, StopResponse):
            self._end(Status.COMPLETE, {"outcome": "stop_response", "is_error": False})
        elif isinstance(error, asyncio.CancelledError):
            self._end(Status.CANCELLED, {"outcome": "cancelled", "is_error": False})
        else:
            kind = "tool_error" if isinstance(error, ToolError) else "exception"
            described = describe_error(error)
            self._end(Status.FAILED, {"outcome": kind, "is_error": True, "error": described})

    def _end(self, status: Status, result: JSON) -> None:
        if current_tool.get() is self._running:
            current_tool.set(self._outer)
        self._scope.signals.tool_ending.emit(self.span)
        end_tool(self._scope.spans, self.span, status, result, now_ns())


@guarded("tool.begin")
def _begun(
    turn: AssistantTurn,
    scope: Scope,
    name: str,
    signature: inspect.Signature | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> ToolCall:
    return ToolCall(turn, scope, name, signature, args, kwargs)


def _inputs(
    signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[JSON, RunContext[Any] | None]:
    """The validated arguments by name, and the run context among them."""
    context = None
    inputs: JSON = {}
    for index, (name, value) in enumerate(_named(signature, args, kwargs).items()):
        if isinstance(value, RunContext):
            context = value
        elif not (index == 0 and _is_owner(name, value)):
            inputs[name] = plain(value)
    return inputs, context


def _named(
    signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    try:
        if signature is not None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return bound.arguments
    except TypeError:
        pass  # the call is wrong, which it will say itself; or the function takes more than it says
    return {**{str(index): value for index, value in enumerate(args)}, **kwargs}


def _is_owner(name: str, value: Any) -> bool:
    """What a method is bound to, whatever it is called there."""
    return name == "self" or isinstance(value, Agent) or (name == "cls" and isinstance(value, type))


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _outcome(value: Any) -> tuple[str, JSON]:
    """What kind of answer a tool gave; LiveKit gives each its own meaning
    (``make_tool_output``)."""
    if isinstance(value, Agent):
        return "handoff", {"agent": value.id}
    if isinstance(value, tuple | list) and any(isinstance(part, Agent) for part in value):
        agent = next(part for part in value if isinstance(part, Agent))
        rest = [part for part in value if not isinstance(part, Agent)]
        return "handoff", {"agent": agent.id, "output": plain(rest[0] if len(rest) == 1 else rest)}
    if isinstance(value, _TOOL_RESULT):
        return "tool_result", {
            "output": plain(value.output),
            "reply_required": value.reply_required,
        }
    return "returned", {"output": plain(value)}
