"""The changes of the user's and the agent's state, one span each; only where the settings ask for
them: the turns say the same, and what it led to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, AgentStateChangedEvent, UserStateChangedEvent

from ...core.clock import from_wall, now_ns
from ...core.guard import guarded, listener
from ...core.span import SpanType, Status
from ..turns.state import Scope


class States:
    """Makes a span for each change of state in one session."""

    def __init__(self, scope: Scope) -> None:
        self._spans = scope.spans
        self._handlers: dict[Any, Callable[[Any], None]] = {}

    def follow(self, session: AgentSession[Any]) -> None:
        self._handlers = {
            "user_state_changed": listener(self._on_user),
            "agent_state_changed": listener(self._on_agent),
        }
        for event, handler in self._handlers.items():
            session.on(event, handler)

    def let_go(self, session: AgentSession[Any]) -> None:
        for event, handler in self._handlers.items():
            session.off(event, handler)
        self._handlers = {}

    @guarded("event.state")
    def _on_user(self, event: UserStateChangedEvent) -> None:
        self._record("user", event)

    @guarded("event.state")
    def _on_agent(self, event: AgentStateChangedEvent) -> None:
        self._record("agent", event)

    def _record(self, actor: str, event: UserStateChangedEvent | AgentStateChangedEvent) -> None:
        spans = self._spans
        at = max(spans.root.started_ns, min(now_ns(), from_wall(event.created_at)))
        span = spans.begin(
            SpanType.STATE,
            f"{actor}_state",
            None,
            {
                "name": f"{actor}_state",
                "type": SpanType.STATE.value,
                "actor": actor,
                "old_state": event.old_state,
                "new_state": event.new_state,
                "event_type": event.type,
                "created_at": event.created_at,
                "metadata": {},
            },
            at=at,
        )
        spans.end(span, Status.COMPLETE, {"status": "completed"}, at=at)
