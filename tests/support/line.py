"""A voice call of which both ends are scripted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import Agent, AgentSession, TurnHandlingOptions, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from livekit.agents.voice.agent_session import SessionConnectOptions

from .scripted import (
    NO_RETRY,
    Microphone,
    ScriptedTTS,
    ScriptedVAD,
    Speaker,
    silence,
    sound,
)
from .waiting import PATIENCE

NO_RETRIES = SessionConnectOptions(
    stt_conn_options=NO_RETRY, llm_conn_options=NO_RETRY, tts_conn_options=NO_RETRY
)


class HandSTT(stt.STT):  # type: ignore[type-arg]  # generic in its events, which nobody names
    """Sends what the test tells it to, when it does, whatever is heard."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.waiting: deque[stt.SpeechEvent | Exception] = deque()
        self.more = asyncio.Event()

    @property
    def model(self) -> str:
        return "hand-stt"

    def starts(self) -> None:
        self._send(stt.SpeechEvent(type=stt.SpeechEventType.START_OF_SPEECH))

    def ends(self) -> None:
        self._send(stt.SpeechEvent(type=stt.SpeechEventType.END_OF_SPEECH))

    def interim(self, text: str) -> None:
        self._send(_words(stt.SpeechEventType.INTERIM_TRANSCRIPT, text))

    def preflight(self, text: str) -> None:
        self._send(_words(stt.SpeechEventType.PREFLIGHT_TRANSCRIPT, text))

    def final(self, text: str) -> None:
        self._send(_words(stt.SpeechEventType.FINAL_TRANSCRIPT, text))

    def fails(self, error: Exception) -> None:
        self._send(error)

    def _send(self, what: stt.SpeechEvent | Exception) -> None:
        self.waiting.append(what)
        self.more.set()

    async def _recognize_impl(self, *_args: Any, **_options: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self,
        *,
        language: Any = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _HandStream(stt=self, conn_options=conn_options)


class _HandStream(stt.RecognizeStream):
    async def _run(self) -> None:
        model = self._stt
        assert isinstance(model, HandSTT)
        while True:
            while not model.waiting:
                model.more.clear()
                await model.more.wait()
            what = model.waiting.popleft()
            if isinstance(what, Exception):
                raise what
            self._event_ch.send_nowait(what)


def _words(kind: stt.SpeechEventType, text: str) -> stt.SpeechEvent:
    # LiveKit's language type is young; a string is what every version accepts.
    data = stt.SpeechData(language="en", text=text, confidence=0.9)  # type: ignore[arg-type]
    return stt.SpeechEvent(type=kind, alternatives=[data])


class Line:
    """A session between a microphone and a speaker, in real time."""

    def __init__(
        self,
        *,
        hears: stt.STT | None = None,  # type: ignore[type-arg]
        thinks: Any = None,
        speaks: ScriptedTTS | None = None,
        vad: Any = None,
        tries: SessionConnectOptions = NO_RETRIES,
        **turns: Any,
    ) -> None:
        handling = {
            "turn_detection": "vad",
            "endpointing": {"min_delay": 0.05, "max_delay": 0.5},
            "preemptive_generation": {"enabled": False},
            **turns,
        }
        more: dict[str, Any] = {}
        if "preemptive_generation" not in TurnHandlingOptions.__annotations__:
            # Before it was an option of turn handling it was one of the session.
            more["preemptive_generation"] = handling.pop("preemptive_generation")["enabled"]
        if thinks is not None:
            more["llm"] = thinks
        if hears is not None:
            more["stt"] = hears
        self.voice = speaks or ScriptedTTS(first_byte=0.05, leading_silence=0.05)
        self.session: AgentSession[None] = AgentSession(
            **more,
            tts=self.voice,
            vad=ScriptedVAD() if vad is None else vad,
            conn_options=tries,
            turn_handling=handling,  # type: ignore[arg-type]
            aec_warmup_duration=None,
        )
        self.microphone, self.speaker = Microphone(), Speaker()
        self.session.input.audio = self.microphone
        self.session.output.audio = self.speaker

    @asynccontextmanager
    async def to(self, agent: Agent) -> AsyncIterator[Line]:
        async with asyncio.timeout(PATIENCE):
            await self.session.start(agent)
            await asyncio.sleep(0.05)  # the session listens
            yield self
            await self.session.aclose()

    async def says(self, seconds: float = 0.4, *, before: float = 0.3, then: float = 0.5) -> None:
        """Speak into the microphone, and wait until all of it was heard."""
        self.microphone.play([*silence(before), *sound(seconds), *silence(then)])
        await self.microphone.heard()

    async def answers(self, count: int = 1) -> None:
        await until(lambda: len(self.speaker.finished) >= count)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to be true; the call's own time limit ends it."""
    while not condition():
        await asyncio.sleep(0.01)
