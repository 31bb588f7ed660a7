"""Ends a call because Prefactor says so."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession

from ...core.guard import guarded, logger, report
from ..turns.state import Scope

OnTerminate = Callable[[AgentSession[Any], str | None], Any]


class Termination:
    """Whether Prefactor terminated one session, and why."""

    def __init__(self, scope: Scope) -> None:
        self._state = scope.state
        self.reason: str | None = None
        self._callback_runs: asyncio.Future[Any] | None = None

    @guarded("terminate")
    def begin(self, reason: str | None, callback: OnTerminate | None) -> None:
        """End the call because Prefactor says so: by the user's callback, else by closing it."""
        session = self._state.session
        if self._state.closed or self.reason is not None or session is None:
            return
        self.reason = reason or "terminated by Prefactor"
        logger.warning("Prefactor ends this call: %s", self.reason)
        if callback is None:
            session.shutdown(drain=False)
            return
        try:
            answer = callback(session, reason)
        except Exception as error:
            report("on_terminate", error, self)
            session.shutdown(drain=False)
            return
        if inspect.isawaitable(answer):
            self._callback_runs = asyncio.ensure_future(answer)
            self._callback_runs.add_done_callback(self._on_answered)

    def _on_answered(self, task: asyncio.Future[Any]) -> None:
        """The user's callback is done: where it failed, the call is closed as without one."""
        error = None if task.cancelled() else task.exception()
        session = self._state.session
        if isinstance(error, Exception):
            report("on_terminate", error, self)
            if session is not None and not self._state.closed:
                session.shutdown(drain=False)
