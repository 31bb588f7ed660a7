"""One whole call, offline: the shop's agent and a scripted caller.

No room and no job: the caller's microphone and ear are the session's input and output, by way of
the same transcript synchronizer that a room has, so that an interrupted answer is remembered only
as far as it was heard.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    FunctionToolsExecutedEvent,
    UserInputTranscribedEvent,
)
from livekit.agents.llm import ChatMessage
from livekit.agents.voice.io import PlaybackFinishedEvent, PlaybackStartedEvent
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.plugins import silero

from .caller import CallerEar, CallerMicrophone
from .recording import Track
from .script import CALLER, Line
from .server import OfflineOpenAI
from .shop import ShopAssistant, new_session

PATIENCE = 60.0
"""Seconds that the caller waits for any one thing before the call counts as failed."""


@dataclass(frozen=True)
class Utterance:
    """Something that was said, by the caller or by the agent."""

    speaker: str
    text: str
    started_at: float
    """``time.monotonic()``."""
    seconds: float
    interrupted: bool = False


@dataclass
class CallResult:
    """What happened in a call."""

    said: list[str] = field(default_factory=list)
    """The caller's sentences, as they were spoken."""
    heard: list[str] = field(default_factory=list)
    """The same as the agent's speech recognition heard them."""
    answers: list[str] = field(default_factory=list)
    """The agent's words, as far as they were heard."""
    generated: list[str] = field(default_factory=list)
    """The agent's words, as the model wrote them."""
    tools: list[tuple[str, str, bool]] = field(default_factory=list)
    """Name, result and whether it failed, of each tool call, in order."""
    utterances: list[Utterance] = field(default_factory=list)
    """Who spoke when."""
    caller: Track = field(default_factory=lambda: Track(1))
    agent: Track = field(default_factory=lambda: Track(1))
    started_at: float = 0.0
    ended_at: float = 0.0
    """``time.monotonic()``, from the start of the session to the end of the last answer."""

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at


class _Conversation:
    """What is going on in the session, to wait for."""

    def __init__(
        self, session: AgentSession[None], ear: CallerEar, result: CallResult, progress: "Progress"
    ) -> None:
        self._ear = ear
        self._result = result
        self._progress = progress
        self._changed = asyncio.Event()
        self._state = "initializing"
        self._finished = 0
        self._talking_since: float | None = None
        session.on("agent_state_changed", self._on_state)
        session.on("user_input_transcribed", self._on_heard)
        session.on("function_tools_executed", self._on_tools)
        session.on("conversation_item_added", self._on_item)
        ear.on("playback_started", self._on_started)
        ear.on("playback_finished", self._on_finished)

    @property
    def finished(self) -> int:
        """How often the agent has spoken to the end of what it had to say."""
        return self._finished

    async def answered(self, since: int) -> None:
        """Wait until the agent has said something more than ``since`` and listens again."""
        await self._until(lambda: self._finished > since and self._state == "listening")

    async def talking(self, since: int, seconds: float) -> None:
        """Wait until the agent has spoken for so long, in the speech after ``since``."""
        await self._until(
            lambda: self._finished == since and self._talking_since is not None,
        )
        # The ear computes its position when it is asked: nothing tells that it has got so far.
        while self._talking_since is not None and self._ear.position < seconds:  # noqa: ASYNC110
            await asyncio.sleep(max(0.01, seconds - self._ear.position))

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _on_state(self, event: AgentStateChangedEvent) -> None:
        self._state = event.new_state
        self._changed.set()

    def _on_started(self, _event: PlaybackStartedEvent) -> None:
        self._talking_since = time.monotonic()
        self._changed.set()

    def _on_finished(self, event: PlaybackFinishedEvent) -> None:
        started_at = self._talking_since or time.monotonic()
        self._talking_since = None
        self._finished += not event.interrupted
        self._result.utterances.append(
            Utterance("agent", "", started_at, event.playback_position, event.interrupted)
        )
        self._changed.set()

    def _on_heard(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final and event.transcript:
            self._result.heard.append(event.transcript)
            self._progress("heard", event.transcript)

    def _on_tools(self, event: FunctionToolsExecutedEvent) -> None:
        for call, output in event.zipped():
            if not output:  # livekit-agents 1.5 has no output for a tool that stopped its reply
                continue
            self._result.tools.append((call.name, output.output, output.is_error))
            arrow = "✗" if output.is_error else "→"
            self._progress("tool", f"{call.name}({call.arguments}) {arrow} {output.output}")

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage) or item.role != "assistant":
            return
        text = item.text_content or ""
        self._result.answers.append(text)
        self._progress("agent", f"{text} …(interrupted)" if item.interrupted else text)


Progress = Callable[[str, str], None]
"""Called with who (caller, heard, tool, agent) and what, as the call goes on."""


def _silent(_who: str, _what: str) -> None:
    """Show nothing."""


async def run_call(
    progress: Progress = _silent,
    *,
    server: OfflineOpenAI | None = None,
    lines: Sequence[Line] = CALLER,
) -> CallResult:
    """Hold the call of the script, in real time, and give what happened."""
    if server is None:
        async with OfflineOpenAI() as own:
            return await run_call(progress, server=own, lines=lines)
    # Nor by way of a proxy, whichever of the two spellings a client reads.
    local = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
    with _environment(OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY="offline", **local):
        session = new_session(await asyncio.to_thread(silero.VAD.load))
    microphone, ear = CallerMicrophone(), CallerEar()
    result = CallResult(caller=microphone.track, agent=ear.track)
    conversation = _Conversation(session, ear, result, progress)
    synchronizer = TranscriptSynchronizer(next_in_chain_audio=ear, next_in_chain_text=None)
    session.input.audio = microphone
    session.output.audio = synchronizer.audio_output
    session.output.transcription = synchronizer.text_output
    result.started_at = time.monotonic()
    try:
        await session.start(ShopAssistant())
        for line in lines:
            await _say(line, microphone, conversation, result, progress)
        await conversation.answered(conversation.finished)
        result.ended_at = time.monotonic()
    finally:
        await session.aclose()  # LiveKit waits two seconds here for a last word of the caller
        await synchronizer.aclose()
        for model in (session.stt, session.llm, session.tts):
            if model is not None:
                await model.aclose()
        result.generated = [reply.text for reply in server.replies if reply.text]
    return result


async def _say(
    line: Line,
    microphone: CallerMicrophone,
    conversation: _Conversation,
    result: CallResult,
    progress: Progress,
) -> None:
    """Wait for the line's moment, and say it."""
    before = conversation.finished
    if line.after == "talking":
        await conversation.talking(before, line.breath)
    else:
        await conversation.answered(before)
        await asyncio.sleep(line.breath)
    progress("caller", f"{line.text} (over the agent)" if line.after == "talking" else line.text)
    result.said.append(line.text)
    started_at = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        await microphone.speak(line.text)
    spoken = time.monotonic() - started_at
    result.utterances.append(Utterance("caller", line.text, started_at, spoken))


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables, for this process and for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)  # on Windows both spellings are one
            else:
                os.environ[name] = value
