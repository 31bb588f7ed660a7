"""What the calls of all nodes have in common: their arguments, and a span while one lasts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Mapping
from typing import Any

from livekit.agents import Agent, AgentSession

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ...core.span import Span, SpanType, Status
from ..intercept.passthrough import Watcher, proxy_stream
from ..livekit.models import describe_model, model_of
from ..livekit.telemetry import current_span
from ..spans.outcome import PREFACTOR_STATUS, describe_failure, status_of
from ..spans.stream import Stream
from ..turns.context import current_turn
from ..turns.state import Scope, SessionState
from ..turns.turn import AssistantTurn
from .fallbacks import Fallbacks


class NodeArguments:
    """The arguments that a node is called with, its input stream among them being watched."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs

    def argument(self, position: int, name: str) -> Any:
        """An argument, which a caller may give by position (LiveKit does) or by name."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name)

    def watch_input(self, name: str, watcher: Watcher) -> None:
        """Have ``watcher`` see the input stream, which is the first argument."""
        source = self.argument(0, name)
        if not isinstance(source, AsyncIterable):
            return
        if self.args:
            self.args = (proxy_stream(source, watcher), *self.args[1:])
        else:
            self.kwargs = {**self.kwargs, name: proxy_stream(source, watcher)}


class SpanCall(NodeArguments):
    """A node call that is one span, below the turn that the call belongs to."""

    type: SpanType
    source: str
    stream: Stream | None = None

    def __init__(
        self,
        scope: Scope,
        fallbacks: Fallbacks,
        agent: Agent,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__(args, kwargs)
        self._spans, self._state, self._signals = scope
        self._fallbacks = fallbacks
        # A turn of another session, or one that is over, can be left behind in a context.
        turn = current_turn.of(scope)
        mine = turn is not None and turn.span.open
        self.turn: AssistantTurn | None = turn if mine else None
        self.started_ns = now_ns()
        self.span = self._begin(agent)
        if self.turn is not None:
            self.turn.begin_node(self.span)

    def _begin(self, agent: Agent) -> Span:
        """Begin the span."""
        raise NotImplementedError

    def _model(self, agent: Agent, kind: str) -> JSON:
        """The model that the node is about to use."""
        owner = model_of(agent, live_session(self._state), kind)
        self._fallbacks.follow(owner)
        return describe_model(owner)

    def _span(self, payload: JSON, streams: Mapping[str, Stream]) -> Span:
        name = self.type.removeprefix("livekit:")
        return self._spans.begin(
            self.type,
            name,
            self.turn.span if self.turn else None,
            without_none(
                {
                    "name": name,
                    "type": self.type.value,
                    "turn_index": self.turn.index if self.turn else None,
                    "timestamp": round(time.time(), 6),
                    "otel": current_span(),
                    "metadata": {},
                    **payload,
                }
            ),
            streams=streams,
            at=self.started_ns,
        )

    def look(self, item: Any) -> None:
        """One item of the node's output passed."""

    def value(self, result: Any) -> None:
        """The node answered with something that is no stream."""

    def end(self, error: BaseException | None) -> None:
        """The node call is over."""
        self._end(error)

    @guarded("node.end")
    def _end(self, error: BaseException | None, at: int | None = None) -> None:
        if not self.span.open:
            return
        status, described = status_of(error), None
        if error is not None and status is Status.FAILED:
            described = describe_failure(error)
            self._signals.error.emit(self.source, error, self.span, None, None)
        # The error above is inside the span.
        finished_ns = now_ns() if at is None else at
        if self.turn is not None:
            self.turn.end_node(self.span)
        self._spans.end(
            self.span, status, lambda: self._result(status, described, finished_ns), at=finished_ns
        )

    def _result(self, status: Status, error: JSON | None, finished_ns: int) -> JSON:
        result = {
            "status": PREFACTOR_STATUS[status],
            "error": error,
            **self._outcome(finished_ns),
        }
        return without_none(result)

    def _outcome(self, finished_ns: int) -> JSON:
        """What came of it. Called off the event loop."""
        raise NotImplementedError


def live_session(state: SessionState) -> AgentSession[Any]:
    """LiveKit's session, which lives for as long as one of its nodes runs."""
    session = state.session
    assert session is not None, "a node runs only while its session lives"
    return session


def elapsed_ms(begun_ns: int | None, ended_ns: int | None) -> float | None:
    """The milliseconds between two moments, if both are known."""
    if begun_ns is None or ended_ns is None:
        return None
    return round((ended_ns - begun_ns) / 1e6, 3)
