"""LiveKit's job that a session runs in, and how it ended; its room is in ``room/``.

In a job the session closes first; LiveKit then calls ``on_session_end``, where a call is judged and
tagged, and after that all shutdown callbacks, which get the reason why the job ends
(ipc/job_proc_lazy_main.py, ``_run_job_task``). So the session's own span waits for them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, JobContext, get_job_context

from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..audio.user_voice import UserVoice
from ..livekit import private as livekit_private
from ..livekit.rtc_values import text
from ..room.room import Room
from ..turns.state import Scope
from .closing import Closing
from .judgement import tags_and_outcome

WAIT_S = 60.0
"""How long the session's span waits for the end of the job; a job can outlive its session."""
CRASHED = "job crashed"
"""LiveKit's reason when the entrypoint raised (ipc/job_proc_lazy_main.py, ``_on_entry_done``)."""


def current_job() -> JobContext | None:
    """The job that the running code belongs to; ``None`` in a test, or without a worker."""
    try:
        return get_job_context()
    except RuntimeError:
        return None


_sessions: weakref.WeakKeyDictionary[JobContext, int] = weakref.WeakKeyDictionary()
"""How many sessions were traced so far, by job."""


class Job:
    """What is known of a session's job, if it has one, and of its room."""

    def __init__(
        self, scope: Scope, session: AgentSession[Any], closing: Closing, voice: UserVoice
    ) -> None:
        self._spans, self._state = scope.spans, scope.state
        self._closing = closing
        self._context = current_job()
        self._room = Room(scope, session, self._context, voice)
        self._number = 1
        if (context := self._context) is not None:
            _sessions[context] = self._number = _sessions.get(context, 0) + 1
        self._shutdown_reason: str | None = None
        self._is_over = False
        """Nothing more comes: the session's span waits no longer."""
        self._finish: Callable[[], object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def crashed(self) -> bool:
        return self._shutdown_reason == CRASHED

    def payload(self) -> JSON:
        """What the session's span says of it from the beginning."""
        payload = self._room.payload()
        if (context := self._context) is not None:
            job = _described(context)
            payload = {**payload, **job, "room": {**payload.get("room", {}), **job["room"]}}
        if self._number > 1:
            payload["session_number"] = self._number
        return payload

    @guarded("job.result")
    def result(self, closed_ns: int) -> JSON:
        """What is known of it at the end, of a session that was closed at this moment."""
        together = _sessions[self._context] if self._context is not None else 1
        return without_none(
            {
                "session_number": self._number if together > 1 else None,
                "sessions_together": together if together > 1 else None,
                **self._room.result(),
                "hung_up_by": self._room.hung_up_by(self._spans.offset_us(closed_ns)),
                "shutdown_reason": self._shutdown_reason,
                **(tags_and_outcome(self._context.tagger) if self._context is not None else {}),
            }
        )

    def sound(self) -> JSON | None:
        """How the sound of both sides travelled. Called off the event loop."""
        return self._room.sound()

    # The end

    def when_over(self, finish: Callable[[], object], **so_far: Any) -> None:
        """Have the session's span ended: once the job says why it ends, and at the latest in
        ``WAIT_S``; at once where nothing more can come. Until then it says ``so_far``."""
        context = self._context
        if context is None or context.is_fake_job() or self._is_over:
            self.let_go(finish)
            return
        self._spans.update(self._spans.root, **so_far)
        self._finish = finish
        self._timer = asyncio.get_running_loop().call_later(WAIT_S, self._over)

    def set_shutdown_reason(self, reason: str) -> None:
        """The job ends, and says why."""
        self._shutdown_reason = reason or ""

    @guarded("job.shutdown")
    def shut_down(self) -> None:
        """The job has ended, after all its sessions: one that is still open, and is not being
        closed at this moment, LiveKit closes no more."""
        self._end()
        state = self._state
        if not state.closed and not livekit_private.is_busy(state.session):
            self._closing.break_off()

    @guarded("job.exit")
    def process_ends(self) -> None:
        """What the job has not said by now is not said. Of a session that nobody began to close,
        nobody knows how it ended."""
        self._end()
        if not self._state.closed and (
            self._closing.session_is_over or self._shutdown_reason is not None
        ):
            self._closing.break_off()

    def _end(self) -> None:
        self._is_over = True
        self._over()

    @guarded("job.over")
    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (finish := self._finish) is not None:
            self._finish = None
            self.let_go(finish)

    def let_go(self, finish: Callable[[], object]) -> None:
        """Have the session's span ended now; what happens in the room is not followed further."""
        self._room.let_go()
        finish()


def _described(context: JobContext) -> JSON:
    job = context.job
    return without_none(
        {
            "job": without_none(
                {
                    "id": text(job.id),
                    "agent_name": text(job.agent_name),
                    "dispatch_id": text(getattr(job, "dispatch_id", None)),
                    "metadata": text(job.metadata),
                }
            ),
            "worker_id": text(context.worker_id),
            "room": without_none({"name": text(job.room.name), "sid": text(job.room.sid)}),
        }
    )
