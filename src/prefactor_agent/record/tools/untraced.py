"""The calls of tools that are not traced themselves, from LiveKit's events: plain
``function_tool``s, raw schemas, toolsets, MCP servers.

From 1.6 on LiveKit emits ``tool_execution_updated`` when a tool begins and when it ends. Before
that it emits ``function_tools_executed`` alone, once all calls that were made together are over:
their begin and end are then the stamps of the items (voice/agent_activity.py,
``_tool_execution_started_cb``, sets the call's anew when the tool is started; the output is stamped
when it is made). A call that both events report is recorded once, by the id of the item: the
model's own id of a call may come again, also while the first call still runs (a task inside a
tool). What a provider runs on its own side is in ``provider.py``."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from livekit.agents import FunctionToolsExecutedEvent, llm

from ...core.clock import from_wall, now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ...core.span import Span, Status
from ..turns.context import current_turn
from ..turns.state import Scope
from ..turns.turn import AssistantTurn
from .tool_span import begin_tool, end_tool

_REMEMBERED = 256
"""Calls whose end LiveKit may never report (a reply that was interrupted) are forgotten in time."""


@dataclass(eq=False)
class _Running:
    call: llm.FunctionCall
    turn: AssistantTurn | None
    at: int
    span: Span | None = None
    """``None``: it may turn out to be the call of a traced tool."""


class UntracedTools:
    """The calls of one session's tools that are not traced: sets ``state.untraced_spans``."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._running: OrderedDict[str, _Running] = OrderedDict()
        self._ended: OrderedDict[str, Span] = OrderedDict()
        self._traced: OrderedDict[str, None] = OrderedDict()
        self._spans_by_item: dict[str, Span] = {}
        scope.state.untraced_spans = self._spans_by_item

    def on_tool_began(self, _span: Span, call: llm.FunctionCall | None, traced: bool) -> None:
        """A call has a span: that of a traced tool is none of ours."""
        if traced and call is not None:
            self._running.pop(call.id, None)
            _remember(self._traced, call.id, None)

    def span(self, call: llm.FunctionCall) -> Span | None:
        """The open span of a call whose tool has turned out to be none that is traced."""
        running = self._running.get(call.id)
        if running is not None and running.span is None:
            running.span = self._begin(call, running.turn, running.at)
            self._spans_by_item[call.id] = running.span
        return running.span if running is not None else None

    @guarded("event.tool_execution_updated")
    def on_updated(self, event: Any) -> None:
        update = event.update
        if update.type == "tool_call_started":
            call = update.function_call
            if call.id not in self._traced:
                _remember(self._running, call.id, _Running(call, self._turn(), now_ns()))
                # The tool's task was made just before this event and takes its first step before
                # the callback: a traced tool has begun its span by then.
                asyncio.get_running_loop().call_soon(self._untraced, call)
        elif update.type == "tool_call_ended":
            ended = self._find(update.call_id, self._turn())
            span = self.span(ended) if ended is not None else None
            if ended is not None and span is not None:
                del self._running[ended.id]
                self._spans_by_item.pop(ended.id, None)
                _remember(self._ended, ended.id, span)
                status, result = _outcome(update.status, update.message)
                end_tool(self._scope.spans, span, status, result, now_ns())

    def _find(self, call_id: str, turn: AssistantTurn | None) -> llm.FunctionCall | None:
        """The latest call of a turn that has this id."""
        running = reversed(self._running.values())
        return next(
            (one.call for one in running if one.call.call_id == call_id and one.turn is turn), None
        )

    @guarded("tool.begin")
    def _untraced(self, call: llm.FunctionCall) -> None:
        if not self._scope.state.closed:
            self.span(call)

    @guarded("event.function_tools_executed")
    def on_executed(self, event: FunctionToolsExecutedEvent) -> None:
        turn = self._turn()
        ended: list[tuple[Span, llm.FunctionCallOutput | None]] = []
        for call, output in event.zipped():
            if call.id in self._traced:
                del self._traced[call.id]
            elif call.id not in self._running:  # else it goes on in the background
                span = self._ended.pop(call.id, None) or self._whole(call, output, turn)
                ended.append((span, output))
        if event.has_agent_handoff and turn is not None and turn.handed_over_by is None:
            turn.handed_over_by = _gave_an_agent(ended)

    def _turn(self) -> AssistantTurn | None:
        return current_turn.of(self._scope)

    def _begin(self, call: llm.FunctionCall, turn: AssistantTurn | None, at: int) -> Span:
        arguments = call.arguments
        parent = turn.span if turn is not None and turn.span.open else None
        span = begin_tool(
            self._scope,
            call.name,
            turn,
            parent,
            max(at, parent.started_ns) if parent is not None else at,
            lambda: _inputs(arguments),
            call_id=call.call_id,
            group_id=call.group_id,
            from_events=True,
        )
        self._scope.signals.tool_began.emit(span, call, False)
        if turn is not None:
            turn.add_tool(span)
        return span

    def _whole(
        self,
        call: llm.FunctionCall,
        output: llm.FunctionCallOutput | None,
        turn: AssistantTurn | None,
    ) -> Span:
        """Record a call that is over when LiveKit first reports it."""
        now = now_ns()
        span = self._begin(call, turn, min(now, from_wall(call.created_at)))
        if output is None:  # before 1.6, of a tool that stopped the response
            status, result = _outcome("done", None)
            at = now
        else:
            status, result = _outcome("error" if output.is_error else "done", output.output)
            at = min(now, from_wall(output.created_at))
        end_tool(self._scope.spans, span, status, result, max(at, span.started_ns))
        return span


def _outcome(status: str, message: str | None) -> tuple[Status, JSON]:
    """What the events say of an end: the text that the model gets, and whether it is an error."""
    if status == "cancelled":
        return Status.CANCELLED, {"outcome": "cancelled", "is_error": False}
    if status == "error":
        error = without_none({"message": message})
        return Status.FAILED, {"outcome": "error", "is_error": True, "error": error}
    outputs = {"output": message} if message is not None else None
    return Status.COMPLETE, without_none(
        {"outcome": "returned", "outputs": outputs, "is_error": False}
    )


def _gave_an_agent(calls: list[tuple[Span, llm.FunctionCallOutput | None]]) -> Span | None:
    """Which of some calls answered with an agent, which the events don't tell: the only one, or
    the only one that said nothing else."""
    ended = [(span, output) for span, output in calls if span.status is Status.COMPLETE]
    if len(ended) > 1:
        ended = [(span, output) for span, output in ended if output and not output.output]
    return ended[0][0] if len(ended) == 1 else None


def _inputs(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return {"arguments": arguments}


def _remember(known: OrderedDict[str, Any], id_: str, value: Any) -> None:
    known[id_] = value
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
