"""Which turn and which tool the running code belongs to.

``speech_created`` is emitted synchronously, before LiveKit creates the task that will run the nodes
and tools of that speech, and in the same context (voice/agent_activity.py, ``_generate_reply`` and
``say``): a variable set in its handler is inherited by all of them. Another handler of the event
may make a speech in between, whose turn is then what the task inherits: so LiveKit's own word for
what a task is for goes first. A traced tool sets its variable while its body runs: what the body
calls and starts inherits it, and so does an ``AgentTask`` that it awaits.

A context can outlive the session by far: the variable stays set in that of whoever made the agent
speak. So it holds a place for the turn, which is emptied when the session's trace is closed."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from ..livekit import private as livekit_private

if TYPE_CHECKING:
    from livekit.agents import llm

    from ...core.span import Span
    from .turn import AssistantTurn


class RunningTool(NamedTuple):
    """A run of a traced tool's body."""

    span: Span
    request: llm.FunctionCall | None
    """The model's call that it runs for, which the tools that it calls itself run for too."""


class _Place:
    __slots__ = ("__weakref__", "turn")

    def __init__(self, turn: AssistantTurn) -> None:
        self.turn: AssistantTurn | None = turn


class TurnRefs:
    """The contexts that remember a turn of one session."""

    def __init__(self) -> None:
        self._places: weakref.WeakSet[_Place] = weakref.WeakSet()

    def add(self, turn: AssistantTurn) -> _Place:
        place = _Place(turn)
        self._places.add(place)
        return place

    def empty(self) -> None:
        """Have all of them forget it."""
        for place in self._places:
            place.turn = None


class CurrentTurn:
    """The speech that the running code is part of, or was started by: ``None`` outside of any, and
    when its session's trace is closed."""

    def __init__(self) -> None:
        self._place: ContextVar[_Place | None] = ContextVar("prefactor_agent_turn", default=None)

    def get(self) -> AssistantTurn | None:
        place = self._place.get()
        if place is None or (turn := place.turn) is None:
            return None
        speech = livekit_private.running_speech()
        if speech is None or speech is turn.speech:
            return turn
        return turn.trace.speeches.find(speech.id) or turn

    def set(self, turn: AssistantTurn) -> None:
        self._place.set(turn.trace.places.add(turn))


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
