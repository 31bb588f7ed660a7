"""How a call ended, in the same words in the terminal and on the page."""

from __future__ import annotations

from typing import Literal

from ...core.values import error_text, mapping, text
from .calltree import CallTree
from .summary import Summary

Tone = Literal["good", "bad", "open"]

_WORDS = {
    # LiveKit's CloseReason in words that say who ended the call.
    "user_initiated": "ended by the program",
    "participant_disconnected": "the caller left",
    "job_shutdown": "the job was shut down",
    "broken_off": "broken off, without being closed",
    "task_completed": "the agent's task was done",
    "detached": "the program ended the trace before the session",
}
_ENDED_BY = {"network": ": the network failed", "server": ": the server ended the call"}
"""Added where neither the caller nor the program hung up."""


def ending(call: CallTree, summary: Summary) -> tuple[str, Tone]:
    """How the call ended, and whether that is well."""
    session = call.session
    if not call.spans_by_time:
        return "nothing was recorded", "open"
    if session is None:
        return "the session's own span is missing", "open"
    if summary.status == "running":
        return "still running", "open"
    if summary.status == "lost":
        return "no end was recorded: its process died, or has been silent for 15 minutes", "bad"
    if reason := text(session.result.get("termination_reason")):
        return f"terminated from Prefactor: {reason}", "bad"
    reason = text(summary.close_reason)
    words = reason.replace("_", " ")
    if error := error_text(mapping(session.result.get("error"))):
        return f"failed: {error}", "bad"
    if summary.status == "failed":
        why = words or text(session.result.get("reason"))
        return f"failed: {why}" if why else "failed", "bad"
    by = _ENDED_BY.get(text(session.result.get("hung_up_by")), "")
    return _WORDS.get(reason, f"ended: {words}" if words else "ended") + by, "good"
