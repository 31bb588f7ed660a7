"""The tree of one call: makes spans, ends each exactly once, and hands them to the sink."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ...core.clock import now_ns
from ...core.ids import Ids
from ...core.span import Sink, Span, SpanType, Status
from .stream import AudioLevels, Stream


class SpanTree:
    """The spans of one session. Used on the event loop only."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._ids = Ids()
        self.hidden = False
        self._off_the_record: set[str] = set()
        """What begins now is off the record."""
        self._open: dict[str, Span] = {}
        self._not_before: dict[str, int] = {}
        """When the last child of an open span ended."""
        self._not_after: dict[str, int] = {}
        """When what an open span lies in ended before it."""
        self.root = self._make(SpanType.SESSION, "session", None, {}, {}, now_ns())

    @property
    def session_id(self) -> str:
        return self.root.id

    def begin(
        self,
        type_: str,
        name: str,
        parent: Span | None,
        payload: Mapping[str, Any],
        *,
        streams: Mapping[str, Stream] | None = None,
        at: int | None = None,
    ) -> Span:
        """Begin a span below ``parent`` (the session, if ``None``), now or at a moment in the
        past. What begins after the turn that ``parent`` lies in has no room below it: it lies in
        the session."""
        off = self.hidden or (parent is not None and parent.id in self._off_the_record)
        if off:
            payload = {**payload, "off_the_record": True}
        at = now_ns() if at is None else at
        if parent is not None and at > self._not_after.get(parent.id, at):
            parent = None
        span = self._make(type_, name, parent or self.root, payload, streams or {}, at)
        if off:
            self._off_the_record.add(span.id)
        self.sink.put(span)
        return span

    def update(self, span: Span, **payload: Any) -> None:
        """Add to the payload of an open span."""
        if span.open:
            span.payload = {**span.payload, **payload}
            self.sink.put(span)

    def hide(self) -> None:
        """Mark all that is open, and begins from now on, as off the record."""
        self.hidden = True
        for span in self.open_spans():
            self._off_the_record.add(span.id)
            self.update(span, off_the_record=True)

    def is_off_the_record(self, span_id: str) -> bool:
        """Whether the words of a span are not kept, also once it has ended."""
        return span_id in self._off_the_record

    def show(self) -> None:
        """What begins from now on is on the record, unless what it lies in is not."""
        self.hidden = False

    def move_start(self, span: Span, at: int) -> None:
        """A span proved to have begun at another moment, but not before its parent. Whoever puts it
        next, or keeps what was put, takes that."""
        parent = self._open.get(span.parent_id or "")
        by = max(at, parent.started_ns if parent is not None else at) - span.started_ns
        span.started_ns += by
        for stream in span.streams.values():
            if isinstance(stream, Stream):
                stream.started_ns += by

    def end(
        self,
        span: Span,
        status: Status,
        result: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        *,
        at: int | None = None,
    ) -> bool:
        """End a span: at the latest when what it lies in ended. The first end is the true one: a
        second does nothing and returns ``False``."""
        if self._open.pop(span.id, None) is None:
            return False
        finished = now_ns() if at is None else at
        for stream in span.streams.values():
            if isinstance(stream, AudioLevels):
                stream.complete()
        span.result = result
        # Audio is placed where it was heard, which can be a little before or after what brought it;
        # and a turn that turns out to have been none ends in the past.
        finished = max(finished, span.started_ns, self._not_before.pop(span.id, 0))
        finished = min(finished, self._not_after.pop(span.id, finished))
        self._limit_open_children(span, finished)
        if (parent := span.parent_id) in self._open and parent is not None:
            self._not_before[parent] = max(finished, self._not_before.get(parent, 0))
        span.finished_ns = finished
        span.status = status  # last: see span.py
        self.sink.put(span)
        return True

    def amend(
        self, span: Span, result: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    ) -> None:
        """Put out an ended span once more: more is known of what came of it. Whoever was sent its
        end already is not told."""
        if not span.open:
            # A span of its own, as whoever keeps the first may be about to let go of its result.
            self.sink.put(replace(span, result=result))

    def _limit_open_children(self, ended: Span, at: int) -> None:
        below = {ended.id}
        for span in self._open.values():  # parents before their children
            if span.parent_id in below:
                below.add(span.id)
                self._not_after.setdefault(span.id, at)

    def latest_end(self, span: Span) -> int | None:
        """When what an open span lies in ended; ``None``: it has not."""
        return self._not_after.get(span.id)

    def open_spans(self) -> list[Span]:
        """What has not ended yet, children before their parents; the session is not among them."""
        return [span for span in reversed(self._open.values()) if span is not self.root]

    def offset_us(self, moment_ns: int) -> int:
        """Where a moment lies on the axis of the call: microseconds after the session's start."""
        return (moment_ns - self.root.started_ns) // 1000

    def announce(self, payload: Mapping[str, Any]) -> None:
        """Put out the session's own span, once it is known what session it is."""
        self.root.payload = payload
        self.sink.put(self.root)

    def flush(self, timeout: float) -> bool:
        """Have the sink keep all of it; ``timeout`` in seconds."""
        return self.sink.flush(timeout)

    def _make(
        self,
        type_: str,
        name: str,
        parent: Span | None,
        payload: Mapping[str, Any],
        streams: Mapping[str, Stream],
        at: int,
    ) -> Span:
        id_ = self._ids.new()
        span = Span(
            id=id_,
            session_id=parent.session_id if parent else id_,
            parent_id=parent.id if parent else None,
            type=type_,
            name=name,
            started_ns=at,
            payload=payload,
            streams=streams,
        )
        self._open[id_] = span
        return span
