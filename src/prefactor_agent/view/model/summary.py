"""The summary of a call: what a reader needs to know of it first. It is worked out in
:mod:`.summarize`."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.clock import unix_us_to_rfc3339
from ...core.json import JSON
from ...stored.figures import FIGURES


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
    unanswered: int | None = None
    """Questions that nobody answered; ``None``: it is not known."""
    unanswered_ms: float | None = None
    """How long the caller waited in vain at most."""
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
    def failed(self) -> bool:
        """Whether something failed in it, or it as a whole: an error, a tool call, a question that
        nobody answered, a process that died."""
        wrong = self.errors > 0 or bool(self.unanswered)
        return wrong or self.status in ("failed", "lost")

    @property
    def which(self) -> str:
        """``session 1 of 2``; empty if its job has no other."""
        if self.session_number is None:
            return ""
        of = f" of {self.sessions_together}" if self.sessions_together else ""
        return f"session {self.session_number}{of}"


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
        **{one.name: getattr(summary, one.field) for one in FIGURES if one.field is not None},
    }
