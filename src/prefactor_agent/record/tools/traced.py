"""What is recorded of a traced tool's call: an input span while the body runs, and a result span
when it ends.

A traced tool that the program calls directly is no call of the model's: its span has no call id,
which is the name of one. Where another tool calls it, it is a part of that one's call, and its span
below the other's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from livekit.agents import Agent, RunContext

from ...core.clock import now_ns
from ...core.guard import guarded, on_event_loop
from ...core.json import JSON
from ...core.plain import plain
from ...core.span import SpanType
from ..livekit import private as livekit_private
from ..livekit.telemetry import current_span
from ..turns.context import RunningTool, current_tool, current_turn, running_tool
from ..turns.state import Scope
from ..turns.turn import AssistantTurn
from . import outcome
from .tool_span import begin_tool, end_tool


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
        if found is None or found[1].state.closed or not on_event_loop():
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
        self._scope = scope
        inputs, context = _inputs(signature, args, kwargs)
        request = context.function_call if context else livekit_private.running_function_call()
        outer = running_tool(turn.span.session_id)
        # LiveKit makes one object for each call of the model's, and hands it on.
        caller = outer.span if outer and (request is None or request is outer.request) else None
        if caller is None and request is not None:
            caller = scope.state.untraced_spans.get(request.id)
        asked = request if request is not None and request.name == name and not caller else None
        self._asked = asked
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
            otel=current_span(),
        )
        if asked is not None:
            turn.add_tool(self.span)
            scope.signals.tool_began.emit(self.span, asked, True)
        self._outer = current_tool.get()
        self._running = RunningTool(self.span, request)
        current_tool.set(self._running)

    def returned(self, value: Any, *, awaited: bool = True) -> None:
        """The body returned this.

        Args:
            awaited: It was awaited; else the body is no coroutine function.
        """
        for_model = self._asked is not None
        self._end(outcome.of_value(value, for_model=for_model, awaited=awaited))

    def raised(self, error: BaseException) -> None:
        """The body raised this."""
        self._end(outcome.of_error(error))

    def _end(self, ended: outcome.Outcome) -> None:
        if current_tool.get() is self._running:
            current_tool.set(self._outer)
        signals, asked = self._scope.signals, self._asked
        signals.tool_ending.emit(self.span)
        if asked is not None:
            signals.tool_over.emit(self.span, asked, *ended, now_ns())
        else:
            end_tool(self._scope.spans, self.span, *ended, now_ns())


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
