"""Scripted models, a microphone and a speaker: real LiveKit interfaces, no network, no device.

Each replays what it is given, so that a test says what is heard, generated and spoken, and when.
The audio is told apart by its level only: a frame of :func:`sound` is speech, one of
:func:`silence` is none. Works on the oldest and the newest supported ``livekit-agents``."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import llm, stt, tts, utils, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from livekit.agents.voice import io

from prefactor_agent.testing.speaker import Speaker as Speaker

RATE = 16_000
FRAME_SECONDS = 0.01

NO_RETRY = APIConnectOptions(max_retry=0, retry_interval=0.0)


# Audio


def sound(seconds: float, *, rate: int = RATE, level: int = 8_000) -> list[rtc.AudioFrame]:
    """Frames of 10 ms that every part here takes for speech."""
    samples = int(rate * FRAME_SECONDS)
    wave = np.where(np.arange(samples) % 32 < 16, level, -level).astype(np.int16).tobytes()
    count = round(seconds / FRAME_SECONDS)
    return [rtc.AudioFrame(wave, rate, 1, samples) for _ in range(count)]


def silence(seconds: float, *, rate: int = RATE) -> list[rtc.AudioFrame]:
    """Frames of 10 ms of digital silence."""
    return sound(seconds, rate=rate, level=0)


def is_sound(frame: rtc.AudioFrame) -> bool:
    return bool(np.abs(np.frombuffer(frame.data, dtype=np.int16)).max(initial=0) > 500)


# The LLM


@dataclass(frozen=True)
class Wait:
    """Let this many seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Use:
    """Call a tool. Without a ``call_id`` each gets one of its own."""

    tool: str
    arguments: dict[str, Any] | str = field(default_factory=dict)
    call_id: str | None = None


@dataclass(frozen=True)
class Tokens:
    """Report the usage, as providers do in their last chunk."""

    prompt: int
    completion: int


Step = str | Wait | Use | Tokens | llm.ChatChunk | Exception
"""One step of a reply: a text chunk, a pause, a tool call, a ready chunk, an error to raise."""


class ScriptedLLM(llm.LLM):  # type: ignore[type-arg]  # generic in its events, which nobody names
    """Answers each request with the next of ``replies``; a lone string is a reply of one chunk."""

    def __init__(self, *replies: str | Sequence[Step]) -> None:
        super().__init__()
        self.replies = deque([reply] if isinstance(reply, str) else reply for reply in replies)
        self.requests: list[llm.ChatContext] = []
        """The input of every request so far, retries included."""
        self.numbers = itertools.count(1)

    @property
    def model(self) -> str:
        return "scripted-llm"

    @property
    def provider(self) -> str:
        return "scripted"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[Any] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_options: Any,
    ) -> llm.LLMStream:
        return _LLMStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _LLMStream(llm.LLMStream):
    async def _run(self) -> None:
        model = self._llm
        assert isinstance(model, ScriptedLLM)
        model.requests.append(self._chat_ctx)
        assert model.replies, f"request {len(model.requests)} is not in the script"
        id_ = f"reply-{len(model.requests)}"
        for step in model.replies.popleft():
            match step:
                case Exception():
                    raise step
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case llm.ChatChunk():
                    self._event_ch.send_nowait(step)
                case _:
                    self._event_ch.send_nowait(_chunk(id_, step, model.numbers))


def _chunk(id_: str, step: str | Use | Tokens, numbers: Iterable[int]) -> llm.ChatChunk:
    match step:
        case str():
            return llm.ChatChunk(
                id=id_, delta=llm.ChoiceDelta(role="assistant", content=step, tool_calls=[])
            )
        case Tokens(prompt, completion):
            usage = llm.CompletionUsage(
                prompt_tokens=prompt,
                completion_tokens=completion,
                total_tokens=prompt + completion,
            )
            return llm.ChatChunk(id=id_, usage=usage)
        case Use(tool, arguments, call_id):
            call = llm.FunctionToolCall(
                name=tool,
                arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
                call_id=call_id or f"call-{next(iter(numbers))}",
            )
            return llm.ChatChunk(id=id_, delta=llm.ChoiceDelta(role="assistant", tool_calls=[call]))


# The STT


@dataclass(frozen=True)
class Heard:
    """What one stretch of sound is understood as."""

    text: str
    interims: Sequence[str] = ()
    delay: float = 0.0
    """Seconds from the end of the sound (noticed after ``ScriptedSTT.pause``) to the final."""


