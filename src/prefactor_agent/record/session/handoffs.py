"""Which agent has the call, how it came to have it, and what runs it.

LiveKit notes every change of the agent in the session's history, as an ``AgentHandoff`` item
(voice/agent_session.py, ``_update_activity``), when the old agent has stopped and before the new
one is started; from 1.5.17 on it also emits it at that moment (``conversation_item_added``).
That, too, happens in the task that asked for the change, so the context says which tool it was. An
``AgentTask`` is entered in this way, and comes back in it: what goes on in between belongs to the
tool call that awaits it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from livekit.agents import Agent, AgentSession, AgentTask, llm

from ...core.clock import from_wall, now_ns
from ...core.guard import guarded
from ...core.json import without_none
from ...core.span import Span, SpanType, Status
from ..livekit import private as livekit_private
from ..spans.outcome import describe_error
from ..turns.assistant_turns import AssistantTurns
from ..turns.context import current_tool, current_turn
from ..turns.state import LatestHandoff, Scope
from ..turns.turn import AssistantTurn

_awaited: dict[int, int] = {}
"""When a task that has not been entered yet was awaited, by its ``id``: one that is a dataclass has
no hash."""


_BACK = ("task_completed", "task_cancelled", "task_failed")
"""The causes of a change that brings the call back from a task."""


@guarded("task.awaited")
def awaited(task: Agent) -> None:
    """A traced ``AgentTask`` is awaited: from here on the agent that runs it is on its way out."""
    if id(task) not in _awaited:
        _awaited[id(task)] = now_ns()
        weakref.finalize(task, _awaited.pop, id(task), None)


class HandoffMissedError(Exception):
    """LiveKit was about to give the call to another agent, and did not."""


class Handoffs:
    """The handoffs of one session.

    Args:
        agent: Who has the call first, if that is known.
        untraced_span: Gives the span of a call of the model's whose tool is not traced.
    """

    def __init__(
        self,
        scope: Scope,
        session: AgentSession[Any],
        agent: Agent | None,
        assistant_turns: AssistantTurns,
        untraced_span: Callable[[llm.FunctionCall], Span | None],
    ) -> None:
        self._scope = scope
        self._spans, self._state, self._signals = scope
        self._assistant_turns = assistant_turns
        self._untraced_span = untraced_span
        self._active = weakref.ref(agent) if agent is not None else None
        self._tasks: list[_Task] = []
        """The tasks that the call is in, the innermost last: it has the call."""
        self._looked_at = _last(session)
        self._latest: str | None = None
        self._left_ns: int | None = None
        """When the agent that has the call began to leave it."""
        self._asked_by: Span | None = None
        """The tool whose body asked for another agent, without answering with it."""
        self._entering: tuple[Span, int] | None = None
        """A handoff whose new agent has not been entered yet, and the moment of the change."""
        self._promised: Span | None = None
        """The tool whose answer LiveKit took for a handoff that it has not made yet."""

    def begin_with(self, agent: Agent) -> None:
        """Learn which agent has the call first."""
        if self._active is None:
            self._active = weakref.ref(agent)

    def owning_tool_span(self) -> Span | None:
        """The open span of the tool call that runs the agent that has the call; ``None``: it is
        nobody's task."""
        self.poll_history()
        return self._state.open_owning_tool()

    def on_speech_beginning(self) -> None:
        """A speech is about to begin: the agent that has the call speaks, so it was entered."""
        self.poll_history()
        self.settle()

    @guarded("handoff.poll_history")
    def poll_history(self) -> None:
        """Take what is new in the history. Costs next to nothing if that is nothing."""
        session = self._state.session
        if session is None or (last := _last(session)) == self._looked_at:
            return
        found: list[llm.AgentHandoff] = []
        for item in reversed(session.history.items):
            if item.id in (self._looked_at, self._latest):
                break
            if isinstance(item, llm.AgentHandoff):
                found.append(item)
        self._looked_at = last
        for item in reversed(found):
            self._latest = item.id
            self._changed(session, item, alone=len(found) == 1)

    def exiting(self, agent: Agent) -> None:
        """``on_exit`` of an agent is called: for a handoff, or because the session closes."""
        session = self._state.session
        if session is not None and _current(session) is not agent:
            self._left_ns = now_ns()

    def tool_ends(self, span: Span) -> None:
        """A tool is about to be over: did it ask for another agent? (LiveKit waits for the tool
        before it makes the change.)"""
        self.poll_history()
        session = self._state.session
        active = self._active() if self._active is not None else None
        if session is not None and _current(session) is not active:
            self._asked_by = span

    def entered(self, hook: list[int | None]) -> None:
        """``on_enter`` of the new agent is called."""
        self.poll_history()
        self.settle(hook[0])
        state = self._state
        left_ns, changed_ns, _ = state.latest_handoff
        state.latest_handoff = LatestHandoff(left_ns, changed_ns, hook)

    @guarded("handoff.end")
    def settle(self, at: int | None = None) -> None:
        """The new agent has been entered: ``at``, or nobody saw it: then when the change was."""
        if self._entering is not None:
            (span, changed_ns), self._entering = self._entering, None
            self._spans.end(
                span, Status.COMPLETE, {"status": "completed"}, at=changed_ns if at is None else at
            )

    def on_speech_over(self, turn: AssistantTurn) -> None:
        """A speech is over: the handoff that its tool asked for, if there is one, comes now."""
        if turn.handed_over_by is not None:
            self._promised = turn.handed_over_by

    @guarded("handoff.missed")
    def end(self) -> None:
        """The session is over: a handoff that is missing is an error."""
        if (tool := self._promised) is not None:
            error = HandoffMissedError(f"the session closed before the handoff by {tool.name}")
            self._signals.error.emit("AgentSession.update_agent", error, None, False, None)

    def _changed(self, session: AgentSession[Any], item: llm.AgentHandoff, *, alone: bool) -> None:
        changed_ns = min(now_ns(), from_wall(item.created_at))
        new = _current(session)
        if new is not None and new.id != item.new_agent_id:
            new = None  # it has changed again since
        self._active = weakref.ref(new) if new is not None else None
        self.settle()
        if item.old_agent_id is None:
            return  # the first agent
        cause, tool, parent, error = self._cause(item, new, alone)
        if tool is self._promised:
            self._promised = None
        left_ns, self._left_ns, self._asked_by = self._left_ns, None, None
        if new is not None and (awaited_ns := _awaited.pop(id(new), None)) is not None:
            left_ns = awaited_ns
        if left_ns is None and cause == "tool" and tool is not None:
            left_ns = tool.finished_ns
        begun = min(changed_ns, left_ns) if left_ns is not None else changed_ns
        span = self._spans.begin(
            SpanType.HANDOFF,
            "handoff",
            parent,
            without_none(
                {
                    "name": "handoff",
                    "type": SpanType.HANDOFF.value,
                    "from": item.old_agent_id,
                    "to": item.new_agent_id,
                    "cause": cause,
                    "tool_name": tool.name if tool is not None else None,
                    "call_id": tool.payload.get("call_id") if tool is not None else None,
                    "error": describe_error(error) if error is not None else None,
                    "created_at": item.created_at,
                    "metadata": {},
                }
            ),
            at=max(begun, parent.started_ns) if parent is not None else begun,
        )
        self._entering = (span, changed_ns)
        self._state.latest_handoff = LatestHandoff(span.started_ns, changed_ns)
        if cause in _BACK:
            self.settle()  # it is resumed, not entered
            if tool is not None:
                self._assistant_turns.came_back(tool, changed_ns)

    def _set_owning_tool(self) -> None:
        self._state.owning_tool = self._tasks[-1].tool if self._tasks else None

    def _cause(self, item: llm.AgentHandoff, new: Agent | None, alone: bool) -> _Cause:
        """What a change came out of, from the context that it is made in.

        Args:
            alone: No other change was found with it: it has only just been made.
        """
        if self._tasks and self._tasks[-1].is_left_with(item):
            task = self._tasks.pop()
            self._set_owning_tool()
            error = livekit_private.task_error(task.task())
            return _Cause(_how_ended(error), task.tool, _open(task.tool), error)
        request = livekit_private.running_function_call()
        running = current_tool.get()
        inside = self._untraced_span(request) if request is not None else None
        inside = inside or _open(running.span if running is not None else None, self._spans.root.id)
        if isinstance(new, AgentTask) or (new is None and inside is not None):
            # Only a tool or a hook can await one (voice/agent.py, ``AgentTask.__await_impl``); a
            # hook of a task belongs to the tool that runs the task.
            tool = inside or (_open(self._tasks[-1].tool) if self._tasks else None)
            self._tasks.append(_Task(item.new_agent_id, item.old_agent_id, tool, _ref(new)))
            self._set_owning_tool()
            return _Cause("tool" if tool is not None else "hook", tool, tool)
        self._tasks.clear()  # none of them comes back any more
        self._set_owning_tool()
        turn = current_turn.of(self._scope)
        if turn is not None and turn.handed_over_by is not None:
            tool, turn.handed_over_by = turn.handed_over_by, None
            return _Cause("tool", tool)
        if inside is None and running is not None and running.span is self._asked_by:
            inside = running.span
        if inside is not None:
            return _Cause("tool", inside)
        return _Cause("program" if new is not None and alone else None)


