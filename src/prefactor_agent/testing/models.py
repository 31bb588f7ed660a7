"""An LLM and a TTS that answer as the recorded ones did, when they did. LiveKit's real interfaces;
no network, and no audio but tones of the recorded loudness."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from livekit.agents import APIError, llm, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

from ..record.livekit.messages import Messages
from ..record.livekit.models import tool_names
from ..replay import Failure, Recording, Request, Speech, asked_in
from .script import Replayed, ReplayMismatch, Script, squeezed


def tone(samples: int, dbfs: int, rate: int) -> bytes:
    """PCM of this loudness: a square wave of 200 Hz, whose level is its amplitude."""
    if dbfs <= -96:
        return bytes(2 * samples)
    level = min(32_767, round(32_768 * 10 ** (dbfs / 20)))
    high = np.arange(samples) // max(1, rate // 400) % 2 == 0
    return np.where(high, level, -level).astype(np.int16).tobytes()


def _raise(failed: Failure) -> None:
    raise APIError(f"{failed.error_type}: {failed.message}", retryable=False)


class ReplayLLM(Replayed, llm.LLM):  # type: ignore[type-arg]  # generic in its events, which nobody names
    """Answers each request as the recorded LLM did; one that was not recorded ends the replay."""

    def __init__(
        self, script: Script, speed: float, left: Callable[[ReplayMismatch], bool]
    ) -> None:
        super().__init__()
        self.script = script
        self.speed = speed
        self.left = left

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
                # Whoever plays the call ends it and says why: the agent must not seem to fail, too.
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


class ReplayTTS(Replayed, tts.TTS):  # type: ignore[type-arg]  # as ReplayLLM
    """Speaks what was recorded with the recorded timing and loudness, and anything else at the
    recorded pace."""

    def __init__(self, script: Script, speed: float, rate: int) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True), sample_rate=rate, num_channels=1
        )
        self.script = script
        self.speed = speed

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
        """Wait until that is known; ``words`` without blanks."""
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


def sample_rate_of(recording: Recording) -> int:
    """Of the recorded voice."""
    return next((one.audio.sample_rate for one in recording.speeches if one.audio.size), 24_000)