class ScriptedSTT(stt.STT):  # type: ignore[type-arg]  # as ScriptedLLM
    """Understands each stretch of sound as the next of ``script``; an exception in it is raised.

    With ``streaming=False`` it recognizes whole buffers, as LiveKit's ``StreamAdapter`` asks."""

    def __init__(
        self, *script: str | Heard | Exception, streaming: bool = True, pause: float = 0.1
    ) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(streaming=streaming, interim_results=streaming)
        )
        self.script = deque(Heard(part) if isinstance(part, str) else part for part in script)
        self.pause = pause
        """Seconds of silence that end a stretch of sound."""
        self.streams = 0
        """Streams opened so far."""

    @property
    def model(self) -> str:
        return "scripted-stt"

    @property
    def provider(self) -> str:
        return "scripted"

    def next(self) -> Heard:
        part = self.script.popleft() if self.script else Heard("")
        if isinstance(part, Exception):
            raise part
        return part

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: Any = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.SpeechEvent:
        heard = self.next()
        await asyncio.sleep(heard.delay)
        return _speech(stt.SpeechEventType.FINAL_TRANSCRIPT, heard.text)

    def stream(
        self,
        *,
        language: Any = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        self.streams += 1
        return _RecognizeStream(stt=self, conn_options=conn_options)


class _RecognizeStream(stt.RecognizeStream):
    async def _run(self) -> None:
        model = self._stt
        assert isinstance(model, ScriptedSTT)
        kinds, send = stt.SpeechEventType, self._event_ch.send_nowait
        heard: Heard | None = None
        interims: deque[str] = deque()
        quiet = 0.0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue  # a flush mark
            if is_sound(frame):
                quiet = 0.0
                if heard is None:
                    heard = model.next()
                    interims = deque(heard.interims)
                    send(stt.SpeechEvent(type=kinds.START_OF_SPEECH))
                elif interims:
                    send(_speech(kinds.INTERIM_TRANSCRIPT, interims.popleft()))
                continue
            quiet += frame.duration
            if heard is not None and quiet >= model.pause:
                await asyncio.sleep(heard.delay)
                if heard.text:
                    send(_speech(kinds.FINAL_TRANSCRIPT, heard.text))
                send(stt.SpeechEvent(type=kinds.END_OF_SPEECH))
                heard = None


def _speech(kind: stt.SpeechEventType, text: str) -> stt.SpeechEvent:
    # LiveKit's language type is young; a string is what every version accepts.
    data = stt.SpeechData(language="en", text=text, confidence=0.9)  # type: ignore[arg-type]
    return stt.SpeechEvent(type=kind, alternatives=[data])


# The TTS


class ScriptedTTS(tts.TTS):  # type: ignore[type-arg]  # as ScriptedLLM
    """Speaks every text as sound of a length that follows from the number of characters.

    ``errors`` are raised by the next attempts, one each; ``None`` lets an attempt pass."""

    def __init__(
        self,
        *errors: Exception | None,
        streaming: bool = True,
        seconds_per_character: float = 0.01,
        first_byte: float = 0.0,
        leading_silence: float = 0.0,
        rate: int = RATE,
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=streaming), sample_rate=rate, num_channels=1
        )
        self.errors = deque(errors)
        self.seconds_per_character = seconds_per_character
        self.first_byte = first_byte
        self.leading_silence = leading_silence
        self.spoken: list[str] = []
        """The text of every attempt so far."""

    @property
    def model(self) -> str:
        return "scripted-tts"

    @property
    def provider(self) -> str:
        return "scripted"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _ChunkedStream(tts=self, input_text=text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        return _SynthesizeStream(tts=self, conn_options=conn_options)

    async def begin(self, emitter: tts.AudioEmitter, *, stream: bool) -> None:
        """Open one attempt: fail it, or wait for the first byte and give the leading silence."""
        emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=self.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            stream=stream,
        )
        if self.errors and (error := self.errors.popleft()) is not None:
            raise error
        await asyncio.sleep(self.first_byte)
        if stream:
            emitter.start_segment(segment_id=utils.shortuuid())
        emitter.push(_pcm(silence(self.leading_silence, rate=self.sample_rate)))

    def speak(self, emitter: tts.AudioEmitter, text: str) -> None:
        seconds = max(FRAME_SECONDS, len(text) * self.seconds_per_character)
        emitter.push(_pcm(sound(seconds, rate=self.sample_rate)))


