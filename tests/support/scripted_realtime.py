"""A scripted realtime model: hears the microphone's sound, and speaks its replies by itself.

Implements LiveKit's real interface (llm/realtime.py) as the providers' plugins do: it says when
speech starts and stops, transcribes (or not), creates a generation of its own after each stretch of
sound, takes ``generate_reply``, calls tools, and reports its usage when a reply is done. Works on
the oldest and the newest supported ``livekit-agents``."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from livekit import rtc
from livekit.agents import llm, utils
from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.metrics.base import Metadata
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from .scripted import FRAME_SECONDS, Use, Wait, is_sound, silence, sound

KNOWN = llm.RealtimeCapabilities.__dataclass_fields__
"""What this version of LiveKit knows that a model can do."""
Step = str | Wait | Use
"""A piece of speech, a pause, or a tool call."""


class ScriptedRealtime(llm.RealtimeModel):
    """Answers with the next of ``replies``; a lone string is a reply of one piece.

    ``heard`` are the transcripts of the stretches of sound, ``None`` for one that never gets its
    words; without any the model does not transcribe. ``audio`` is whether it speaks by itself: else
    it writes, and a TTS speaks. Other ``capabilities`` are LiveKit's. Times are in seconds."""

    def __init__(
        self,
        *replies: str | Sequence[Step],
        heard: Sequence[str | None] | None = None,
        heard_after: float = 0.05,
        answers_after: float = 0.1,
        begin: float = 0.05,
        end: float = 0.2,
        turn_detection: bool = True,
        audio: bool = True,
        seconds_per_character: float = 0.02,
        leading_silence: float = 0.1,
        **capabilities: bool,
    ) -> None:
        super().__init__(
            capabilities=llm.RealtimeCapabilities(
                message_truncation=True,
                turn_detection=turn_detection,
                user_transcription=heard is not None,
                audio_output=audio,
                **{
                    "auto_tool_reply_generation": False,
                    "manual_function_calls": True,
                    **{name: has for name, has in capabilities.items() if name in KNOWN},
                },
            )
        )
        self.replies = deque([reply] if isinstance(reply, str) else reply for reply in replies)
        self.heard = deque(heard or ())
        self.heard_after, self.answers_after = heard_after, answers_after
        self.begin, self.end = begin, end
        self.seconds_per_character = seconds_per_character
        self.leading_silence = leading_silence
        self.sessions: list[ScriptedRealtimeSession] = []
        self.numbers = itertools.count(1)

    def next_reply(self, session: ScriptedRealtimeSession) -> Sequence[Step] | None:
        """What it says next; ``None``: nothing."""
        return self.replies.popleft() if self.replies else None

    @property
    def model(self) -> str:
        return "scripted-realtime"

    @property
    def provider(self) -> str:
        return "scripted"

    def session(self, *, turn_detection_disabled: bool = False) -> ScriptedRealtimeSession:
        made = ScriptedRealtimeSession(self)
        self.sessions.append(made)
        return made

    async def aclose(self) -> None: ...


