"""Handoffs in words: from which agent to which, and why."""

from __future__ import annotations

from typing import NamedTuple

from ...core.values import error_text
from ...stored.span import StoredSpan

_BY = {"tool": "a tool", "hook": "a hook", "program": "the program"}

_ENDED = {
    "task_completed": "is done",
    "task_cancelled": "was cancelled",
    "task_failed": "failed",
}


class Handoff(NamedTuple):
    """In words; each is empty if it is not known."""

    giver: str
    taker: str
    why: str
    error: str = ""
    """What the task failed with that it comes back from; of one that was cancelled, LiveKit's error
    says nothing more."""
    failed: bool = False
    """It comes back from a task that failed or was cancelled."""


def handoff_of(span: StoredSpan) -> Handoff:
    """From which agent to which, and why."""

    def name(key: str) -> str:
        found = span.payload.get(key, span.result.get(key))
        return str(found or "")

    tool, cause = name("tool_name"), name("cause")
    if cause in _ENDED:
        ended = _ENDED[cause]
        why = f"back to {tool}" if tool else f"the task {ended}"
        if tool and cause != "task_completed":
            why += f", the task {ended}"
    else:
        by = tool or _BY.get(cause, cause)
        why = f"by {by}" if by else ""
    return Handoff(
        name("from"),
        name("to"),
        why,
        error=error_text(span.payload.get("error")) if cause == "task_failed" else "",
        failed=cause in ("task_cancelled", "task_failed"),
    )