class _ChunkedStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        model = self._tts
        assert isinstance(model, ScriptedTTS)
        model.spoken.append(self._input_text)
        await model.begin(output_emitter, stream=False)
        model.speak(output_emitter, self._input_text)
        output_emitter.flush()


class _SynthesizeStream(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        model = self._tts
        assert isinstance(model, ScriptedTTS)
        begun = False
        async for text in self._input_ch:
            if not isinstance(text, str):
                continue  # a flush mark
            if not begun:
                begun = True
                model.spoken.append("")
                self._mark_started()
                await model.begin(output_emitter, stream=True)
            model.spoken[-1] += text
            model.speak(output_emitter, text)
        if begun:
            output_emitter.end_segment()
        else:
            output_emitter.initialize(
                request_id=utils.shortuuid(),
                sample_rate=model.sample_rate,
                num_channels=1,
                mime_type="audio/pcm",
                stream=True,
            )


def _pcm(frames: Iterable[rtc.AudioFrame]) -> bytes:
    return b"".join(bytes(frame.data) for frame in frames)


# The VAD


class ScriptedVAD(vad.VAD):
    """Sound is speech: begins after ``begin`` seconds of it, ends after ``end`` of silence."""

    def __init__(self, *, begin: float = 0.05, end: float = 0.2) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=FRAME_SECONDS))
        self.begin = begin
        self.end = end

    def stream(self) -> vad.VADStream:
        return _VADStream(self)


class _VADStream(vad.VADStream):
    async def _main_task(self) -> None:
        model = self._vad
        assert isinstance(model, ScriptedVAD)
        kinds = vad.VADEventType
        frames: list[rtc.AudioFrame] = []
        speaking, position, speech, quiet = False, 0.0, 0.0, 0.0

        def send(kind: vad.VADEventType, frames: list[rtc.AudioFrame]) -> None:
            self._event_ch.send_nowait(
                vad.VADEvent(
                    type=kind,
                    samples_index=int(position * RATE),
                    timestamp=position,
                    speech_duration=speech if speaking else 0.0,
                    silence_duration=quiet,
                    frames=frames,
                    probability=float(quiet == 0.0),
                    speaking=speaking,
                    raw_accumulated_silence=quiet,
                    raw_accumulated_speech=speech if quiet == 0.0 else 0.0,
                )
            )

        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue  # a flush mark
            position += frame.duration
            if is_sound(frame):
                speech, quiet = speech + frame.duration, 0.0
                frames.append(frame)
            else:
                quiet += frame.duration
                if speaking:
                    frames.append(frame)
            send(kinds.INFERENCE_DONE, [frame])
            if not speaking and quiet == 0.0 and speech >= model.begin:
                speaking = True
                send(kinds.START_OF_SPEECH, list(frames))
            elif quiet >= model.end:
                if speaking:
                    speaking = False
                    send(kinds.END_OF_SPEECH, frames)
                frames, speech = [], 0.0


# The room's ends


class Microphone(io.AudioInput):
    """Plays frames into the session, ``speed`` times as fast as real time (``math.inf``: at
    once)."""

    def __init__(self, frames: Iterable[rtc.AudioFrame] = (), *, speed: float = 1.0) -> None:
        super().__init__(label="microphone")
        self._waiting = deque(frames)
        self._more = asyncio.Event()
        self._speed = speed
        self._due = 0.0
        self._ended = False

    def play(self, frames: Iterable[rtc.AudioFrame]) -> None:
        """Put more frames behind those that wait."""
        self._waiting.extend(frames)
        self._more.set()

    def end(self) -> None:
        """Let the stream end behind those that wait; otherwise it stays open, without frames."""
        self._ended = True
        self._more.set()

    async def heard(self) -> None:
        """Wait until all frames have gone into the session."""
        while self._waiting:
            await asyncio.sleep(FRAME_SECONDS)

    async def __anext__(self) -> rtc.AudioFrame:
        clock = asyncio.get_running_loop().time
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
            self._due = clock()
        await asyncio.sleep(max(0.0, self._due - clock()))
        frame = self._waiting.popleft()  # only now: a reader that was cancelled has lost nothing
        self._due = max(self._due, clock() - 1.0) + frame.duration / self._speed
        return frame
