"""What is recorded of each call of each node: the :class:`.nodes.NodeCall` of every kind of
node."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Mapping
from typing import Any, cast

from livekit import rtc
from livekit.agents import Agent, AgentSession

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ...core.span import Span, SpanType, Status
from ..audio.agent_voice import AgentVoice
from ..intercept.forms import NodeCall
from ..intercept.passthrough import proxy_stream
from ..livekit.messages import MESSAGES_KEPT
from ..livekit.models import describe_model, model_of, tool_names
from ..recorder import SessionRecorder
from ..spans.outcome import PREFACTOR_STATUS, describe_error, status_of
from ..spans.stream import UNABSORBED, AudioLevels, LLMOutput, Stream
from ..turns.context import current_turn
from ..turns.turn import AssistantTurn, HeardVoice, realtime_tokens


class _InputText:
    """Looks at text on its way into a node."""

    def __init__(self, stream: Stream) -> None:
        self.stream: Stream | None = stream

    def look(self, item: Any) -> None: ...

    def end(self, error: BaseException | None) -> None: ...


class _InputAudio:
    """Looks at the user's audio on its way into the STT node."""

    stream: Stream | None = None

    def __init__(self, trace: SessionRecorder) -> None:
        self._trace = trace

    @guarded("node.stt.audio")
    def look(self, item: Any) -> None:
        if isinstance(item, rtc.AudioFrame):
            self._trace.voice.hear(item, now_ns())

    def end(self, error: BaseException | None) -> None: ...


