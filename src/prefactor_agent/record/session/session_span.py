"""A session's own span: what it says at the beginning and at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from livekit.agents import Agent, AgentSession, CloseReason

from ...config import Settings
from ...conversation import End
from ...core.clock import now_ns
from ...core.guard import begin_count, end_count, guarded
from ...core.json import JSON, without_none
from ...core.span import Status
from ..livekit.models import agent_payload, session_payload
from ..livekit.telemetry import current_span
from ..spans.outcome import PREFACTOR_STATUS
from ..turns.state import Scope
from .history import History
from .hooks import Hooks
from .job import Job
from .pickup import PickupFacts
from .termination import Termination

_TURNS_KEPT = 1000
"""The latest turns that a session's result lists."""


class SessionSpan:
    """Announces and ends the span of one session.

    Args:
        about: What the program says itself of the session.
        latency: The summary of all turns' latencies. Called off the event loop.
        unanswered: Gives, once all turns are over, what gives the questions that nobody answered.
        more: What the other parts say at the end. Called off the event loop.
    """

    def __init__(
        self,
        scope: Scope,
        about: JSON,
        job: Job,
        termination: Termination,
        history: History,
        hooks: Hooks,
        latency: Callable[[], JSON | None],
        unanswered: Callable[[End], Callable[[], JSON | None] | None],
        pickup: PickupFacts,
        more: Callable[[], JSON],
    ) -> None:
        self._spans = scope.spans
        self._state = scope.state
        self._about = about
        self._job = job
        self._termination = termination
        self._history = history
        self._hooks = hooks
        self._latency = latency
        self._unanswered = unanswered
        self._pickup = pickup
        self._more = more
        self._usage: Any = None
        begin_count(scope.session_id)

    def announce(self, session: AgentSession[Any], agent: Agent | None, chosen: Settings) -> None:
        """Put out the span with what is known from the beginning."""
        self._spans.announce(
            without_none(
                {
                    **session_payload(session, agent),
                    **self._job.payload(),
                    "agent_version": chosen.agent_version,
                    "budgets": dict(chosen.budgets) or None,
                    "rates": {model: dict(own) for model, own in chosen.rates.items()} or None,
                    "started_at": round(time.time(), 6),
                    "otel": current_span(),
                    **self._about,
                }
            )
        )

    def add_agent(self, session: AgentSession[Any], agent: Agent) -> None:
        """Add whose session it is, which was not known when it was announced."""
        self._spans.update(self._spans.root, **{**agent_payload(session, agent), **self._about})

    @guarded("event.session_usage_updated")
    def on_usage(self, event: Any) -> None:
        self._usage = event.usage  # asked for at the end, it could be gone with the session

    def end(self, reason: str, error: JSON | None, ended: Callable[[], object]) -> None:
        """End the session's own span; in a job, once the job has said all that it has to say.

        Args:
            reason: Why the session closed: LiveKit's word, or one of ours.
            error: What the session failed of.
            ended: Called when the span has ended.
        """
        closed, finished = now_ns(), round(time.time(), 6)
        usage, terminated = self._usage, self._termination.reason
        conversation = without_none(
            {
                **self._history.counts(),
                "turns": _turns(self._state.turn_roles),
                "partial_transcripts": self._partials() or None,
            }
        )
        hooks = list(self._hooks.noted)
        pickup = self._pickup.result()
        failed = error is not None or reason == CloseReason.ERROR.value
        left = reason == CloseReason.PARTICIPANT_DISCONNECTED.value
        unanswered = self._unanswered(End(closed, failed, by_program=not failed and not left))
        trouble = end_count(self._spans.session_id)

        def finish() -> None:
            status, crash, job = (
                self._status(reason, error),
                self._crash(),
                self._job.result(closed) or {},
            )
            self._spans.end(
                self._spans.root,
                status,
                lambda: without_none(
                    {
                        "status": PREFACTOR_STATUS[status],
                        "close_reason": reason,
                        "termination_reason": terminated,
                        "usage": _usage(usage),
                        "conversation": conversation,
                        "error": error or crash,
                        "hooks": hooks or None,
                        "pickup": pickup(),
                        "latency": self._latency(),
                        "unanswered": unanswered() if unanswered is not None else None,
                        "metadata": {"close_reason": reason},
                        **job,
                        **self._more(),
                        "tracer_failures": trouble or None,
                        "finished_at": finished,
                    }
                ),
                at=closed,
            )
            ended()

        if terminated is None:
            self._job.when_over(finish, close_reason=reason, closed_at=finished)
        else:
            self._job.let_go(finish)

    def _partials(self) -> list[JSON]:
        """The interim transcripts of the call, without those of turns off the record."""
        hidden = self._spans.is_off_the_record
        return [words for turn, words in self._state.partials if not hidden(turn)]

    def _status(self, reason: str, error: JSON | None) -> Status:
        if error is not None or reason == "error" or self._job.crashed:
            return Status.FAILED
        return Status.COMPLETE if self._termination.reason is None else Status.CANCELLED

    def _crash(self) -> JSON | None:
        if self._job.crashed:
            return {"error_type": "JobCrashed", "message": "the job's entrypoint raised"}
        return None


def _turns(roles: list[str]) -> list[JSON]:
    """Which turns there were: what was said in each is on its own span."""
    turns = [{"turn_index": index, "role": role} for index, role in enumerate(roles, 1)]
    return turns[-_TURNS_KEPT:]


def _usage(usage: Any) -> JSON | None:
    models = getattr(usage, "model_usage", None)
    if not models:
        return None
    return {"model_usage": [model.model_dump(exclude_none=True) for model in models]}
