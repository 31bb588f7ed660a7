"""Parts of a call that the program keeps off the record: a card number, a password."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from livekit.agents import llm

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.span import Span
from ..spans.tree import SpanTree
from .signals import Signals

_KEPT = 10_000
"""Messages and tool calls that are remembered as hidden."""


class OffTheRecord:
    """Knows what of one session is off the record, and has the spans know it.

    Every span that is open meanwhile, begins meanwhile, or lies in such a span says so, and its
    words are taken out before it is written (``redact.py``). The words are in the input of each
    later request of the LLM again: the messages and tool calls that carry them are hidden there.

    Args:
        noted: Called with each moment at which the call goes off, or on, the record.
    """

    def __init__(
        self, spans: SpanTree, signals: Signals, noted: Callable[[str, int], object]
    ) -> None:
        self.session_id = spans.session_id
        self._spans = spans
        self._noted = noted
        self.on_change: Callable[[bool, int], object] = lambda off, at: None
        """Called when the call goes off the record (or on it again), with the moment."""
        self._depth = 0
        self._times: list[tuple[float, float | None]] = []
        """From when to when, on the wall clock that LiveKit stamps its items with."""
        self._hidden: dict[str, None] = {}
        """Messages by their ids, tool calls by theirs."""
        signals.tool_began.connect(self._on_tool_began)

    @guarded("off_the_record.begin")
    def begin(self) -> None:
        """Nothing of what is said from now on is kept. May be called again before it ends."""
        self._depth += 1
        if self._depth > 1:
            return
        self._times.append((time.time(), None))
        self._spans.hide()
        at = now_ns()
        self.on_change(True, at)
        for span in self._spans.open_spans():
            self._hide_call(span)
        self._noted("off_the_record", at)

    @guarded("off_the_record.end")
    def end(self) -> None:
        """What is said from now on is kept again, if this ends the first that began."""
        self._depth = max(0, self._depth - 1)
        if self._depth or not self._spans.hidden:
            return
        self._times[-1] = self._times[-1][0], time.time()
        self._spans.show()
        at = now_ns()
        self.on_change(False, at)
        self._noted("on_the_record", at)

    def note_message(self, item: llm.ChatMessage, span: Span) -> None:
        """A message was added to the history whose turn has this span."""
        if self._spans.is_off_the_record(span.id):
            self._hide(item.id)

    def _on_tool_began(self, span: Span, *_: Any) -> None:
        if self._spans.is_off_the_record(span.id):
            self._hide_call(span)

    def _hide_call(self, span: Span) -> None:
        if isinstance(call_id := span.payload.get("call_id"), str):
            self._hide(call_id)

    def _hide(self, id_: str) -> None:
        self._hidden[id_] = None
        if len(self._hidden) > _KEPT:
            del self._hidden[next(iter(self._hidden))]

    def hides(self, item: Any) -> bool:
        """Whether the words of an item of LiveKit's history are off the record. Called off the
        event loop."""
        if not self._times:
            return False
        if item.id in self._hidden or getattr(item, "call_id", None) in self._hidden:
            return True
        made = getattr(item, "created_at", None)
        if not isinstance(made, float) or getattr(item, "role", None) in ("system", "developer"):
            return False
        return any(
            since <= made and (until is None or made <= until) for since, until in self._times
        )
