"""The remote procedure calls (RPC) of a room: those that the agent makes, and those that it serves.

livekit.rtc has interceptors for both (from 1.1.18 on); they see what is asked and what is answered,
and pass it on. Before, only the calls that the agent makes are seen, by their method on the
participant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from livekit import rtc

from ...core.guard import guarded
from ...core.json import without_none
from ...core.span import Span, SpanType
from ...core.text import cut_text
from ..intercept.watched_methods import Over, WatchedMethod
from ..livekit.rtc_values import local_participant, text
from ..spans.outcome import PREFACTOR_STATUS, describe_failure, status_of
from ..turns.context import current_turn, running_tool
from ..turns.state import Scope
from .room_events import Handlers

KEPT = 500
"""Calls of a session that have a span; those after them are counted."""
TEXT_KEPT = 2_000
"""Characters of a payload, and of an answer."""
SENT, RECEIVED = "sent", "received"
_PERFORMING = WatchedMethod("perform_rpc")


class Rpc:
    """Makes a span of each remote procedure call of one session."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._room: rtc.Room | None = None
        self._local: Any = None
        self._interceptor = _Interceptor(self)
        self._total = 0

    def handlers(self) -> Handlers:
        """The room's events that it listens to, each with its handler."""
        return {"connection_state_changed": self._on_connection}

    @guarded("rpc.begin")
    def begin(self, room: rtc.Room) -> None:
        """The session is in this room, which LiveKit connects before or after that."""
        self._room = room
        self._watch()

    @guarded("rpc.let_go")
    def let_go(self) -> None:
        """Calls are followed no further."""
        self._room = None
        self._let_agent_go()

    def result(self) -> dict[str, int | None]:
        """What the session's span says of them."""
        return {"rpc_total": self._total if self._total > KEPT else None}

    @guarded("rpc.connected")
    def _on_connection(self, _state: Any = None) -> None:
        self._watch()

    def _watch(self) -> None:
        local = local_participant(self._room)
        if local is self._local:
            return
        self._let_agent_go()
        self._local = local
        if local is None:
            return
        if (add := getattr(local, "add_rpc_interceptor", None)) is not None:
            add(self._interceptor)
        else:
            _PERFORMING.add(local, self._on_performing)

    def _let_agent_go(self) -> None:
        local, self._local = self._local, None
        if local is None:
            return
        if (remove := getattr(local, "remove_rpc_interceptor", None)) is not None:
            remove(self._interceptor)
        else:
            _PERFORMING.remove(local, self._on_performing)

    @guarded("rpc.perform")
    def _on_performing(self, call: Mapping[str, Any]) -> Over | None:
        return self._begin(SENT, call.get)

    @guarded("rpc.call")
    def began(self, direction: str, call: Any) -> Over | None:
        """A call begins, as an interceptor is told of it.

        Args:
            direction: ``SENT`` by the agent, or ``RECEIVED``.
            call: livekit.rtc's ``RpcCallInfo`` or ``RpcInvocationData``.

        Returns:
            What wants to be told of its end; ``None``: the call has no span.
        """
        return self._begin(direction, lambda name: getattr(call, name, None))

    def _begin(self, direction: str, value: Callable[[str], Any]) -> Over | None:
        scope = self._scope
        if scope.state.closed:
            return None
        self._total += 1
        if self._total > KEPT:
            return None
        name, payload = text(value("method")) or "rpc", value("payload")
        span = scope.spans.begin(
            SpanType.RPC,
            name,
            self._parent() if direction == SENT else None,
            without_none(
                {
                    "name": name,
                    "type": SpanType.RPC.value,
                    "direction": direction,
                    "method": name,
                    "participant": text(
                        value("destination_identity" if direction == SENT else "caller_identity")
                    ),
                    "request_id": text(value("request_id")),
                    "response_timeout_s": value("response_timeout"),
                    "payload": _cut(payload),
                    "payload_bytes": _bytes(payload),
                }
            ),
        )

        @guarded("rpc.over")
        def over(answer: Any, error: BaseException | None) -> None:
            self._end(span, answer, error)

        return over

    def _parent(self) -> Span | None:
        """The tool, or else the speech, that the running code is at work for."""
        if (tool := running_tool(self._scope.session_id)) is not None:
            return tool.span
        turn = current_turn.of(self._scope)
        return turn.span if turn is not None and turn.span.open else None

    def _end(self, span: Span, answer: Any, error: BaseException | None) -> None:
        status = status_of(error)
        code = getattr(error, "code", None)
        self._scope.spans.end(
            span,
            status,
            without_none(
                {
                    "status": PREFACTOR_STATUS[status],
                    "response": _cut(answer),
                    "response_bytes": _bytes(answer),
                    "error": describe_failure(error) if error is not None else None,
                    "error_code": int(code) if isinstance(code, int) else None,
                }
            ),
        )


class _Interceptor:
    """Sees the calls of one participant, for one session: an ``rtc.RpcInterceptor``."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def intercept_outgoing(self, call: Any, next: Callable[[Any], Awaitable[Any]]) -> Any:
        """The agent makes a call."""
        return await _observed(next, call, self._rpc.began(SENT, call))

    async def intercept_incoming(self, call: Any, next: Callable[[Any], Awaitable[Any]]) -> Any:
        """Somebody makes a call to the agent."""
        return await _observed(next, call, self._rpc.began(RECEIVED, call))


async def _observed(next: Callable[[Any], Awaitable[Any]], call: Any, over: Over | None) -> Any:
    if over is None:
        return await next(call)
    try:
        answer = await next(call)
    except BaseException as error:
        over(None, error)
        raise
    over(answer, None)
    return answer


def _cut(value: Any) -> str | None:
    return cut_text(value, TEXT_KEPT) if isinstance(value, str) and value else None


def _bytes(value: Any) -> int | None:
    return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else None
