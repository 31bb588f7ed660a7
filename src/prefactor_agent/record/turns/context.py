"""Which turn and which tool the running code belongs to.

``speech_created`` is emitted synchronously, before LiveKit creates the task that will run the nodes
and tools of that speech, and in the same context (voice/agent_activity.py, ``_generate_reply`` and
``say``): a variable set in its handler is inherited by all of them. Another handler of the event
may make a speech in between, whose turn is then what the task inherits: so LiveKit's own word for
what a task is for goes first. A traced tool sets its variable while its body runs: what the body
calls and starts inherits it, and so does an ``AgentTask`` that it awaits.

A context can outlive the session by far: the variable stays set in that of whoever made the agent
speak. So it holds a reference to the turn that is emptied when the session's trace is closed."""

from __future__ import annotations

import asyncio
import weakref
from contextvars import ContextVar
from typing import NamedTuple

from livekit.agents import llm

from ...core.span import Span
from ..livekit import private as livekit_private
from .state import Scope
from .turn import AssistantTurn, UserTurn


class RunningTool(NamedTuple):
    """A run of a traced tool's body."""

    span: Span
    request: llm.FunctionCall | None
    """The model's call that it runs for, which the tools that it calls itself run for too."""


class _Ref:
    """What a context remembers: a speech, or a turn of the user's that was handed on."""

    __slots__ = ("__weakref__", "asked", "scope", "turn")

    def __init__(
        self, scope: Scope, *, turn: AssistantTurn | None = None, asked: UserTurn | None = None
    ) -> None:
        self.turn = turn
        self.asked = asked
        self.scope: Scope | None = scope


class TurnRefs:
    """The contexts that remember a turn of one session."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._refs: weakref.WeakSet[_Ref] = weakref.WeakSet()

    def set_turn(self, turn: AssistantTurn) -> None:
        """Have the running code, and what it starts, belong to a speech."""
        ref = _Ref(self._scope, turn=turn)
        self._refs.add(ref)
        _current_ref.set(ref)

    def set_asked(self, asked: UserTurn) -> None:
        """Have the running code, and what it starts, come out of the hook that a turn of the user's
        is handed to."""
        task = asyncio.current_task()
        asked.hook_task = weakref.ref(task) if task is not None else None
        ref = _Ref(self._scope, asked=asked)
        self._refs.add(ref)
        _asked_ref.set(ref)

    def clear(self) -> None:
        """Have all of them forget it."""
        for ref in self._refs:
            ref.turn = ref.asked = ref.scope = None


_current_ref: ContextVar[_Ref | None] = ContextVar("prefactor_agent_turn", default=None)
_asked_ref: ContextVar[_Ref | None] = ContextVar("prefactor_agent_asked", default=None)


def is_hook_task(asked: UserTurn) -> bool:
    """Whether the running task is the one that a turn of the user's was handed to the hook in:
    LiveKit creates its answer in the same (voice/agent_activity.py,
    ``_user_turn_completed_impl``)."""
    task = asked.hook_task() if asked.hook_task is not None else None
    return task is not None and task is asyncio.current_task()


class CurrentTurn:
    """The speech that the running code is part of, or was started by."""

    def get(self) -> AssistantTurn | None:
        """Its turn; ``None`` outside of any, and when its session's trace is closed."""
        found = self.with_scope()
        return found[0] if found is not None else None

    def of(self, scope: Scope) -> AssistantTurn | None:
        """Its turn, if that is one of this session."""
        turn = self.get()
        return turn if turn is not None and scope.owns(turn.span) else None

    def asked_in(self, scope: Scope) -> UserTurn | None:
        """The user's turn of this session in whose hook the running code is, or was started."""
        ref = _asked_ref.get()
        return ref.asked if ref is not None and ref.scope is scope else None

    def with_scope(self) -> tuple[AssistantTurn, Scope] | None:
        """Its turn, and the scope of the session that the turn is of."""
        ref = _current_ref.get()
        if ref is None or (turn := ref.turn) is None or (scope := ref.scope) is None:
            return None
        speech = livekit_private.running_speech()
        if speech is None or speech is turn.speech:
            return turn, scope
        return scope.state.speeches.get(speech.id) or turn, scope


current_turn = CurrentTurn()
current_tool: ContextVar[RunningTool | None] = ContextVar("prefactor_agent_tool", default=None)


def running_tool(session_id: str) -> RunningTool | None:
    """The tool of this session whose body the running code is part of, or was started by, if it
    still runs.

    A context outlives what it was made in: LiveKit's long-lived tasks keep the variable of a tool
    that started or resumed an agent."""
    tool = current_tool.get()
    mine = tool is not None and tool.span.open and tool.span.session_id == session_id
    return tool if mine else None


def span_at_work(scope: Scope, kind: str) -> Span | None:
    """The open span in which the session's ``llm``, ``stt`` or ``tts`` is at work right now."""
    if kind == "stt":
        return scope.state.open_utterance()
    turn = current_turn.of(scope)
    if turn is None or not turn.span.open:
        return None
    return turn.open_nodes.get(f"livekit:{kind}", turn.span)
