"""Tells the application, in the same call, that a turn, or the pickup, takes longer than it may."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from livekit.agents import AgentSession

from ... import conversation
from ...core.clock import now_ns
from ...core.guard import guarded
from ..turns.latency_inputs import user_side
from ..turns.recent import RecentTurns
from ..turns.state import Scope
from ..turns.turn import AssistantTurn, UserTurn

logger = logging.getLogger("prefactor_agent")


@dataclass(frozen=True, slots=True)
class BudgetExceeded:
    """A turn, or the pickup of a call, that takes longer than its budget. Times are in seconds."""

    session: AgentSession[Any]
    exceeded: Mapping[str, float]
    """What is over its budget, and how long it took so far: ``perceived``, ``pickup``, or the name
    of a stage."""
    perceived: float
    """How long the caller has waited: since their last sound or, of a pickup, since they came,
    until the agent was heard, or until now."""
    stages: Mapping[str, float]
    """What the wait was spent on, in order."""
    answered: bool
    """Whether the answer is being played. If not, the caller still waits: say something."""
    transcript: str
    """What the caller said; of a pickup, nothing."""


Callback = Callable[[BudgetExceeded], Any]


class Budgets:
    """Watches the turns of one session. Everything here runs on the event loop.

    Args:
        limits: Seconds, by ``perceived``, ``pickup`` or the name of a stage.
        callback: What the program wants called with each turn that takes longer.
    """

    def __init__(
        self,
        scope: Scope,
        recent: RecentTurns,
        limits: Mapping[str, float],
        callback: Callback | None,
    ) -> None:
        self._state = scope.state
        self._recent = recent
        self.limits = dict(limits)
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def has_callback(self) -> bool:
        """Whether anybody wants to know."""
        return self._callback is not None

    @guarded("budgets.committed")
    def committed(self, turn: UserTurn) -> None:
        """The user's turn was handed on: from here on somebody waits for an answer."""
        limit = self.limits.get("perceived")
        if limit is None or self._callback is None:
            return
        self.stop()
        begun = user_side(turn).end()
        if begun is None:
            return
        left = limit - (now_ns() - begun[0]) / 1e9
        # A moment past the limit, so that the time it takes is over it.
        self._timer = asyncio.get_running_loop().call_later(max(0.0, left) + 0.001, self._due, turn)

    @guarded("budgets.sound_began")
    def sound_began(self, turn: AssistantTurn) -> None:
        """The agent begins to be heard: if that ends a silence, was it longer than it may be?"""
        if not self.limits or self._callback is None:
            return
        timeline = self._recent.timeline()
        speech = timeline.speech(turn.span.id)
        ended = conversation.silence_ended_by(timeline, speech) if speech is not None else None
        if speech is None or ended is None:
            return
        self.stop()
        asked = self._recent.user_turn(ended.question.id)
        found = conversation.latency_of(timeline, speech)
        if asked is not None and found is not None:
            self._report(asked, found, answered=True)

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @guarded("budgets.due")
    def _due(self, asked: UserTurn) -> None:
        self._timer = None
        state = self._state
        if state.closed or state.user_turn not in (None, asked):
            return  # the user speaks again: nobody waits
        timeline = self._recent.timeline()
        question = timeline.question(asked.span.id)
        if question is None or conversation.first_sound_after(timeline, question) is not None:
            return
        speech = next(
            (
                one
                for one in reversed(timeline.speeches)
                if one.ended is None
                and (of := conversation.question_of(timeline, one, now_ns())) is not None
                and of.id == question.id
            ),
            None,
        )
        if speech is None and state.in_hook is not asked:
            return  # no answer is on its way, and none was promised
        found = conversation.waiting_so_far(timeline, question, speech, now_ns())
        if found is not None:
            self._report(asked, found, answered=False)

    def _report(self, asked: UserTurn, found: conversation.Latency, *, answered: bool) -> None:
        over = conversation.exceeded(found, self.limits)
        new = {
            name: seconds for name, seconds in over.items() if name not in asked.reported_budgets
        }
        asked.reported_budgets |= set(new)
        self.report(new, found.stages, answered=answered, transcript=asked.text())

    def report(
        self,
        exceeded: Mapping[str, float],
        stages: Sequence[conversation.Stage],
        *,
        answered: bool,
        transcript: str = "",
    ) -> None:
        """Have the callback called, if something is over its budget.

        Args:
            exceeded: How long each took that is, in seconds.
            stages: What the silence was spent on.
        """
        session = self._state.session
        if not exceeded or session is None or self._callback is None:
            return
        event = BudgetExceeded(
            session=session,
            exceeded=exceeded,
            perceived=sum(stage.us for stage in stages) / 1e6,
            stages={name: us / 1e6 for name, us in conversation.totals(stages).items()},
            answered=answered,
            transcript=transcript,
        )
        # Not from within LiveKit's own event handler: the callback may well have the agent speak.
        asyncio.get_running_loop().call_soon(self._call, event)

    def _call(self, event: BudgetExceeded) -> None:
        assert self._callback is not None
        try:
            result = self._callback(event)
            if inspect.isawaitable(result):
                task = asyncio.ensure_future(result)
                self._running.add(task)
                task.add_done_callback(self._done)
        except Exception:
            logger.exception("on_budget_exceeded failed; the call goes on")

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("on_budget_exceeded failed; the call goes on", exc_info=error)
