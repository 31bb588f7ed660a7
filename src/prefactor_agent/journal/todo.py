"""What delivery has to do, as the journal holds it: calls and spans, and how far each has come."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class SpanState(IntEnum):
    NEW = 0
    OPEN = 1  # created at Prefactor, not finished there
    PARKED = 2  # its create was refused: kept with the error
    STUCK = 3  # created; its end was refused


class CallState(IntEnum):
    NEW = 0
    REGISTERED = 1
    STARTED = 2
    JUDGED = 3  # its quality payload is recorded
    DONE = 4


class Todo(NamedTuple):
    """A span with something to send, as it was when it was read."""

    seq: int
    state: int
    sent: str | None
    id: str
    parent_id: str | None
    type: str
    status: str
    started_us: int
    finished_us: int | None
    payload: str
    result: str | None
    parent_state: int | None
    """``None``: the parent has nothing left to do, so it is at Prefactor."""


class CallRow(NamedTuple):
    session_id: str
    process: str | None
    wanted: int
    state: int
    instance_id: str | None
    registration: str | None
    error: str | None
    terminated: str | None
    status: str
    started_us: int
    finished_us: int | None
    tools: str | None
    """JSON: by name, what the program says of its tools (:func:`..tool_options.declared_tools`)."""
