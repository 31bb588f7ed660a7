"""Works out the summary of a call."""

from __future__ import annotations

import time

from ...core.json import JSON
from ...core.values import agent_of, as_int, mapping
from .calltree import CallTree
from .gaps import longest_gaps
from .pickup import pickup_of
from .silences import silences
from .summary import Summary
from .unanswered import unanswered_of

QUIET_US = 15 * 60 * 1_000_000
"""A call without an end and without a sign for this long has most likely lost its process. Used
only where the process cannot be looked up: on another machine, or in a journal that does not name
it."""


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
    found, picked_up, left = silences(call), pickup_of(call), unanswered_of(call)
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
        unanswered=left.count if left is not None else None,
        unanswered_ms=left.longest_ms if left is not None else None,
        pickup_ms=picked_up.ms if picked_up is not None and picked_up.answered else None,
        pickup_over_budget=picked_up is not None and picked_up.over_budget,
        participant=_participant(payload, result),
        session_number=as_int(result.get("session_number", payload.get("session_number"))),
        sessions_together=as_int(result.get("sessions_together")),
    )


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
