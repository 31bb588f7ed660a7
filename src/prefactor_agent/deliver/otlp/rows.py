"""What is sent to OpenTelemetry: a span that has ended, as the journal has it, with the little that
its own row does not say. JSON stays text here; times are microseconds since the Unix epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Said(NamedTuple):
    """A turn of either side, as a line of the conversation."""

    type: str
    """``livekit:user_turn`` or ``livekit:assistant_turn``."""
    started_us: int
    result: str
    """JSON."""


class Around(NamedTuple):
    """What a span of OpenTelemetry says and the row of ours does not. What is not known is left
    out."""

    session_started_us: int | None = None
    """From when the moments of a turn count."""
    agent: str | None = None
    """Of the session the agent that began (``agent_name`` of its payload); of an assistant turn the
    agent that spoke: ``to`` in the payload of the last ``livekit:handoff`` that had ended when the
    turn began, else the session's."""
    rates: str | None = None
    """The user's own rates (JSON), of a call of a model: from the session's payload."""
    question: str | None = None
    """Result (JSON) of the user turn that an assistant turn answers, named by ``user_turn_id`` of
    its result; of a realtime reply, of the turn that it is a part of."""
    turn: str | None = None
    """Result (JSON) of the assistant turn that a realtime reply is a part of: its words are known
    when they were played. A ``livekit:realtime`` is therefore sent only once its parent has
    ended."""
    errors: tuple[str, ...] = ()
    """Payloads (JSON) of the ``livekit:error`` spans directly below, in order of time."""
    dialogue: tuple[Said, ...] = ()
    """Of the session: all turns that have ended, in order of time."""


NOTHING_AROUND = Around()
NO_STREAMS: Mapping[str, list[str]] = {}


class EndedSpan(NamedTuple):
    """One span of the journal."""

    id: str
    """A PFID."""
    session_id: str
    parent_id: str | None
    type: str
    name: str
    status: str
    """``complete``, ``failed`` or ``cancelled``."""
    started_us: int
    finished_us: int
    payload: str
    """JSON."""
    result: str | None
    """JSON."""
    streams: Mapping[str, list[str]] = NO_STREAMS
    """Chunk columns (JSON, see :mod:`prefactor_agent.journal.columns`) by stream, in order of
    time."""
    around: Around = NOTHING_AROUND
