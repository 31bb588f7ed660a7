"""The trace of a call in a room, read from the worker's journal while that is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefactor_agent.journal.reader import Journal, JournalError
from prefactor_agent.stored.span import StoredSpan
from support.waiting import PATIENCE

PARENTS = {
    "livekit:user_turn": ("livekit:session",),
    "livekit:assistant_turn": ("livekit:session",),
    "livekit:stt": ("livekit:user_turn",),
    "livekit:llm": ("livekit:assistant_turn",),
    "livekit:tts": ("livekit:assistant_turn",),
    "livekit:transcription": ("livekit:assistant_turn",),
    "livekit:tool": ("livekit:assistant_turn",),
    "livekit:tool_result": ("livekit:tool",),
}


@dataclass(frozen=True)
class Trace:
    """All spans of one call."""

    spans: list[StoredSpan]

    @property
    def session(self) -> StoredSpan:
        (root,) = (span for span in self.spans if span.parent_id is None)
        return root

    def of(self, type_: str) -> list[StoredSpan]:
        """The spans of a type, `livekit:` left out; `tool` means all tools."""
        wanted = f"livekit:{type_}"
        return [
            span for span in self.spans if span.type == wanted or span.type.startswith(f"{wanted}:")
        ]

    @property
    def heard(self) -> list[str]:
        """What the agent understood of the caller, turn by turn."""
        said = [turn.result.get("transcript", "") for turn in self.of("user_turn")]
        return [text for text in said if text]

    @property
    def spoken(self) -> list[str]:
        """What the agent said, as far as the caller can have heard it."""
        said = [turn.result.get("spoken_text", "") for turn in self.of("assistant_turn")]
        return [text for text in said if text]

    def check_whole(self) -> None:
        """One tree, without an open end, in which every span is where it belongs."""
        by_id = {span.id: span for span in self.spans}
        session = self.session
        assert session.type == "livekit:session"
        assert session.status != "active"
        assert session.finished_us is not None
        for span in self.spans:
            assert span.session_id == session.id, span
            assert span.status != "active", span
            assert span.finished_us is not None, span
            assert session.started_us <= span.started_us <= span.finished_us, span
            assert span.finished_us <= session.finished_us, span
            if span.parent_id is not None:
                parent = by_id[span.parent_id]
                allowed = PARENTS.get(":".join(span.type.split(":")[:2]), ())
                assert not allowed or parent.type.startswith(allowed), (span, parent)
        assert "tracer_failures" not in session.result, session.result
        assert "lost_spans" not in session.result, session.result


def trace_of(
    journal: Path,
    room: str,
    *,
    until: Callable[[Trace], bool] = lambda trace: trace.session.status != "active",
    timeout: float = PATIENCE,
) -> Trace:
    """The call of a room, once it is as wanted: over, unless told otherwise.

    Raises:
        AssertionError: It is not within so many seconds, or there are two calls of that room.
    """
    deadline = time.monotonic() + timeout
    found: list[Trace] = []
    while time.monotonic() < deadline:
        try:
            reader = Journal(journal)
        except JournalError:
            time.sleep(0.1)
            continue
        try:
            found = [
                Trace(reader.call(session.id))
                for session in reader.sessions()
                if session.payload.get("room", {}).get("name") == room
            ]
        finally:
            reader.close()
        assert len(found) <= 1, f"{len(found)} calls in {room}"
        if found and until(found[0]):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"the call in {room} was not as wanted after {timeout} s: {found}")
