"""Who speaks in the gallery's calls: the shop of the demo, a caller with a script, and
models whose timing is said.

The calls are held on a virtual clock: one of half a minute takes a blink, and each time the same.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from livekit import rtc
from livekit.agents import Agent, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from livekit.agents.voice.transcription import TranscriptSynchronizer

from prefactor_agent.demo.shop import ShopAssistant
from prefactor_agent.record.session.process import ProcessMoments, this_process
from support.line import Line
from support.scripted import (
    FRAME_SECONDS,
    Heard,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Step,
    Use,
    Wait,
    silence,
    sound,
)

LETTERS_A_SECOND = 15.0
"""How fast both sides speak."""
SYLLABLES = 4.0
"""A second."""
FIRST_TOKEN = 0.4
"""Seconds until the model begins to answer, where nothing is wrong."""
FIRST_BYTE = 0.2
"""Seconds until the voice begins to speak, where nothing is wrong."""

GREETING = "Good day, this is the kitchen shop. How can I help?"
ORDER = "Where is my order number forty two?"


def reply(words: str, *, first: float = FIRST_TOKEN) -> list[Step]:
    """A model's answer, a word each 30 ms, after the first token's wait."""
    steps: list[Step] = [Wait(first)]
    for word in words.split():
        steps += [f"{word} ", Wait(0.03)]
    return steps[:-1]


def use(tool: str, **arguments: str) -> list[Step]:
    """A model's call of a tool."""
    return [Wait(FIRST_TOKEN), Use(tool, arguments)]


def usual() -> list[list[Step]]:
    """What the model says in the first three turns, in which all is well."""
    return [
        reply(GREETING),
        use("check_stock", item="kettle"),
        reply("Yes, we have three of the kettles left."),
        use("store_hours", day="Saturday"),
        reply("On Saturday we are open from ten to four."),
    ]


def speech(seconds: float, start: float = 0.0) -> list[rtc.AudioFrame]:
    """Sound that is louder and softer as syllables are, four of them a second.

    LiveKit reckons from it how many words were heard of an answer that is cut off."""
    frames = []
    for n in range(round(seconds / FRAME_SECONDS)):
        loudness = abs(math.sin(2 * math.pi * SYLLABLES * (start + n * FRAME_SECONDS) / 2))
        frames += sound(FRAME_SECONDS, level=round(800 + 8_000 * loudness))
    return frames


class Voice(ScriptedTTS):
    """A voice that may be slow to begin, or stop in the middle.

    Args:
        stalls_at: The word before which it stops.
        stalls_for: Seconds; the voice goes on after them.
    """

    def __init__(self, *, stalls_at: str = "", stalls_for: float = 0.0) -> None:
        super().__init__(
            seconds_per_character=1 / LETTERS_A_SECOND, first_byte=FIRST_BYTE, leading_silence=0.1
        )
        self.stalls_at, self.stalls_for = stalls_at, stalls_for
        self._spoken = 0.0

    def speak(self, emitter: tts.AudioEmitter, text: str) -> None:
        seconds = len(text) / LETTERS_A_SECOND
        frames = speech(seconds, self._spoken)
        self._spoken += seconds
        emitter.push(b"".join(bytes(frame.data) for frame in frames))

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        return _VoiceStream(tts=self, conn_options=conn_options)


class _VoiceStream(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        voice = self._tts
        assert isinstance(voice, Voice)
        begun = False
        async for text in self._input_ch:
            if not isinstance(text, str):
                continue  # a flush mark
            if not begun:
                begun = True
                self._mark_started()
                await voice.begin(output_emitter, stream=True)
            if voice.stalls_at and voice.stalls_at in text:
                await asyncio.sleep(voice.stalls_for)
            voice.speak(output_emitter, text)
        if begun:
            output_emitter.end_segment()
            return
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=voice.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )


class Call(Line):
    """A call to the shop, of which each part takes as long as is usual, unless it is said."""

    def __init__(
        self, *sentences: str, thinks: Any, voice: Voice | None = None, **turns: Any
    ) -> None:
        self.sentences = [*sentences]
        heard = [Heard(sentence, interims=[sentence[:8]], delay=0.12) for sentence in sentences]
        super().__init__(
            hears=ScriptedSTT(*heard),
            thinks=thinks,
            speaks=voice or Voice(),
            vad=ScriptedVAD(end=0.35),
            **{"endpointing": {"min_delay": 0.4, "max_delay": 3.0}, **turns},
        )
        # As in a room: an answer that is cut off is remembered as far as it was heard.
        self.words = TranscriptSynchronizer(
            next_in_chain_audio=self.speaker, next_in_chain_text=None
        )
        self.session.output.audio = self.words.audio_output
        self.session.output.transcription = self.words.text_output

    @asynccontextmanager
    async def to(self, agent: Agent) -> AsyncIterator["Call"]:
        async with super().to(agent):
            yield self
        await self.words.aclose()

    async def asks(self, count: int = 1) -> None:
        """The caller says the next sentences, and hears the answer of each."""
        for _ in range(count):
            heard = len(self.speaker.finished)
            await self.speaks(len(self.sentences.pop(0)) / LETTERS_A_SECOND)
            await self.answers(heard + 1)

    async def cuts_in(self, after: float, seconds: float) -> None:
        """The caller makes a sound over the agent, once so much of its answer was heard."""
        self.sentences.pop(0)
        while self.speaker.position < after:
            await asyncio.sleep(0.01)
        await self.speaks(seconds, before=0.0)

    async def held(self, agent: ShopAssistant, **start: Any) -> None:
        """The whole call: the greeting, then each sentence with its answer."""
        async with self.to(agent):
            await self.answers()
            await self.asks(len(self.sentences))

    async def speaks(self, seconds: float, before: float = 0.6) -> None:
        """The caller is heard for so long, and then silent."""
        self.microphone.play([*silence(before), *speech(seconds), *silence(0.5)])
        await self.microphone.heard()


@contextmanager
def cold_process(began_s: float, imported_s: float) -> Iterator[None]:
    """This process as one that LiveKit started for the call.

    Args:
        began_s: When it began, in seconds on the clock of the event loop.
        imported_s: When it had come to import the tracer.
    """
    real = ProcessMoments(this_process.began, this_process.imported)
    this_process.began, this_process.imported = int(began_s * 1e9), int(imported_s * 1e9)
    try:
        yield
    finally:
        this_process.began, this_process.imported = real.began, real.imported
