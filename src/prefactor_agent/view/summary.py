"""What a stranger needs to know of a call before anything else."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..journal.reader import StoredSpan
from .calltree import CallTree, mapping

QUIET_US = 15 * 60 * 1_000_000
"""A call without an end and without a sign for this long has lost its process, most likely. A
journal cannot know: nobody writes in it that a process was killed."""


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
    last_us: int
    turns: int
    tools: int
    errors: int
    """Error spans, and tool calls that failed."""
    interrupted: int
    lost_spans: int
    tracer_failures: int


def summarize(call: CallTree, now_us: int | None = None) -> Summary:
    session = call.session
    payload, result = (session.payload, session.result) if session else ({}, {})
    now = time.time_ns() // 1000 if now_us is None else now_us
    status = session.status if session else "lost"
    if status == "active":
        status = "running" if now - call.last_us < QUIET_US else "lost"
    ended = session.finished_us if session else None
    tools = call.spans("tool")
    return Summary(
        id=session.id if session else "",
        agent=_agent(payload),
        room=_text(mapping(payload.get("room")).get("name")),
        started_us=call.started_us,
        duration_us=(ended or (now if status == "running" else call.last_us)) - call.started_us,
        status=status,
        close_reason=_text(result.get("close_reason")),
        last_us=call.last_us,
        turns=len(call.turns),
        tools=len(tools),
        errors=len(call.spans("error")) + sum(map(failed, tools)),
        interrupted=sum(turn.interrupted for turn in call.turns),
        lost_spans=_number(result.get("lost_spans")),
        tracer_failures=_number(result.get("tracer_failures")),
    )


def failed(span: StoredSpan) -> bool:
    return span.status == "failed"


def _agent(payload: dict[str, object]) -> str:
    named = mapping(payload.get("job")).get("agent_name")
    return str(named or payload.get("agent_class") or payload.get("agent_name") or "agent")


def _text(value: object) -> str | None:
    return str(value) if value is not None else None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
