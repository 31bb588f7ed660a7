"""The model's tool calls of one session, as LiveKit's events report them: the spans of tools that
are not traced (plain ``function_tool``s, raw schemas, toolsets, MCP servers), and of all tools what
the model got for an answer.

From 1.6 on LiveKit emits ``tool_execution_updated`` when a tool begins, when it reports progress
and when it ends. Before that it emits ``function_tools_executed`` alone, once all calls that were
made together are over: their begin and end are then the stamps of the items
(voice/agent_activity.py, ``_tool_execution_started_cb``, sets the call's anew when the tool is
started; the output is stamped when it is made). A call that both events report is recorded once,
by the id of the item: the model's own id of a call may come again, also while the first call still
runs (a task inside a tool). What a provider runs on its own side is in ``provider.py``.

What the model got is in ``function_tools_executed`` alone: LiveKit answers in place of a tool whose
value it does not take, and a handoff may not happen. So the end of a call whose answer is in doubt
is kept until then; its span ends at the moment when the tool did."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import FunctionToolsExecutedEvent, ToolError, llm

from ...core.clock import from_wall, now_ns
from ...core.guard import guarded
from ...core.json import JSON
from ...core.span import Span, Status
from ..turns.context import current_turn
from ..turns.state import Scope
from ..turns.turn import AssistantTurn
from . import outcome
from .outcome import Outcome
from .tool_span import begin_tool, end_tool
from .updates import Updates

_REMEMBERED = 256
"""Calls whose end LiveKit may never report (a reply that was interrupted) are forgotten in time."""
_TURN_OVER = "the turn was over before LiveKit made the handoff"


@dataclass(eq=False)
class _Call:
    call: llm.FunctionCall
    turn: AssistantTurn | None
    at: int
    span: Span | None = None
    """``None``: it may turn out to be the call of a traced tool."""
    traced: bool = False
    updates: Updates = field(default_factory=Updates)
    answered: bool = False
    """The model has its answer to the call itself: of a background tool, the first report."""
    ended: tuple[Outcome, int] | None = None
    """How its body ended, and when, if the model's answer is not known yet."""


_Pairs = Sequence[tuple[llm.FunctionCall, llm.FunctionCallOutput | None]]
_Answers = Sequence[tuple[_Call, llm.FunctionCallOutput | None]]


