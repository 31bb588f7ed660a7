"""What LiveKit measures of its models: kept with the turn that it belongs to, and made into the LLM
spans of agents whose nodes are not traced.

The session's event ``metrics_collected`` is the only public one that has it for single requests.
LiveKit calls it deprecated in favour of sums and of turns, and says so in the log of whoever
subscribes through ``AgentSession.on``; through the emitter that a session is, it does not
(voice/agent_session.py, ``on``; the same from 1.5.0 to 1.8.9). Where the event is gone, the trace
goes without.

A model that several sessions share emits each measurement to all of them (voice/agent_activity.py,
``_on_metrics_collected``, which even puts the speech of the one on what it passes to the other): so
only what belongs to a turn of this session is taken."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, MetricsCollectedEvent, metrics

from ...core.clock import now_ns
from ...core.guard import guarded, listener
from ...core.json import JSON, without_none
from ...core.span import SpanType, Status
from ..turns.assistant_turns import AssistantTurns
from ..turns.context import current_turn
from ..turns.state import Scope
from ..turns.turn import MEASURED_KEPT, AssistantTurn, MeasuredRequest
from ..turns.user_turns import UserTurns

EVENT = "metrics_collected"
_EMITTER: Any = rtc.EventEmitter


class ModelMetrics:
    """LiveKit's measurements of one session's model calls."""

    def __init__(
        self,
        scope: Scope,
        session: AgentSession[Any],
        assistant_turns: AssistantTurns,
        user_turns: UserTurns,
    ) -> None:
        self._scope = scope
        self._spans, self._state, _ = scope
        self._assistant_turns = assistant_turns
        self._user_turns = user_turns
        self._listener = listener(self._on_metrics)
        _EMITTER.on(session, EVENT, self._listener)
        _live.add(self)

    def let_go(self, session: AgentSession[Any]) -> None:
        """Listen no more."""
        _EMITTER.off(session, EVENT, self._listener)
        _live.discard(self)

    @guarded("event.metrics_collected")
    def _on_metrics(self, event: MetricsCollectedEvent) -> None:
        measured = event.metrics
        match measured:
            case metrics.LLMMetrics() | metrics.RealtimeModelMetrics():
                self._on_llm(measured)
            case metrics.TTSMetrics():
                self._on_tts(measured)
            case metrics.InterruptionMetrics():
                self._note(self._state.playing, "interruptions", measured)
            case metrics.STTMetrics():
                if (asking := self._state.user_turn) is not None and self._hears_alone():
                    asking.measured["stt"] = as_json(measured)
            case metrics.EOUMetrics():
                self._user_turns.note_measured("eou", as_json(measured))
            case _:
                self._scope.signals.measured.emit(measured)

    def _on_llm(self, measured: metrics.LLMMetrics | metrics.RealtimeModelMetrics) -> None:
        turn = self._turn(measured)
        self._note(turn, "llm", measured)
        if isinstance(measured, metrics.RealtimeModelMetrics) and self._state.realtime_used:
            return  # it knows which of its replies have a span of their own
        if turn is None or turn.outputs or any(voice.text is None for voice in turn.voices):
            return  # not of this session, or its node has a span
        if isinstance(measured, metrics.LLMMetrics) and len(turn.measured_models) < MEASURED_KEPT:
            turn.measured_models.append(_request(measured.duration, measured.ttft))
        self.llm_span(turn, measured)

    def _on_tts(self, measured: metrics.TTSMetrics) -> None:
        turn = self._turn(measured)
        self._note(turn, "tts", measured)
        if turn is None or turn.voices or len(turn.measured_voices) >= MEASURED_KEPT:
            return  # not of this session, or its node has a span
        turn.measured_voices.append(_request(measured.duration, measured.ttfb))

    def _turn(self, measured: Any) -> AssistantTurn | None:
        """The turn that a model worked for: LiveKit names the speech; else the running one."""
        named = self._assistant_turns.find(getattr(measured, "speech_id", None))
        if named is not None:
            return named
        return current_turn.of(self._scope)

    def _hears_alone(self) -> bool:
        """No other traced session has the same STT, whose streams belong to no turn."""
        session = self._state.session
        return session is not None and not any(
            other is not self
            and (theirs := other._state.session) is not None
            and theirs.stt is session.stt
            for other in _live
        )

    def _note(self, turn: AssistantTurn | None, kind: str, measured: Any) -> None:
        if turn is not None:
            turn.add_measured(kind, functools.partial(as_json, measured))

    def llm_span(
        self,
        turn: AssistantTurn,
        measured: metrics.LLMMetrics | metrics.RealtimeModelMetrics,
    ) -> None:
        """Make the span of a request that is over: LiveKit says when it ended and how long it
        took."""
        described = as_json(measured)
        ended = now_ns()
        begun = ended - int(max(0.0, measured.duration) * 1e9)
        inside = turn.span if turn.span.open else None
        model = described.get("model_name")
        span = self._spans.begin(
            SpanType.LLM,
            "llm",
            inside,
            without_none(
                {
                    "name": "llm",
                    "type": SpanType.LLM.value,
                    "turn_index": turn.index,
                    "timestamp": round(measured.timestamp - max(0.0, measured.duration), 6),
                    **{key: value for key, value in described.items() if key in _MODEL},
                    "inputs": {"ai": {"model": {"id": model}}} if model else None,
                    "from_metrics": True,
                    "metadata": _metadata(measured),
                }
            ),
            # A speech can be made for a generation that has begun before it.
            at=max(begun, inside.started_ns if inside is not None else begun),
        )
        status = Status.CANCELLED if measured.cancelled else Status.COMPLETE
        self._spans.end(
            span,
            status,
            without_none(
                {
                    "status": "cancelled" if measured.cancelled else "completed",
                    "request_id": described.get("request_id"),
                    "time_to_first_token_ms": round(measured.ttft * 1000, 3)
                    if measured.ttft >= 0
                    else None,
                    **_tokens(measured),
                    "metrics": described["metrics"],
                }
            ),
            at=ended,
        )


_live: weakref.WeakSet[ModelMetrics] = weakref.WeakSet()
_MODEL = ("label", "model_name", "provider", "request_id")


def _request(duration_s: float, first_s: float) -> MeasuredRequest:
    """A request that is over just now: LiveKit says how long it took, and after which time its
    first token or audio came (-1: none)."""
    ended = now_ns()
    called = ended - int(max(0.0, duration_s) * 1e9)
    return MeasuredRequest(called, called + int(first_s * 1e9) if first_s >= 0 else None, ended)


def as_json(measured: Any) -> JSON:
    """One measurement: which call of which model, when, and all that LiveKit says."""
    values: JSON = measured.model_dump(exclude={"metadata"}, exclude_none=True)
    metadata = _metadata(measured)
    return without_none(
        {
            "request_id": values.get("request_id") or None,
            "timestamp": values.get("timestamp"),
            "label": values.get("label") or None,
            "model_name": metadata.get("model_name"),
            "provider": metadata.get("model_provider"),
            "metrics": values,
        }
    )


def _metadata(measured: Any) -> JSON:
    metadata = getattr(measured, "metadata", None)
    return metadata.model_dump(exclude_none=True) if metadata is not None else {}


def _tokens(measured: metrics.LLMMetrics | metrics.RealtimeModelMetrics) -> JSON:
    """What the provider counted. LiveKit says 0 where it counted nothing."""
    if isinstance(measured, metrics.LLMMetrics):
        prompt, completion = measured.prompt_tokens, measured.completion_tokens
    else:
        prompt, completion = measured.input_tokens, measured.output_tokens
    if not (prompt or completion):
        return {}
    tokens = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": measured.total_tokens,
    }
    return {"usage": tokens, "token_usage": tokens}
