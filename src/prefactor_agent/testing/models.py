"""STT, LLM, TTS and VAD that answer as the recorded ones did, when they did. LiveKit's real
interfaces; no network, and no audio but tones of the recorded loudness."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import APIError, llm, stt, tts, utils, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

from ..record.describe import Messages, tool_names
from ..view.replay import Failure, Recording, Request, Speech, UserTurn, asked_in
from .script import ReplayMismatch, Script, squeezed

MARK = "prefactor_replay"
"""Key in ``AudioFrame.userdata``: where in the recorded call a frame of the caller's is."""
Place = tuple[int, int]
"""Number of the user's turn, and microseconds after its first sound."""
NOWHERE: Place = (0, 0)

_STARTS_US = 100_000
_ENDS_US = 550_000
"""When a VAD tells of speech and of its end, where none was recorded (Silero's defaults)."""


def tone(samples: int, dbfs: int, rate: int) -> bytes:
    """PCM of this loudness: a square wave of 200 Hz, whose level is its amplitude."""
    if dbfs <= -96:
        return bytes(2 * samples)
    level = min(32_767, round(32_768 * 10 ** (dbfs / 20)))
    high = np.arange(samples) // max(1, rate // 400) % 2 == 0
    return np.where(high, level, -level).astype(np.int16).tobytes()


def _raise(failed: Failure) -> None:
    raise APIError(f"{failed.error_type}: {failed.message}", retryable=False)


class ReplayLLM(llm.LLM):  # type: ignore[type-arg]  # generic in its events, which nobody names
    """Answers each request as the recorded LLM did; one that was not recorded ends the replay."""

    def __init__(
        self, script: Script, speed: float, left: Callable[[ReplayMismatch], bool]
    ) -> None:
        super().__init__()
        self.script = script
        self.speed = speed
        self.left = left

    @property
    def model(self) -> str:
        return "replay"

    @property
    def provider(self) -> str:
        return "prefactor_agent"

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
        assert isinstance(model, ReplayLLM)
        items = self._chat_ctx.items
        messages = Messages().describe(items, len(items))["messages"]
        try:
            request = model.script.answer(asked_in(messages), tool_names(self._tools))
        except ReplayMismatch as mismatch:
            if model.left(mismatch):
                # Whoever plays the call ends it and tells; the agent is not to be seen to fail too.
                await asyncio.get_running_loop().create_future()
            raise
        try:
            await self._reply(request, model.speed)
        except asyncio.CancelledError:
            model.script.give_back(request)
            raise

    async def _reply(self, request: Request, speed: float) -> None:
        clock = asyncio.get_running_loop().time
        begun, id_ = clock(), f"replay-{request.number}"
        calls = [
            llm.FunctionToolCall(name=call.name, arguments=call.arguments, call_id=call.call_id)
            for call in request.tool_calls
        ]
        output = request.output
        silent = output.text.count("")
        for offset, text in zip(output.offset_us, output.text, strict=True):
            await asyncio.sleep(begun + offset / 1e6 / speed - clock())
            ready: list[llm.FunctionToolCall] = []
            if not text:
                # Calls and usage came in chunks without text; the trace keeps which calls, and when
                # there was such a chunk. The last one takes what is left.
                silent -= 1
                ready, calls = (calls[:1], calls[1:]) if silent else (calls, [])
            if text or ready:
                self._send(id_, text, ready)
        if calls:
            self._send(id_, "", calls)
        if request.failed is not None:
            _raise(request.failed)
        if request.usage:
            self._event_ch.send_nowait(llm.ChatChunk(id=id_, usage=_usage(request.usage)))

    def _send(self, id_: str, text: str, calls: list[llm.FunctionToolCall]) -> None:
        delta = llm.ChoiceDelta(role="assistant", content=text or None, tool_calls=calls)
        self._event_ch.send_nowait(llm.ChatChunk(id=id_, delta=delta))


def _usage(recorded: dict[str, Any]) -> llm.CompletionUsage:
    # Versions of LiveKit differ in what they count beside these.
    known = {key: recorded[key] for key in llm.CompletionUsage.model_fields if key in recorded}
    needed = {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0}
    return llm.CompletionUsage(**{**needed, **known})


