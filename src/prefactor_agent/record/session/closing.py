"""A session whose closing breaks off.

LiveKit emits ``close`` once it has taken the session apart, and not at all when that raises
(voice/agent_session.py, ``_aclose_locked``; ``_aclose_impl`` in 1.5.0): a realtime model that could
not connect does, from its own ``aclose``. Only who awaits ``AgentSession.aclose`` learns of it. So
the recorder looks itself: when the task is done in which LiveKit closes by itself, and otherwise
when the job or the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from livekit.agents import CloseReason

from ...core.guard import guarded
from ...core.json import JSON
from ..livekit import private as livekit_private
from ..spans.outcome import describe_error
from ..turns.state import Scope

BROKEN_OFF = "broken_off"
"""The close reason of a session that is over without having been closed: LiveKit failed in the
middle of it."""


class Closing:
    """What is known of the closing of one session before LiveKit says that it is closed.

    Args:
        close: Ends the session's trace, for a reason and perhaps because of an error.
    """

    def __init__(self, scope: Scope, close: Callable[[str, JSON | None], None]) -> None:
        self._state, self._signals = scope.state, scope.signals
        self._close = close
        self._begun = False
        self._task: asyncio.Task[Any] | None = None
        self._cause: JSON | None = None

    @property
    def session_is_over(self) -> bool:
        """Whether LiveKit has taken the session apart, or begun to; or has not put it together."""
        session = self._state.session
        return self._begun or livekit_private.is_closing(session) or livekit_private.is_off(session)

    @guarded("closing.after")
    def may_follow(self, error: BaseException) -> None:
        """LiveKit reported an error that nothing recovers from: it closes the session for it, or
        forgives it (``AgentSession._on_error``, called right after the event)."""
        if livekit_private.closing_task(self._state.session) is None:
            loop = asyncio.get_running_loop()
            loop.call_soon(self.watch, describe_error(error))

    @guarded("closing.watch")
    def watch(self, cause: JSON | None = None) -> None:
        """Should the session be closing, see to how that ends; ``cause`` is the error it closes
        for."""
        session = self._state.session
        self._begun = self._begun or livekit_private.is_closing(session)
        task = livekit_private.closing_task(session)
        if task is not None and self._task is None:
            self._begun = True
            self._task, self._cause = task, cause
            task.add_done_callback(self._on_done)

    def let_go(self) -> None:
        """The session is closed. A callback that is not needed would take a turn of the event loop
        that there is not without us."""
        if self._task is not None:
            self._task.remove_done_callback(self._on_done)
            self._task = None

    @guarded("closing.done")
    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self.break_off(livekit_private.failure(task))

    def break_off(self, error: BaseException | None = None) -> None:
        """End the trace of a session that LiveKit says no more of.

        Args:
            error: What the closing raised, if that is known.
        """
        if error is not None:
            self._signals.error.emit("AgentSession.aclose", error, None, None, None)
        if self._cause is not None:
            self._close(CloseReason.ERROR.value, self._cause)
        elif self.session_is_over:
            self._close(BROKEN_OFF, None)
        else:
            self._close(CloseReason.JOB_SHUTDOWN.value, None)