class _Cause(NamedTuple):
    """What a change of the agent came out of."""

    word: str | None
    tool: Span | None = None
    """The tool that it has to do with."""
    parent: Span | None = None
    """The tool below which it lies."""
    error: BaseException | None = None
    """What the task ended with from which the call comes back."""


class _Task(NamedTuple):
    """An ``AgentTask`` that was entered."""

    agent: str
    """Its id."""
    comes_back_to: str | None
    """The id of the agent that had the call before."""
    tool: Span | None
    """The tool call that awaits it, if none of the hooks does."""
    task: Callable[[], Agent | None]
    """The task itself, if it is still there."""

    def is_left_with(self, item: llm.AgentHandoff) -> bool:
        """Whether a change of the agent is the task giving the call back."""
        return (self.agent, self.comes_back_to) == (item.old_agent_id, item.new_agent_id)


def _how_ended(error: BaseException | None) -> str:
    if error is None:
        return "task_completed"
    # ``AgentTask.cancel`` completes it with this (voice/agent.py).
    return "task_cancelled" if str(error).endswith(" is cancelled") else "task_failed"


def _ref(agent: Agent | None) -> Callable[[], Agent | None]:
    return weakref.ref(agent) if agent is not None else lambda: None


def _open(span: Span | None, session_id: str | None = None) -> Span | None:
    mine = span is not None and (session_id is None or span.session_id == session_id)
    return span if mine and span is not None and span.open else None


def _current(session: AgentSession[Any]) -> Agent | None:
    try:
        return session.current_agent
    except RuntimeError:  # not started, or over
        return None


def _last(session: AgentSession[Any]) -> str | None:
    items = session.history.items
    return items[-1].id if items else None