class ToolCalls:
    """The model's calls of one session's tools: sets ``state.untraced_spans``."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._by_update: OrderedDict[str, _Call] = OrderedDict()
        """The calls that reported progress, by LiveKit's id of each report."""
        self._untraced_spans: dict[str, Span] = {}
        scope.state.untraced_spans = self._untraced_spans

    # Begin

    def on_tool_began(self, span: Span, call: llm.FunctionCall | None, traced: bool) -> None:
        """A call has a span; a traced tool made it."""
        if traced and call is not None:
            known = self._calls.pop(call.id, None) or _Call(call, self._turn(), span.started_ns)
            known.span, known.traced = span, True
            self._remember(known)

    def span(self, call: llm.FunctionCall) -> Span | None:
        """The open span of a call whose tool has turned out to be none that is traced."""
        known = self._calls.get(call.id)
        if known is None or known.traced or known.ended is not None:
            return None
        if known.span is None:
            known.span = self._begin(call, known.turn, known.at)
            self._untraced_spans[call.id] = known.span
        return known.span

    @guarded("event.tool_execution_updated")
    def on_updated(self, event: Any) -> None:
        """LiveKit's account of a call, from 1.6 on."""
        update = event.update
        match update.type:
            case "tool_call_started":
                self._started(update.function_call)
            case "tool_call_updated":
                self._reported(update)
            case "tool_call_ended":
                self._ended(update)
            case "tool_reply_updated":
                self._replied(update)

    def _started(self, call: llm.FunctionCall) -> None:
        if call.id not in self._calls:
            self._remember(_Call(call, self._turn(), now_ns()))
            # The tool's task was made just before this event and takes its first step before the
            # callback: a traced tool has begun its span by then.
            asyncio.get_running_loop().call_soon(self._untraced, call)

    @guarded("tool.begin")
    def _untraced(self, call: llm.FunctionCall) -> None:
        if not self._scope.state.closed:
            self.span(call)

    # Progress

    def _reported(self, update: Any) -> None:
        known = self._find(update.call_id)
        if known is not None:
            known.updates.add(update, self._scope.spans.offset_us(now_ns()))
            for id_ in (update.id, f"{update.call_id}_final"):
                _put(self._by_update, id_, known)

    def _replied(self, update: Any) -> None:
        """A speech is made for reports of tools: it says whose."""
        turn = self._scope.state.speeches.get(update.speech_id)
        if update.status != "scheduled" or turn is None:
            return
        replies_to: dict[str, JSON] = {}
        for id_ in update.update_ids:
            known = self._by_update.get(id_)
            span = known.span if known is not None else None
            if known is not None and span is not None:
                known.updates.note_reply(id_, turn.span.id)
                tool = {"tool_id": span.id, "tool_name": span.name, "update_ids": []}
                replies_to.setdefault(span.id, tool)["update_ids"].append(id_)
        if replies_to:
            self._scope.spans.update(turn.span, reply_to=list(replies_to.values()))

    # End

    def on_tool_over(
        self, span: Span, call: llm.FunctionCall, status: Status, result: JSON, at: int
    ) -> None:
        """The body of a traced tool is over."""
        known = self._calls.get(call.id) or _Call(call, None, span.started_ns, span, traced=True)
        ended = Outcome(status, result)
        if ended.given_agent and known.turn is not None and not known.updates:
            known.turn.handed_over_by = span
        in_doubt = ended.given_agent or ended.kind == outcome.REFUSED
        if in_doubt and call.id in self._calls:
            known.ended = ended, at
        else:
            self._end(known, ended, at)

    def _ended(self, update: Any) -> None:
        known = self._find(update.call_id)
        if known is None:
            return
        deferred = update.id != update.call_id
        if not known.traced:
            span, ended = self.span(known.call), outcome.of_event(update.status, update.message)
            self._untraced_spans.pop(known.call.id, None)
            if span is not None:
                known.ended = ended, now_ns()
        if deferred:
            # The model gets it as an answer to a call of its own (voice/events.py,
            # ``_make_update_output``).
            answer = self._answers([update.id]).get(update.id)
            if _gives_agent(known):
                self._refuse(known, "LiveKit makes no handoff after a progress update")
            self._settle(known, answer, forget=known.answered)
        elif not known.traced and update.status != "done":
            self._settle(known, forget=False)

    @guarded("event.function_tools_executed")
    def on_executed(self, event: FunctionToolsExecutedEvent) -> None:
        """The model's calls that were made together have their answers."""
        turn = self._turn()
        if turn is not None:
            turn.executed = event
        pairs: _Pairs = event.zipped()
        for call, output in pairs:
            if call.id not in self._calls:
                self._record_whole(call, output, turn)
        calls: _Answers = [
            (self._calls[call.id], output) for call, output in pairs if call.id in self._calls
        ]
        if event.has_agent_handoff and turn is not None and turn.handed_over_by is None:
            turn.handed_over_by = _gave_an_agent(calls)
        if any(known.ended and known.ended[0].given_agent for known, _ in calls):
            # A handler that comes after this one may still call the handoff off.
            asyncio.get_running_loop().call_soon(self._answered, calls, event)
        else:
            self._answered(calls, event)

    @guarded("tool.answer")
    def _answered(self, calls: _Answers, event: FunctionToolsExecutedEvent) -> None:
        given = [known for known, _ in calls if _gives_agent(known)]
        taken = given[-1] if given and event.has_agent_handoff else None
        for known, output in calls:
            known.answered = True
            if known.updates:
                known.updates.note_answer(output)
                output = None  # the report's, not the result's
            if known.ended is None and known.span is not None and known.span.open:
                continue  # it goes on in the background
            if known is not taken and _gives_agent(known):
                said = output.output if output is not None and output.is_error else ""
                together = [one for one, _ in calls]
                self._refuse(known, said or _why_refused(known, given, together))
            self._settle(known, output)

    def on_speech_over(self, turn: AssistantTurn) -> None:
        """A speech is over: LiveKit reports no more of what the model got."""
        for known in [one for one in self._calls.values() if one.turn is turn and one.ended]:
            if _gives_agent(known):
                self._refuse(known, _TURN_OVER)
            self._settle(known)

    def _refuse(self, known: _Call, reason: str) -> None:
        """Note that the agent that a tool answered with does not get the call."""
        if known.ended is not None:
            ended, at = known.ended
            known.ended = outcome.handoff_refused(ended, reason), at
        if known.turn is not None and known.turn.handed_over_by is known.span:
            known.turn.handed_over_by = None

    def _settle(
        self, known: _Call, output: llm.FunctionCallOutput | None = None, *, forget: bool = True
    ) -> None:
        """End the span of a call that is over.

        Args:
            output: What the model got; ``None``: that is unknown.
        """
        if known.ended is not None:
            (ended, at), known.ended = known.ended, None
            self._end(known, outcome.as_the_model_got(ended, output), at)
        elif output is not None and output.is_error and _went_well(known):
            # Its span has ended as the body did.
            self._scope.signals.error.emit(
                known.call.name, ToolError(output.output), _open_turn(known.turn), None, None
            )
        if forget:
            self._calls.pop(known.call.id, None)

    def _end(self, known: _Call, ended: Outcome, at: int) -> None:
        if known.span is None or not known.span.open:
            return
        result = dict(ended.result)
        if known.updates:
            answers = self._answers(known.updates.ids())
            result |= known.updates.as_json(answers)
        end_tool(self._scope.spans, known.span, ended.status, result, at)

    def _answers(self, ids: Iterable[str]) -> dict[str, llm.FunctionCallOutput]:
        """What the model got for reports of tools, which LiveKit puts into the history."""
        session = self._scope.state.session
        items = session.history.items if session is not None else []
        wanted = set(ids)
        return {
            item.call_id: item
            for item in items[-_REMEMBERED:]
            if isinstance(item, llm.FunctionCallOutput) and item.call_id in wanted
        }

    def _turn(self) -> AssistantTurn | None:
        return current_turn.of(self._scope)

    def _find(self, call_id: str) -> _Call | None:
        """The latest call with this id, of the running turn if there is one."""
        turn = self._turn()
        calls = [one for one in reversed(self._calls.values()) if one.call.call_id == call_id]
        return next((one for one in calls if one.turn is turn), next(iter(calls), None))

    def _remember(self, known: _Call) -> None:
        self._calls[known.call.id] = known
        while len(self._calls) > _REMEMBERED:
            self._settle(next(iter(self._calls.values())))

    def _begin(self, call: llm.FunctionCall, turn: AssistantTurn | None, at: int) -> Span:
        arguments = call.arguments
        parent = _open_turn(turn)
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

    def _record_whole(
        self,
        call: llm.FunctionCall,
        output: llm.FunctionCallOutput | None,
        turn: AssistantTurn | None,
    ) -> None:
        """Record a call that is over when LiveKit first reports it."""
        now = now_ns()
        span = self._begin(call, turn, min(now, from_wall(call.created_at)))
        if output is None:  # before 1.6, of a tool that stopped the response
            ended = outcome.of_event("done", None)
            at = now
        else:
            ended = outcome.of_event("error" if output.is_error else "done", output.output)
            at = min(now, from_wall(output.created_at))
        self._remember(_Call(call, turn, at, span, ended=(ended, max(at, span.started_ns))))


