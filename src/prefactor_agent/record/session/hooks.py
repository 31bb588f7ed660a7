"""The calls of an agent's hooks: ``on_enter``, ``on_exit``, ``on_user_turn_completed`` …"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import Agent, AgentSession, StopResponse

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON
from ...core.span import Status
from ..intercept.forms import HookCall
from ..livekit.models import model_of
from ..spans.outcome import status_of
from ..turns.state import Scope
from ..turns.turn import UserTurn
from ..turns.user_turns import UserTurns
from .closing import Closing
from .handoffs import Handoffs

KEPT = 200


class Hooks:
    """Records the hook calls of one session's agents.

    Args:
        follow_model: Called with the session and the agent that is entered: the model of that agent
            is the one to listen to from now on.
    """

    def __init__(
        self,
        scope: Scope,
        user_turns: UserTurns,
        handoffs: Handoffs,
        closing: Closing,
        follow_model: Callable[[AgentSession[Any], Agent], object],
    ) -> None:
        self._spans, self.state, self._signals = scope
        self.user_turns = user_turns
        self.handoffs = handoffs
        self.closing = closing
        self._follow_model = follow_model
        self.first_entered: list[int | None] | None = None
        """When ``on_enter`` was first called, and when it was over."""
        self.noted: list[JSON] = []
        """What the session's result says of the calls that are over."""

    @guarded("hook.begin")
    def begin(
        self, agent: Agent, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HookCall | None:
        """A hook of ``agent`` is about to be called with these arguments."""
        if name == "on_enter":
            if (session := self.state.session) is not None:
                self._follow_model(session, agent)
            return _EnterHook(self, agent, name)
        if name == "on_exit":
            return _ExitHook(self, agent, name)
        if name == "on_user_turn_completed":
            message = kwargs.get("new_message", args[1] if len(args) > 1 else None)
            return _UserTurnHook(self, agent, name, message)
        if name == "on_user_turn_exceeded":
            self.user_turns.exceeded()
        return _Hook(self, agent, name)

    def failed(self, name: str, error: BaseException) -> None:
        """Record an exception of the agent's own code, which LiveKit logs."""
        self._signals.error.emit(name, error, self.handoffs.owning_tool_span(), None, None)

    def note(self, agent: Agent, name: str, begun_ns: int, error: BaseException | None) -> None:
        """Keep what the session's result says of a call that is over."""
        if len(self.noted) < KEPT:
            self.noted.append(
                {
                    "name": name,
                    "agent": agent.id,
                    "started_us": self._spans.offset_us(begun_ns),
                    "duration_ms": round((now_ns() - begun_ns) / 1e6, 3),
                    "status": status_of(error).value,
                }
            )


class _Hook:
    """A call of a hook."""

    def __init__(self, hooks: Hooks, agent: Agent, name: str) -> None:
        self._hooks, self._agent, self._name = hooks, agent, name
        self._started_ns = now_ns()

    @guarded("hook.end")
    def end(self, error: BaseException | None) -> None:
        self._ended(error)
        if isinstance(error, StopResponse):
            error = None  # how a hook says that there is to be no answer
        self._hooks.note(self._agent, self._name, self._started_ns, error)
        if error is not None and status_of(error) is Status.FAILED:
            self._hooks.failed(self._name, error)

    def _ended(self, error: BaseException | None) -> None:
        """What the end of this hook means for the rest of the call."""


class _EnterHook(_Hook):
    """``on_enter``: from here on the agent has the call."""

    def __init__(self, hooks: Hooks, agent: Agent, name: str) -> None:
        super().__init__(hooks, agent, name)
        self._entered: list[int | None] = [self._started_ns, None]
        hooks.first_entered = hooks.first_entered or self._entered
        hooks.handoffs.entered(self._entered)

    def _ended(self, error: BaseException | None) -> None:
        self._entered[1] = now_ns()


class _ExitHook(_Hook):
    """``on_exit``: the agent gives the call away, or the session closes."""

    def __init__(self, hooks: Hooks, agent: Agent, name: str) -> None:
        super().__init__(hooks, agent, name)
        hooks.handoffs.exiting(agent)
        hooks.closing.watch()


class _UserTurnHook(_Hook):
    """``on_user_turn_completed``: when it is called, the turn is committed."""

    def __init__(self, hooks: Hooks, agent: Agent, name: str, message: Any) -> None:
        self._turn: UserTurn = hooks.user_turns.commit(message)
        hooks.state.in_hook = self._turn
        super().__init__(hooks, agent, name)

    def _ended(self, error: BaseException | None) -> None:
        self._turn.moments["hook_done"] = now_ns()
        if error is not None:
            declined = isinstance(error, StopResponse)
            self._hooks.user_turns.given_up(self._turn, declined=declined)
        if self._hooks.state.in_hook is self._turn:
            self._hooks.state.in_hook = None
        if (session := self._hooks.state.session) is not None:
            self._turn.answer_due = model_of(self._agent, session, "llm") is not None
