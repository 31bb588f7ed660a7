"""What is recorded of the calls of the nodes that make the agent's voice and its transcript."""

from __future__ import annotations

from typing import Any

from livekit import rtc
from livekit.agents import Agent
from livekit.agents.tokenize.basic import split_words

from ...core.clock import now_ns
from ...core.json import JSON
from ...core.span import Span, SpanType, Status
from ..audio.agent_voice import AgentVoice
from ..livekit.models import model_of
from ..spans.outcome import status_of
from ..spans.stream import AudioLevels, Stream
from ..turns.state import Scope
from ..turns.turn import HeardVoice, realtime_tokens
from .fallbacks import Fallbacks
from .node_call import SpanCall, elapsed_ms, live_session
from .realtime import Realtime
from .tts_input import GivenText, TTSInputs, giving


class InputText:
    """Looks at text on its way into a node."""

    def __init__(self, stream: Stream, session_id: str) -> None:
        self.stream: Stream | None = stream
        self.session_id = session_id

    def look(self, item: Any) -> None:
        """Is not called: the chunks go straight into the stream."""

    def end(self, error: BaseException | None) -> None:
        """The node reads no more."""


class VoiceCall(SpanCall):
    """A call of a node that gives the agent's voice."""

    def _speak(self, text: Stream | None) -> None:
        self.audio = AudioLevels(self.started_ns)
        self.voice = AgentVoice(self.audio, self._spans.session_id)
        self.heard = HeardVoice(self.started_ns, self.voice, text)
        if self.turn is not None:
            self.turn.voices.append(self.heard)

    def look(self, item: Any) -> None:
        """One frame of the voice passed."""
        if isinstance(item, rtc.AudioFrame):
            arrived = now_ns()
            if self.heard.first_frame_ns is None:
                self.heard.first_frame_ns = arrived
                self.heard.asked_ns = _asked_at(item)
            self.voice.hear(item, arrived)


class TTSNodeCall(VoiceCall):
    """A request of the TTS."""

    type = SpanType.TTS
    source = "tts_node"

    def __init__(
        self,
        scope: Scope,
        fallbacks: Fallbacks,
        agent: Agent,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inputs: TTSInputs,
    ) -> None:
        self._inputs = inputs
        super().__init__(scope, fallbacks, agent, args, kwargs)

    def _begin(self, agent: Agent) -> Span:
        self.given = GivenText(self._spans.session_id)
        giving(self.given)
        self._inputs.follow(model_of(agent, live_session(self._state), "tts"))
        self.text = Stream(self.started_ns)
        self._speak(self.text)
        self.watch_input("text", InputText(self.text, self._spans.session_id))
        return self._span(self._model(agent, "tts"), {"text": self.text, "audio": self.audio})

    def end(self, error: BaseException | None) -> None:
        """The node call is over."""
        self.given.end()
        super().end(error)

    def _outcome(self, finished_ns: int) -> JSON:
        self.text.absorb()
        self.audio.absorb()
        self.voice.settle()
        text, given = "".join(self.text.text), self.given.text()
        differs = bool(given) and "".join(given.split()) != "".join(text.split())
        voice, audio, seconds = self.voice, self.audio, self.audio.seconds
        first_text, first_audio = self.text.first, audio.first
        begins = voice.sound_begins_ns
        factor = None
        if seconds and first_text is not None and audio.last_ns is not None:
            factor = round((audio.last_ns - first_text) / 1e9 / seconds, 4)
        return {
            "text": text,
            "given_text": given if differs else None,
            "characters": self.text.total,
            "frames": audio.count,
            "audio_seconds": seconds,
            "time_to_first_byte_ms": elapsed_ms(first_text, first_audio),
            "real_time_factor": factor,
            "longest_gap_ms": round(audio.longest_gap_ns / 1e6, 3) if audio.count > 1 else None,
            "leading_silence_ms": begins / 1e6 if begins is not None else None,
            "words_per_second": _words_per_second(given if differs else text, voice),
        }


class TranscriptionNodeCall(SpanCall):
    """A call of the node that the transcript of the agent's voice passes."""

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


class RealtimeNodeCall(VoiceCall):
    """A reply of a realtime model."""

    type = SpanType.REALTIME
    source = "realtime_audio_output_node"

    def __init__(
        self,
        scope: Scope,
        fallbacks: Fallbacks,
        agent: Agent,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        realtime: Realtime,
    ) -> None:
        self._realtime = realtime
        super().__init__(scope, fallbacks, agent, args, kwargs)

    def _begin(self, agent: Agent) -> Span:
        self._speak(None)
        self.usage: JSON | None = None
        self._ended: tuple[BaseException | None, int] | None = None
        self._realtime.speaks(self)
        return self._span(self._model(agent, "llm"), {"audio": self.audio})

    def end(self, error: BaseException | None) -> None:
        """The node call is over; its span may wait for the model's report."""
        # The model reports what it used when the reply is done, a little after its last audio.
        if self.usage is None and self.turn is not None and status_of(error) is Status.COMPLETE:
            self._ended = error, now_ns()
        else:
            self._end(error)

    def set_usage(self, usage: JSON | None) -> None:
        """Take what the model used for it; ``None``: it will report nothing more."""
        self.usage = usage or self.usage
        if self._ended is not None:
            self._end(*self._ended)

    def _outcome(self, finished_ns: int) -> JSON:
        self.audio.absorb()
        self.voice.settle()
        begins = self.voice.sound_begins_ns
        return {
            "frames": self.audio.count,
            "audio_seconds": self.audio.seconds,
            "leading_silence_ms": begins / 1e6 if begins is not None else None,
            "usage": self.usage,
            "token_usage": realtime_tokens(self.usage),
            "request_id": self.usage.get("request_id") if self.usage else None,
        }


def _asked_at(frame: rtc.AudioFrame) -> int | None:
    """When the text was sent to the provider, where LiveKit notes it on the frame (a reading of
    ``time.perf_counter``; types.py, ``USERDATA_TTS_STARTED_TIME``)."""
    noted = (getattr(frame, "userdata", None) or {}).get("lk.tts_started_time")
    return int(noted * 1e9) if isinstance(noted, float) else None


def _words_per_second(text: str, voice: AgentVoice) -> float | None:
    begun, ended = voice.sound_begins_ns, voice.sound_ends_ns
    if begun is None or ended is None or ended <= begun:
        return None
    # As LiveKit counts the words of an interruption: where no blanks divide them, each character.
    words = sum(any(map(str.isalnum, word)) for word, *_ in split_words(text, split_character=True))
    return round(words / ((ended - begun) / 1e9), 2)
