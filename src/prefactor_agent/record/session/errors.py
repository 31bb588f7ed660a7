"""The errors of one session, each recorded once, where it happened."""

from __future__ import annotations

import time

from livekit.agents import ErrorEvent

from ...core.guard import guarded
from ...core.json import JSON, without_none
from ...core.span import Span, SpanType, Status
from ..livekit.models import describe_model
from ..spans.outcome import describe_error, describe_failure
from ..turns.context import current_turn, span_at_work
from ..turns.state import Scope
from .closing import Closing

_RECORDED_IN = "__prefactor_recorded_in__"
"""Noted on the exception itself: to keep it for a comparison would keep alive its traceback, and
with that every local variable of the agent's that it passed."""


class Errors:
    """Makes the error spans of one session."""

    def __init__(self, scope: Scope, closing: Closing) -> None:
        self._scope = scope
        self._spans = scope.spans
        self._closing = closing

    def record(
        self,
        source: str,
        error: BaseException,
        parent: Span | None,
        recoverable: bool | None,
        model: JSON | None = None,
    ) -> None:
        """Record an error where it happened; the same exception is recorded once."""
        session_id = self._spans.root.id
        if error.__dict__.get(_RECORDED_IN) == session_id:
            return
        error.__dict__[_RECORDED_IN] = session_id
        described = describe_error(error)
        span = self._spans.begin(
            SpanType.ERROR,
            "livekit_error",
            parent,
            without_none(
                {
                    "name": "livekit_error",
                    "type": SpanType.ERROR.value,
                    "source": source,
                    "error_type": described["error_type"],
                    "message": described["message"],
                    "recoverable": recoverable,
                    **(model or {}),
                    "created_at": round(time.time(), 6),
                    "metadata": {},
                }
            ),
        )
        self._spans.end(
            span,
            Status.FAILED,
            {"status": "failed", "error": describe_failure(error)},
            at=span.started_ns,
        )
        turn = current_turn.get()
        if turn is None or parent is None or recoverable:
            return
        if turn.span.id in (parent.id, parent.parent_id):
            turn.error = described

    @guarded("event.error")
    def on_event(self, event: ErrorEvent) -> None:
        wrapped = event.error
        # LiveKit wraps the exception in an event of its own (LLMError, STTError, TTSError …).
        cause = getattr(wrapped, "error", wrapped)
        error = cause if isinstance(cause, BaseException) else RuntimeError(str(cause))
        kind = str(getattr(wrapped, "type", "")).removesuffix("_error")
        recoverable = getattr(wrapped, "recoverable", None)
        self.record(
            type(event.source).__name__ if event.source is not None else kind or "unknown",
            error,
            span_at_work(self._scope, kind),
            recoverable,
            describe_model(event.source),
        )
        if recoverable is False:
            self._closing.may_follow(error)
