"""The calls of an agent's hooks: ``on_enter``, ``on_exit`` and ``on_user_turn_completed``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, StopResponse

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON
from ...core.span import Status
from ..intercept.forms import HookCall
from ..spans.outcome import status_of
from ..turns.state import SessionState
from ..turns.turn import UserTurn

if TYPE_CHECKING:
    from ..recorder import SessionRecorder
    from .closing import Closing
    from .handoffs import Handoffs

KEPT = 200


class Hooks:
    def __init__(self, trace: SessionRecorder) -> None:
        self._trace = trace
        self.entered: list[int | None] | None = None
        """When the last ``on_enter`` began, and ended."""
        self.noted: list[JSON] = []

    def begin(
        self, agent: Agent, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HookCall:
        if name == "on_enter" and (session := self._trace.session) is not None:
            self._trace.realtime.follow(session, agent)
        if name == "on_user_turn_completed":
            message = kwargs.get("new_message", args[1] if len(args) > 1 else None)
            return _UserTurnHook(self, agent, name, message)
        return _Hook(self, agent, name)

    @property
    def state(self) -> SessionState:
        return self._trace.state

    @property
    def handoffs(self) -> Handoffs:
        return self._trace.handoffs

    @property
    def closing(self) -> Closing:
        return self._trace.closing

    def commit(self, message: Any) -> UserTurn:
        return self._trace.user_turns.commit(message)

    def give_up(self, turn: UserTurn) -> None:
        self._trace.user_turns.given_up(turn)

    def failed(self, name: str, error: BaseException) -> None:
        """An exception of the agent's own code, which LiveKit logs."""
        self._trace.errors.record(name, error, self.handoffs.owning_tool_span(), None)

    def note(self, agent: Agent, name: str, begun_ns: int, error: BaseException | None) -> None:
        if len(self.noted) < KEPT:
            self.noted.append(
                {
                    "name": name,
                    "agent": agent.id,
                    "started_us": self._trace.call.offset_us(begun_ns),
                    "duration_ms": round((now_ns() - begun_ns) / 1e6, 3),
                    "status": status_of(error).value,
                }
            )


class _Hook:
    def __init__(self, hooks: Hooks, agent: Agent, name: str) -> None:
        self._hooks, self._agent, self._name = hooks, agent, name
        self._started_ns = now_ns()
        if name == "on_enter":
            hooks.entered = [self._started_ns, None]
            hooks.handoffs.entered(hooks.entered)
        elif name == "on_exit":
            hooks.handoffs.exiting(agent)
            hooks.closing.watch()

    @guarded("hook.end")
    def end(self, error: BaseException | None) -> None:
        entered = self._hooks.entered
        if self._name == "on_enter" and entered is not None and entered[0] == self._started_ns:
            entered[1] = now_ns()
        if isinstance(error, StopResponse):
            error = None  # how a hook says that there is to be no answer
        self._hooks.note(self._agent, self._name, self._started_ns, error)
        if error is not None and status_of(error) is Status.FAILED:
            self._hooks.failed(self._name, error)


class _UserTurnHook(_Hook):
    """``on_user_turn_completed``: when it is called, the turn is committed."""

    def __init__(self, hooks: Hooks, agent: Agent, name: str, message: Any) -> None:
        self._turn: UserTurn = hooks.commit(message)
        hooks.state.in_hook = self._turn
        super().__init__(hooks, agent, name)

    def end(self, error: BaseException | None) -> None:
        self._turn.moments["hook_done"] = now_ns()
        if error is not None:
            self._hooks.give_up(self._turn)
        if self._hooks.state.in_hook is self._turn:
            self._hooks.state.in_hook = None
        super().end(error)