class _SpanCall:
    """A node call that is one span, under the turn that the call belongs to."""

    type: SpanType
    source: str
    stream: Stream | None = None

    def __init__(
        self, trace: SessionRecorder, agent: Agent, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.args, self.kwargs = args, kwargs
        self._trace = trace
        # A turn of another session, or one that is over, can be left behind in a context.
        turn = current_turn.of(trace.scope)
        mine = turn is not None and turn.span.open
        self.turn: AssistantTurn | None = turn if mine else None
        self.started_ns = now_ns()
        self.span = self._begin(agent)
        if self.turn is not None:
            self.turn.open_nodes[self.type] = self.span

    def _begin(self, agent: Agent) -> Span:
        raise NotImplementedError

    def _model(self, agent: Agent, kind: str) -> JSON:
        """The model that the node is about to use."""
        owner = model_of(agent, _session(self._trace), kind)
        self._trace.fallbacks.follow(owner)
        return describe_model(owner)

    def _span(self, payload: JSON, streams: Mapping[str, Stream]) -> Span:
        name = self.type.removeprefix("livekit:")
        return self._trace.call.begin(
            self.type,
            name,
            self.turn.span if self.turn else None,
            without_none(
                {
                    "name": name,
                    "type": self.type.value,
                    "turn_index": self.turn.index if self.turn else None,
                    "timestamp": round(time.time(), 6),
                    "metadata": {},
                    **payload,
                }
            ),
            streams=streams,
            at=self.started_ns,
        )

    def look(self, item: Any) -> None: ...

    def value(self, result: Any) -> None: ...

    def end(self, error: BaseException | None) -> None:
        self._end(error)

    @guarded("node.end")
    def _end(self, error: BaseException | None, at: int | None = None) -> None:
        if not self.span.open:
            return
        status, described = status_of(error), None
        if error is not None and status is Status.FAILED:
            described = describe_error(error)
            self._trace.errors.record(self.source, error, self.span, None)
        # The error above is inside the span.
        finished_ns = now_ns() if at is None else at
        if self.turn is not None and self.turn.open_nodes.get(self.type) is self.span:
            del self.turn.open_nodes[self.type]
        self._trace.call.end(
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


class LLMNodeCall(_SpanCall):
    type = SpanType.LLM
    source = "llm_node"

    def _begin(self, agent: Agent) -> Span:
        self.output = LLMOutput(self.started_ns)
        self.stream = self.output
        if self.turn is not None:
            self.turn.outputs.append(self.output)
        model = self._model(agent, "llm")
        chat_ctx = _argument(self, 0, "chat_ctx")
        tools = _argument(self, 1, "tools") or []
        settings = _argument(self, 2, "model_settings")
        items = chat_ctx.items if chat_ctx is not None else []
        kept, total = items[-MESSAGES_KEPT:], len(items)
        messages = self._trace.messages
        named = model.get("model_name")
        inputs: JSON = {
            "tools": tool_names(tools),
            "ai": {"model": {"id": named}} if named else None,
        }
        choice = getattr(settings, "tool_choice", None)
        if isinstance(choice, str | dict):
            inputs["tool_choice"] = choice
        return self._span(
            {
                **model,
                "inputs": lambda: without_none({**messages.describe(kept, total), **inputs}),
            },
            {"output": self.output},
        )

    def value(self, result: Any) -> None:
        if result is not None:
            self.output.add(result)

    def _outcome(self, finished_ns: int) -> JSON:
        output = self.output
        output.absorb()
        text = "".join(output.text)
        first = output.first
        tool_calls = output.tool_calls or None
        finish = None
        if output.count:
            finish = "tool-calls" if tool_calls else "stop"
        return {
            "text": text,
            "tool_calls": tool_calls,
            "usage": output.usage,
            "request_id": output.request_id,
            "metrics": self._measured(output.request_id),
            "time_to_first_token_ms": _ms(self.started_ns, first),
            "finish_reason": finish,
            "ai": {"finishReason": finish} if finish else None,
            "token_usage": _token_usage(output.usage),
        }

    def _measured(self, request_id: str | None) -> JSON | None:
        """What LiveKit measured of the same call."""
        noted = self.turn.measured.get("llm", []) if self.turn is not None else []
        told = (tell() for tell in noted)
        same = (one["metrics"] for one in told if one.get("request_id") == request_id)
        return next(same, None) if request_id is not None else None


class _VoiceCall(_SpanCall):
    """A call of a node that gives the agent's voice."""

    def _speak(self, text: Stream | None) -> None:
        self.audio = AudioLevels(self.started_ns)
        self.voice = AgentVoice(self.audio)
        self.heard = HeardVoice(self.started_ns, self.voice, text)
        if self.turn is not None:
            self.turn.voices.append(self.heard)

    @guarded("node.audio")
    def look(self, item: Any) -> None:
        if isinstance(item, rtc.AudioFrame):
            audio, arrived = self.audio, now_ns()
            if self.heard.first_frame_ns is None:
                self.heard.first_frame_ns = arrived
                self.heard.asked_ns = _asked_at(item)
            audio.times.append(arrived)
            audio.items.append(self.voice.hear(item, arrived))
            if len(audio.items) >= UNABSORBED:
                audio.absorb()


class TTSNodeCall(_VoiceCall):
    type = SpanType.TTS
    source = "tts_node"

    def _begin(self, agent: Agent) -> Span:
        self.text = Stream(self.started_ns)
        self._speak(self.text)
        _watch_input(self, "text", _InputText(self.text))
        return self._span(self._model(agent, "tts"), {"text": self.text, "audio": self.audio})

    def _outcome(self, finished_ns: int) -> JSON:
        self.text.absorb()
        self.audio.absorb()
        voice, audio, seconds = self.voice, self.audio, self.audio.seconds
        first_text, first_audio = self.text.first, audio.first
        begins = voice.sound_begins_ns
        factor = None
        if seconds and first_text is not None and audio.last_ns is not None:
            factor = round((audio.last_ns - first_text) / 1e9 / seconds, 4)
        return {
            "text": "".join(self.text.text),
            "characters": self.text.total,
            "frames": audio.count,
            "audio_seconds": seconds,
            "time_to_first_byte_ms": _ms(first_text, first_audio),
            "real_time_factor": factor,
            "longest_gap_ms": round(audio.longest_gap_ns / 1e6, 3) if audio.count > 1 else None,
            "leading_silence_ms": begins / 1e6 if begins is not None else None,
            "words_per_second": _words_per_second("".join(self.text.text), voice),
        }


class TranscriptionNodeCall(_SpanCall):
    type = SpanType.TRANSCRIPTION
    source = "transcription_node"

    def _begin(self, agent: Agent) -> Span:
        self.text = Stream(self.started_ns)
        self.stream = self.text
        if self.turn is not None:
            self.turn.texts.append(self.text)
        return self._span({}, {"text": self.text})

    def _outcome(self, finished_ns: int) -> JSON:
        self.text.absorb()
        return {"text": "".join(self.text.text), "characters": self.text.total}


class RealtimeNodeCall(_VoiceCall):
    type = SpanType.REALTIME
    source = "realtime_audio_output_node"

    def _begin(self, agent: Agent) -> Span:
        self._speak(None)
        self.usage: JSON | None = None
        self._ended: tuple[BaseException | None, int] | None = None
        self._trace.realtime.speaks(self)
        return self._span(self._model(agent, "llm"), {"audio": self.audio})

    def end(self, error: BaseException | None) -> None:
        # What it used is told when the reply is done, a little after the last of its audio.
        if self.usage is None and self.turn is not None and status_of(error) is Status.COMPLETE:
            self._ended = error, now_ns()
        else:
            self._end(error)

    def told(self, usage: JSON | None) -> None:
        """What the model used for it; ``None``: nothing more will be told."""
        self.usage = usage or self.usage
        if self._ended is not None:
            self._end(*self._ended)

    def _outcome(self, finished_ns: int) -> JSON:
        self.audio.absorb()
        begins = self.voice.sound_begins_ns
        return {
            "frames": self.audio.count,
            "audio_seconds": self.audio.seconds,
            "leading_silence_ms": begins / 1e6 if begins is not None else None,
            "usage": self.usage,
            "token_usage": realtime_tokens(self.usage),
            "request_id": self.usage.get("request_id") if self.usage else None,
        }


class STTNodeCall:
    """The STT node is one stream for the whole session: it has no span, its utterances have."""

    stream: Stream | None = None

    def __init__(
        self, trace: SessionRecorder, agent: Agent, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.args, self.kwargs = args, kwargs
        self._trace = trace
        _watch_input(self, "audio", _InputAudio(trace))
        owner = model_of(agent, _session(trace), "stt")
        trace.fallbacks.follow(owner)
        trace.utterances.use_model(owner)

    @guarded("node.stt.event")
    def look(self, item: Any) -> None:
        if item is not None:
            self._trace.utterances.hear(item)

    def value(self, result: Any) -> None: ...

    @guarded("node.end")
    def end(self, error: BaseException | None) -> None:
        if error is not None and status_of(error) is Status.FAILED:
            self._trace.errors.record("stt_node", error, _utterance_span(self._trace), None)


_NODES: dict[str, Any] = {
    "stt_node": STTNodeCall,
    "llm_node": LLMNodeCall,
    "tts_node": TTSNodeCall,
    "transcription_node": TranscriptionNodeCall,
    "realtime_audio_output_node": RealtimeNodeCall,
}


def open_node(
    trace: SessionRecorder, agent: Agent, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> NodeCall:
    return cast(NodeCall, _NODES[name](trace, agent, args, kwargs))


def _utterance_span(trace: SessionRecorder) -> Span | None:
    turn = trace.state.user_turn
    return turn.utterance.span if turn is not None and turn.utterance is not None else None


def _session(trace: SessionRecorder) -> AgentSession[Any]:
    session = trace.session
    assert session is not None, "a node runs only while its session lives"
    return session


def _argument(call: Any, position: int, name: str) -> Any:
    """An argument of a node, which a caller may give by position (LiveKit does) or by name."""
    return call.args[position] if len(call.args) > position else call.kwargs.get(name)


def _watch_input(call: Any, name: str, watcher: Any) -> None:
    """Put a stand-in for the input stream into the arguments of a node call."""
    source = _argument(call, 0, name)
    if not isinstance(source, AsyncIterable):
        return
    if call.args:
        call.args = (proxy_stream(source, watcher), *call.args[1:])
    else:
        call.kwargs = {**call.kwargs, name: proxy_stream(source, watcher)}


def _ms(begun_ns: int | None, ended_ns: int | None) -> float | None:
    if begun_ns is None or ended_ns is None:
        return None
    return round((ended_ns - begun_ns) / 1e6, 3)


def _asked_at(frame: rtc.AudioFrame) -> int | None:
    """When the text was sent to the provider, where LiveKit notes it on the frame (a reading of
    ``time.perf_counter``; types.py, ``USERDATA_TTS_STARTED_TIME``)."""
    noted = (getattr(frame, "userdata", None) or {}).get("lk.tts_started_time")
    return int(noted * 1e9) if isinstance(noted, float) else None


def _words_per_second(text: str, voice: AgentVoice) -> float | None:
    begun, ended = voice.sound_begins_ns, voice.sound_ends_ns
    if begun is None or ended is None or ended <= begun:
        return None
    return round(len(text.split()) / ((ended - begun) / 1e9), 2)


def _token_usage(usage: JSON | None) -> JSON | None:
    if not usage:
        return None
    keys = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {key: usage[key] for key in keys if key in usage}