class ScriptedRealtimeSession(llm.RealtimeSession[Any]):
    def __init__(self, model: ScriptedRealtime) -> None:
        super().__init__(model)
        self.script = model
        self.frames: list[rtc.AudioFrame] = []
        """Every frame of the user's that came in."""
        self.pictures: list[rtc.VideoFrame] = []
        self.truncated: list[int] = []
        """Where interrupted messages were cut, in milliseconds."""
        self.instructions: list[str] = []
        self._chat_ctx = llm.ChatContext.empty()
        self._tools = llm.ToolContext.empty()
        self._speech, self._quiet, self._speaking = 0.0, 0.0, False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._generating: asyncio.Task[None] | None = None
        self._arrived: asyncio.Queue[Callable[[], object]] = asyncio.Queue()
        self._start(self._receive())

    async def _receive(self) -> None:
        """All that the model sends comes in one task, as from a socket."""
        while True:
            (await self._arrived.get())()

    def _send(self, name: Any, event: Any) -> None:
        self._arrived.put_nowait(lambda: self.emit(name, event))

    @property
    def chat_ctx(self) -> llm.ChatContext:
        return self._chat_ctx

    @property
    def tools(self) -> llm.ToolContext:
        return self._tools

    async def update_instructions(self, instructions: str) -> None:
        self.instructions.append(str(instructions))

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        known = {item.id for item in self._chat_ctx.items}
        results = {one.id for one in chat_ctx.items if one.type == "function_call_output"}
        self._chat_ctx = chat_ctx.copy()
        if results - known and self.script.capabilities.auto_tool_reply_generation:
            self._start(self._answer_by_itself())

    async def update_tools(self, tools: list[Any]) -> None:
        self._tools = llm.ToolContext(tools)

    def update_options(self, *, tool_choice: Any = NOT_GIVEN) -> None: ...

    # What comes in

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        self.frames.append(frame)
        if not self.script.capabilities.turn_detection:
            return
        if is_sound(frame):
            self._speech, self._quiet = self._speech + frame.duration, 0.0
            if not self._speaking and self._speech >= self.script.begin:
                self._speaking = True
                self.interrupt()
                self._send("input_speech_started", llm.InputSpeechStartedEvent())
            return
        self._quiet += frame.duration
        if self._quiet >= self.script.end:
            self._speech = 0.0
            if self._speaking:
                self._speaking = False
                told = self.script.capabilities.user_transcription
                self._send("input_speech_stopped", llm.InputSpeechStoppedEvent(told))
                self._start(self._take_turn())

    def push_video(self, frame: rtc.VideoFrame) -> None:
        self.pictures.append(frame)

    def commit_audio(self) -> None:
        self._start(self._transcribe())

    def clear_audio(self) -> None: ...

    async def _take_turn(self) -> None:
        self._start(self._transcribe())
        await self._answer_by_itself()

    async def _answer_by_itself(self) -> None:
        await asyncio.sleep(self.script.answers_after)
        if self._speaking:
            return  # the user goes on
        self._generate(None, self.script.next_reply(self))

    async def _transcribe(self) -> None:
        if not self.script.capabilities.user_transcription or not self.script.heard:
            return
        await asyncio.sleep(self.script.heard_after)
        words = self.script.heard.popleft()
        if words is not None:
            self._send(
                "input_audio_transcription_completed",
                llm.InputTranscriptionCompleted(
                    item_id=utils.shortuuid("item_"), transcript=words, is_final=True
                ),
            )

    # What goes out

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: Any = NOT_GIVEN,
        tools: Any = NOT_GIVEN,
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        if isinstance(instructions, str):
            self.instructions.append(instructions)
        asked: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.Future()
        self._start(self._reply(asked))
        return asked

    async def _reply(self, asked: asyncio.Future[llm.GenerationCreatedEvent]) -> None:
        await asyncio.sleep(self.script.answers_after)
        if not asked.done():
            reply = self.script.next_reply(self)
            assert reply is not None, "a reply was asked for that is not in the script"
            self._generate(asked, reply)

    def _generate(
        self,
        asked: asyncio.Future[llm.GenerationCreatedEvent] | None,
        reply: Sequence[Step] | None,
    ) -> None:
        if reply is None:
            return
        messages = utils.aio.Chan[llm.MessageGeneration]()
        functions = utils.aio.Chan[llm.FunctionCall]()
        event = llm.GenerationCreatedEvent(
            message_stream=messages,
            function_stream=functions,
            user_initiated=asked is not None,
            response_id=f"response-{next(self.script.numbers)}",
        )
        self._generating = self._start(self._speak(event, reply, messages, functions))
        self._send("generation_created", event)
        if asked is not None:
            self._arrived.put_nowait(lambda: _answer(asked, event))

    async def _speak(
        self,
        event: llm.GenerationCreatedEvent,
        reply: Sequence[Step],
        messages: utils.aio.Chan[llm.MessageGeneration],
        functions: utils.aio.Chan[llm.FunctionCall],
    ) -> None:
        text, audio = utils.aio.Chan[str](), utils.aio.Chan[rtc.AudioFrame]()
        begun, cancelled = time.time(), False
        said = 0
        try:
            for step in reply:
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Use):
                    functions.send_nowait(_call(step, next(self.script.numbers)))
                else:
                    if not said:
                        spoken = self.script.capabilities.audio_output
                        messages.send_nowait(_message(text, audio, spoken))
                        self._say(audio, silence(self.script.leading_silence))
                    said += len(step)
                    text.send_nowait(step)
                    seconds = max(FRAME_SECONDS, len(step) * self.script.seconds_per_character)
                    self._say(audio, sound(seconds))
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            cancelled = True
        finally:
            for channel in (text, audio, messages, functions):
                channel.close()
            self._generating = None
        await asyncio.sleep(0.01)  # the report comes after the last of the audio
        self._send("metrics_collected", self._usage(event, begun, said, cancelled))

    def _say(self, audio: utils.aio.Chan[rtc.AudioFrame], frames: Sequence[rtc.AudioFrame]) -> None:
        for frame in frames if self.script.capabilities.audio_output else ():
            audio.send_nowait(frame)

    def _usage(
        self, event: llm.GenerationCreatedEvent, begun: float, said: int, cancelled: bool
    ) -> RealtimeModelMetrics:
        return RealtimeModelMetrics(
            request_id=event.response_id or "",
            timestamp=begun,
            label=self.script.label,
            duration=time.time() - begun,
            ttft=0.01 if said else -1,
            cancelled=cancelled,
            input_tokens=10,
            output_tokens=said,
            total_tokens=10 + said,
            input_token_details=RealtimeModelMetrics.InputTokenDetails(audio_tokens=10),
            output_token_details=RealtimeModelMetrics.OutputTokenDetails(audio_tokens=said),
            metadata=Metadata(model_name=self.script.model, model_provider=self.script.provider),
        )

    def interrupt(self) -> None:
        if self._generating is not None:
            self._generating.cancel()

    def truncate(
        self,
        *,
        message_id: str,
        modalities: list[Literal["text", "audio"]],
        audio_end_ms: int,
        audio_transcript: NotGivenOr[str] = NOT_GIVEN,
    ) -> None:
        self.truncated.append(audio_end_ms)

    async def aclose(self) -> None:
        await utils.aio.cancel_and_wait(*self._tasks)

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _answer(
    asked: asyncio.Future[llm.GenerationCreatedEvent], event: llm.GenerationCreatedEvent
) -> None:
    if not asked.done():
        asked.set_result(event)


def _call(use: Use, number: int) -> llm.FunctionCall:
    arguments = use.arguments if isinstance(use.arguments, str) else json.dumps(use.arguments)
    return llm.FunctionCall(
        call_id=use.call_id or f"call-{number}", name=use.tool, arguments=arguments
    )


def _message(
    text: utils.aio.Chan[str], audio: utils.aio.Chan[rtc.AudioFrame], spoken: bool
) -> llm.MessageGeneration:
    modalities: asyncio.Future[list[Literal["text", "audio"]]] = asyncio.Future()
    modalities.set_result(["text", "audio"] if spoken else ["text"])
    return llm.MessageGeneration(
        message_id=utils.shortuuid("item_"),
        text_stream=text,
        audio_stream=audio,
        modalities=modalities,
    )
