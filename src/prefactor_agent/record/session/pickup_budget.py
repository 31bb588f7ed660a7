"""Tells the application, in the same call, that nobody has heard the agent for longer than the
budget ``pickup`` allows."""

from __future__ import annotations

import asyncio

from ...conversation.stages import PICKUP
from ...core.clock import now_ns
from ...core.guard import guarded
from ..turns.state import SessionState
from ..turns.turn import AssistantTurn
from .budgets import Budgets
from .pickup import PickupFacts


class PickupBudget:
    """Watches the pickup of one session. Used on the event loop."""

    def __init__(self, state: SessionState, pickup: PickupFacts, budgets: Budgets) -> None:
        self._state = state
        self._pickup = pickup
        self._budgets = budgets
        self._limit = budgets.limits.get(PICKUP) if budgets.has_callback else None
        self._timer: asyncio.TimerHandle | None = None
        self._reported = self._limit is None

    @guarded("pickup_budget.came")
    def caller_came(self) -> None:
        """An arrival is known: from here on somebody waits for the agent."""
        arrival = self._pickup.arrival() if not self._reported and self._pickup.waiting else None
        if arrival is None or self._limit is None:
            return
        self.stop()
        left = self._limit - (now_ns() - arrival.at) / 1e9
        # A moment past the limit, so that the time it takes is over it.
        self._timer = asyncio.get_running_loop().call_later(max(0.0, left) + 0.001, self._due)

    @guarded("pickup_budget.sound_began")
    def sound_began(self, _turn: AssistantTurn) -> None:
        """The agent begins to be heard: did that take longer than it may?"""
        if self._reported or (found := self._pickup.now()) is None:
            return
        self.stop()
        self._reported = True
        self._budgets.report(found.exceeded(self._limit), found.stages, answered=True)

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @guarded("pickup_budget.due")
    def _due(self) -> None:
        self._timer = None
        if self._state.closed or self._state.user_turn is not None or not self._pickup.waiting:
            return
        if (found := self._pickup.so_far(now_ns())) is not None:
            self._reported = True
            self._budgets.report(found.exceeded(self._limit), found.stages, answered=False)