class ReplayTTS(tts.TTS):  # type: ignore[type-arg]  # as ReplayLLM
    """Speaks what was recorded with the recorded timing and loudness, and anything else at the
    recorded pace."""

    def __init__(self, script: Script, speed: float, rate: int) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True), sample_rate=rate, num_channels=1
        )
        self.script = script
        self.speed = speed

    @property
    def model(self) -> str:
        return "replay"

    @property
    def provider(self) -> str:
        return "prefactor_agent"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _ChunkedStream(tts=self, input_text=text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        return _SynthesizeStream(tts=self, conn_options=conn_options)

    def begin(self, emitter: tts.AudioEmitter, *, stream: bool) -> None:
        emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=self.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            stream=stream,
        )

    async def speak(self, emitter: tts.AudioEmitter, text: _Text) -> None:
        """Push the audio of a text that is still coming in."""
        speech = self.script.speech(text.given)
        said = 0
        if speech is not None:
            said = await self._speak_recorded(emitter, text, speech)
        await text.whole()
        rest = len(squeezed(text.given)) - said
        if rest > 0:
            seconds = rest * self.script.seconds_per_character * 1.2  # blanks are not counted here
            self._push(emitter, round(seconds * self.sample_rate), self.script.loudness)

    async def _speak_recorded(self, emitter: tts.AudioEmitter, text: _Text, speech: Speech) -> int:
        """Returns for how many characters (without blanks) there was audio."""
        clock = asyncio.get_running_loop().time
        begun, first = clock(), speech.given.offset_us[0]
        whole, audio = squeezed("".join(speech.given.text)), speech.audio
        came = list(zip(speech.given.offset_us, speech.given.text, strict=True))
        said = 0
        for offset, size, dbfs in zip(audio.offset_us, audio.size, audio.dbfs, strict=True):
            # As much text as the recorded voice had when it gave this: then it is the same text.
            known = len(squeezed("".join(part for at, part in came if at <= offset)))
            if not await text.begins_with(whole[:known]):
                return said
            await asyncio.sleep(begun + (offset - first) / 1e6 / self.speed - clock())
            self._push(emitter, round(size * self.sample_rate / audio.sample_rate), dbfs)
            said = known
        if speech.failed is not None:
            _raise(speech.failed)
        return said

    def _push(self, emitter: tts.AudioEmitter, samples: int, dbfs: int) -> None:
        emitter.push(tone(samples, dbfs, self.sample_rate))


