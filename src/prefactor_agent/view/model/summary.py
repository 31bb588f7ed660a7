"""The summary of a call: what a reader needs to know of it first."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ...core.clock import unix_us_to_rfc3339
from ...core.json import JSON
from ...core.values import agent_of, as_int, mapping
from .calltree import CallTree
from .gaps import longest_gaps
from .pickup import pickup_of
from .silences import silences

QUIET_US = 15 * 60 * 1_000_000
"""A call without an end and without a sign for this long has most likely lost its process. Used
only where the process cannot be looked up: on another machine, or in a journal that does not name
it."""


@dataclass(frozen=True, slots=True)
class Summary:
    id: str
    agent: str
    room: str | None
    started_us: int
    duration_us: int
    status: str
    """``complete``, ``failed``, ``cancelled``, ``running``, or ``lost``: no end and no sign."""
    close_reason: str | None
    turns: int
    tools: int
    errors: int
    """Error spans, and tool calls that failed."""
    interrupted: int
    lost_spans: int
    tracer_failures: int
    median_ms: float | None
    """Median of the dead air before the answers."""
    worst_ms: float | None
    worst_answer_ms: float | None
    """The longest wait for an answer that something else was said before."""
    over_budget: int
    """Answers that were over a budget."""
    worst_gap_ms: float | None = None
    """The longest silence inside an answer."""
    pickup_ms: float | None = None
    """From the caller's arrival to the agent's first sound, if that came before the caller's."""
    pickup_over_budget: bool = False
    participant: str | None = None
    """The identity of whom the session listens to."""
    session_number: int | None = None
    """Which session of its job it is, where there are several."""
    sessions_together: int | None = None
    """How many there are, once that is known."""

    @property
    def ended_us(self) -> int:
        return self.started_us + self.duration_us

    @property
    def which(self) -> str:
        """``session 1 of 2``; empty if its job has no other."""
        if self.session_number is None:
            return ""
        of = f" of {self.sessions_together}" if self.sessions_together else ""
        return f"session {self.session_number}{of}"


def summarize(call: CallTree, now_us: int | None = None, alive: bool | None = None) -> Summary:
    """The summary of a call.

    Args:
        now_us: The present, in microseconds since the Unix epoch. Default: now.
        alive: Whether the process that records the call still runs; ``None``: not known.
    """
    session = call.session
    payload, result = (session.payload, session.result) if session else ({}, {})
    now = time.time_ns() // 1000 if now_us is None else now_us
    status = _status(call, now, alive)
    found, picked_up = silences(call), pickup_of(call)
    ended = session.finished_us if session else None
    tools = call.spans("tool")
    return Summary(
        id=session.id if session else "",
        agent=agent_of(payload),
        room=_text(mapping(payload.get("room")).get("name")),
        started_us=call.started_us,
        duration_us=(ended or (now if status == "running" else call.last_us)) - call.started_us,
        status=status,
        # In the payload while the job of a session that has closed goes on.
        close_reason=_text(result.get("close_reason", payload.get("close_reason"))),
        turns=len(call.turns),
        tools=len(tools),
        errors=len(call.spans("error")) + sum(tool.status == "failed" for tool in tools),
        interrupted=sum(turn.interrupted for turn in call.turns),
        lost_spans=as_int(result.get("lost_spans")) or 0,
        tracer_failures=as_int(result.get("tracer_failures")) or 0,
        median_ms=found.median_ms,
        worst_ms=found.worst.ms if found.worst else None,
        worst_answer_ms=found.worst_answer_ms,
        over_budget=found.over_budget,
        worst_gap_ms=max((gap.ms for gap in longest_gaps(call)), default=None),
        pickup_ms=picked_up.ms if picked_up is not None and picked_up.answered else None,
        pickup_over_budget=picked_up is not None and picked_up.over_budget,
        participant=_participant(payload, result),
        session_number=as_int(result.get("session_number", payload.get("session_number"))),
        sessions_together=as_int(result.get("sessions_together")),
    )


def summary_object(summary: Summary) -> JSON:
    """What ``sessions --json`` and ``show --json`` say of a call; see docs/trace-format.md."""
    return {
        "id": summary.id,
        "agent": summary.agent,
        "room": summary.room,
        "participant": summary.participant,
        "session_number": summary.session_number,
        "sessions_together": summary.sessions_together,
        "status": summary.status,
        "close_reason": summary.close_reason,
        "started_at": unix_us_to_rfc3339(summary.started_us),
        "duration_ms": summary.duration_us / 1000,
        "turns": summary.turns,
        "tools": summary.tools,
        "errors": summary.errors,
        "interrupted": summary.interrupted,
        "over_budget": summary.over_budget,
        "pickup_ms": summary.pickup_ms,
        "silence_median_ms": summary.median_ms,
        "silence_worst_ms": summary.worst_ms,
        "answer_worst_ms": summary.worst_answer_ms,
        "gap_worst_ms": summary.worst_gap_ms,
    }


def _participant(payload: JSON, result: JSON) -> str | None:
    known = mapping(result.get("participant")) or mapping(payload.get("participant"))
    return _text(known.get("identity"))


def _status(call: CallTree, now_us: int, alive: bool | None) -> str:
    if call.session is None:
        return "lost"
    if call.session.status != "active":
        return call.session.status
    if "closed_at" in call.session.payload:
        # The session is over; its job has more to say of it, or went without saying it.
        return "failed" if call.session.payload.get("close_reason") == "error" else "complete"
    if alive is None:
        alive = now_us - call.last_us < QUIET_US
    return "running" if alive else "lost"


def _text(value: object) -> str | None:
    return str(value) if value is not None else None
