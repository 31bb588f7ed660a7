"""Who ended a call: the caller, the agent, the server or the network.

What happened first tells: the caller left the room, the agent's connection to it ended, or the
session was closed, by the agent's own program. Why somebody left is LiveKit's ``DisconnectReason``
in lower case."""

from __future__ import annotations

from typing import NamedTuple

CALLER, AGENT, SERVER, NETWORK = "caller", "agent", "server", "network"

_BY_THEMSELVES = {"client_initiated", "user_unavailable", "user_rejected"}
"""Somebody hangs up; a callee does not answer, or is busy (of a call over SIP)."""
_BY_NETWORK = {
    "signal_close",
    "connection_timeout",
    "media_failure",
    "join_failure",
    "state_mismatch",
    "sip_trunk_failure",
}
_BY_SERVER = {
    "duplicate_identity",
    "server_shutdown",
    "participant_removed",
    "room_deleted",
    "room_closed",
    "migration",
}


class Departure(NamedTuple):
    """Somebody left the room: when, on any one clock, and why, if LiveKit says."""

    at: int
    reason: str | None


def hung_up_by(caller: Departure | None, agent: Departure | None, closed_at: int) -> str | None:
    """Who ended a call that is over; ``None``: nobody says why who left first did.

    Args:
        caller: Their leaving the room; ``None``: they were there to the end.
        agent: The end of its connection.
        closed_at: When the session was closed, on the same clock.
    """
    left = [(one, who) for one, who in ((caller, CALLER), (agent, AGENT)) if one is not None]
    first, who = min(left, key=lambda each: each[0].at, default=(None, AGENT))
    if first is None or first.at > closed_at:
        return AGENT
    if first.reason in _BY_THEMSELVES:
        return who
    if first.reason in _BY_NETWORK:
        return NETWORK
    return SERVER if first.reason in _BY_SERVER else None
