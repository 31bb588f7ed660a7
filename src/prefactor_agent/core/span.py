"""The span: one thing that happened, with its beginning, its end and what it carried.

Spans are made on the event loop and read by the journal's thread. Nothing in a span that has been
put out is changed in place: ``payload`` and ``result`` are replaced as a whole, and ``status`` is
set last, so that the other thread always sees a span that is whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from .json import JSON


class Status(StrEnum):
    """The states of a span, in Prefactor's words."""

    ACTIVE = "active"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


class SpanType(StrEnum):
    """The types of span; the names up to ``ERROR`` are Prefactor's own for LiveKit."""

    SESSION = "livekit:session"
    USER_TURN = "livekit:user_turn"
    ASSISTANT_TURN = "livekit:assistant_turn"
    LLM = "livekit:llm"
    STT = "livekit:stt"
    TTS = "livekit:tts"
    TOOL = "livekit:tool"
    STATE = "livekit:state"
    ERROR = "livekit:error"
    TRANSCRIPTION = "livekit:transcription"
    TOOL_RESULT = "livekit:tool_result"
    HANDOFF = "livekit:handoff"
    REALTIME = "livekit:realtime"
    RPC = "livekit:rpc"


class Stream(Protocol):
    """What passed through a span, chunk by chunk, as whoever keeps the span reads it."""

    @property
    def kind(self) -> str:
        """``text``, ``event`` or ``audio``."""

    def take_rows(self, *, final: bool = False) -> JSON | None:
        """The chunks since the last call, by column, if there are enough of them to be written;
        all of them if ``final``."""

    def summary(self) -> JSON:
        """The exact counts, sums and extremes of all chunks so far."""


@dataclass(slots=True, eq=False)
class Span:
    """One span. Times are monotonic nanoseconds (see :mod:`.clock`)."""

    id: str
    session_id: str
    parent_id: str | None
    type: str
    name: str
    started_ns: int
    payload: Mapping[str, Any]
    streams: Mapping[str, Stream] = field(default_factory=dict)
    finished_ns: int | None = None
    result: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None
    """What came of it. A callable is called by whoever keeps the span, never on the event loop."""
    status: Status = Status.ACTIVE

    @property
    def open(self) -> bool:
        return self.status is Status.ACTIVE


class Sink(Protocol):
    """Where spans go: the journal in a running agent, a list in a test."""

    def put(self, span: Span) -> None:
        """Take a span that has begun, changed or ended. Called on the event loop: never waits."""

    def flush(self, timeout: float) -> bool:
        """Have everything put so far kept, within ``timeout`` seconds. Returns whether it is."""