class _Text:
    """A text that comes in pieces."""

    def __init__(self, given: str = "", *, ended: bool = False) -> None:
        self.given = given
        self.ended = ended
        self._changed = asyncio.Event()

    def add(self, text: str) -> None:
        self.given += text
        self._changed.set()

    def end(self) -> None:
        self.ended = True
        self._changed.set()

    async def begun(self) -> bool:
        """Wait for the first words. Returns whether there are any."""
        while not self.given.strip() and not self.ended:
            await self._more()
        return bool(self.given.strip())

    async def begins_with(self, words: str) -> bool:
        """Wait until that can be told; ``words`` without blanks."""
        while True:
            given = squeezed(self.given)
            if len(given) >= len(words) or not words.startswith(given) or self.ended:
                return given.startswith(words)
            await self._more()

    async def whole(self) -> None:
        while not self.ended:
            await self._more()

    async def _more(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class _ChunkedStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        model = self._tts
        assert isinstance(model, ReplayTTS)
        model.begin(output_emitter, stream=False)
        await model.speak(output_emitter, _Text(self._input_text, ended=True))
        output_emitter.flush()


class _SynthesizeStream(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        model = self._tts
        assert isinstance(model, ReplayTTS)
        model.begin(output_emitter, stream=True)
        text = _Text()
        reading = asyncio.create_task(self._read(text))
        try:
            if await text.begun():
                self._mark_started()
                output_emitter.start_segment(segment_id=utils.shortuuid())
                await model.speak(output_emitter, text)
                output_emitter.end_segment()
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _read(self, text: _Text) -> None:
        async for part in self._input_ch:
            if isinstance(part, str):
                text.add(part)
        text.end()


@dataclass(frozen=True)
class _Due:
    at: Place
    what: Any


class ReplaySTT(stt.STT):  # type: ignore[type-arg]  # as ReplayLLM
    """Tells what the recorded STT told, each event when the caller's audio has come to it."""

    def __init__(self, turns: Sequence[UserTurn], place: Callable[[], Place]) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.place = place
        # A stream can end and another go on: what was told is of the call, not of a stream.
        self.due = [
            _Due((turn.number, heard.at_us + event.offset_us), event)
            for turn in turns
            for heard in turn.utterances
            for event in heard.events
        ]

    @property
    def model(self) -> str:
        return "replay"

    @property
    def provider(self) -> str:
        return "prefactor_agent"

    async def _recognize_impl(self, *_args: Any, **_options: Any) -> stt.SpeechEvent:
        raise NotImplementedError("a replayed STT streams")

    def stream(
        self,
        *,
        language: Any = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _RecognizeStream(stt=self, conn_options=conn_options)


class _RecognizeStream(stt.RecognizeStream):
    async def _run(self) -> None:
        model = self._stt
        assert isinstance(model, ReplaySTT)
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue  # a flush mark
            here = place_of(frame, model.place)
            while model.due and model.due[0].at <= here:
                event = model.due.pop(0).what
                alternatives = []
                if event.text:
                    alternatives = [
                        stt.SpeechData(
                            language="",  # type: ignore[arg-type]  # younger than a plain string
                            text=event.text,
                            confidence=event.confidence or 0.0,
                        )
                    ]
                self._event_ch.send_nowait(
                    stt.SpeechEvent(type=stt.SpeechEventType(event.type), alternatives=alternatives)
                )


def place_of(frame: rtc.AudioFrame, otherwise: Callable[[], Place]) -> Place:
    """Where in the recorded call a frame is. One that was made anew on its way (a filter in the
    agent's own ``stt_node``, a resampler) has lost its mark: then where the caller is now."""
    place = frame.userdata.get(MARK)
    return place if place is not None else otherwise()


class ReplayVAD(vad.VAD):
    """Tells of the user's speech, and of its end, where in it the recorded VAD did."""

    def __init__(self, turns: Sequence[UserTurn], place: Callable[[], Place]) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.02))
        self.place = place
        self.spans = {turn.number: _speech(turn) for turn in turns if turn.utterances}

    @property
    def model(self) -> str:
        return "replay"

    @property
    def provider(self) -> str:
        return "prefactor_agent"

    def stream(self) -> vad.VADStream:
        return _VADStream(self)


def _speech(turn: UserTurn) -> tuple[int, int, int]:
    """When the VAD tells of it, when it is over, and when the VAD tells of that."""
    ended = turn.speech_ended_us
    if ended is None:
        ended = speech_ends_us(turn)
    started = turn.vad_started_us if turn.vad_started_us is not None else _STARTS_US
    told = turn.vad_ended_us if turn.vad_ended_us is not None else ended + _ENDS_US
    return min(started, ended), ended, max(told, ended)


def speech_ends_us(turn: UserTurn) -> int:
    """When the user's last sound ended, after the first; of a typed turn, 0."""
    if turn.speech_ended_us is not None:
        return turn.speech_ended_us
    ends = [
        heard.at_us + offset
        for heard in turn.utterances
        if heard.audio is not None
        for offset, level in zip(heard.audio.offset_us, heard.audio.dbfs, strict=True)
        if level > -60
    ]
    return max(ends, default=0)


class _VADStream(vad.VADStream):
    async def _main_task(self) -> None:
        model = self._vad
        assert isinstance(model, ReplayVAD)
        kinds = vad.VADEventType
        speaking, position = False, 0.0
        turn, begun, ended = 0, 0, 0
        frames: list[rtc.AudioFrame] = []
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue  # a flush mark
            position += frame.duration
            number, at = place_of(frame, model.place)
            if number != turn and not speaking:
                turn, frames = number, []
            started, ends, told = model.spans.get(turn, (0, 0, 0))
            at = at if number == turn else told  # the user went on to the next turn at once
            heard = started <= at <= ends and turn in model.spans
            speech = min(at, ends) / 1e6 if turn in model.spans else 0.0
            quiet = max(0.0, (at - ends) / 1e6)
            changed: vad.VADEventType | None = None
            if heard and not speaking and begun < turn:
                speaking, begun, changed = True, turn, kinds.START_OF_SPEECH
            elif speaking and at >= told and ended < turn:
                speaking, ended, changed = False, turn, kinds.END_OF_SPEECH
            if at <= told and turn in model.spans:
                frames.append(frame)
            for kind in (kinds.INFERENCE_DONE, changed):
                if kind is not None:
                    self._event_ch.send_nowait(
                        vad.VADEvent(
                            type=kind,
                            samples_index=int(position * frame.sample_rate),
                            timestamp=position,
                            speech_duration=speech if speaking or changed else 0.0,
                            silence_duration=quiet,
                            frames=[frame] if kind is kinds.INFERENCE_DONE else list(frames),
                            probability=float(heard),
                            speaking=speaking,
                            raw_accumulated_silence=quiet,
                            raw_accumulated_speech=speech if heard else 0.0,
                        )
                    )


def sample_rate_of(recording: Recording) -> int:
    """Of the recorded voice."""
    return next((one.audio.sample_rate for one in recording.speeches if one.audio.size), 24_000)