def _went_well(known: _Call) -> bool:
    if known.ended is not None:
        return known.ended[0].status is Status.COMPLETE
    return known.span is not None and known.span.status is Status.COMPLETE


def _gives_agent(known: _Call) -> bool:
    return known.ended is not None and known.ended[0].given_agent


def _why_refused(known: _Call, given: Sequence[_Call], calls: Sequence[_Call]) -> str:
    """Why LiveKit makes no handoff for a call among those that were made together
    (voice/agent_activity.py, ``_pipeline_reply_task_impl``)."""
    if others := [one.call.name for one in given if one is not known]:
        return f"{others[0]}, which was called together with it, answered with an agent, too"
    if outcome.LAST_ANSWER_DECIDES and calls[-1] is not known:
        return f"{calls[-1].call.name}, which was called together with it, ended later"
    return "the program called the handoff off"


def _open_turn(turn: AssistantTurn | None) -> Span | None:
    return turn.span if turn is not None and turn.span.open else None


def _gave_an_agent(calls: _Answers) -> Span | None:
    """Which of some calls answered with an agent, which the events don't say: the only one, or the
    only one that said nothing else."""
    ended = [(one.span, output) for one, output in calls if not one.traced and _went_well(one)]
    if len(ended) > 1:
        ended = [(span, output) for span, output in ended if output and not output.output]
    return ended[0][0] if len(ended) == 1 else None


def _inputs(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return {"arguments": arguments}


def _put(known: OrderedDict[str, _Call], id_: str, call: _Call) -> None:
    known[id_] = call
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
