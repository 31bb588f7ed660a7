"""An agent that overrides all four nodes, traced as it is.

An override is traced once, together with what it calls through `super()` or `Agent.default`: the
spans say what went into your node and what came out of it. Run it against a LiveKit server with
`python samples/custom_nodes.py dev`.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    ModelSettings,
    TurnHandlingOptions,
    cli,
    llm,
    stt,
    vad,
)
from livekit.plugins import openai, silero

from prefactor_agent import TracedAgent

FILLERS = re.compile(r"\b(?:um+|uh+|erm)\b[,.]?\s*", re.IGNORECASE)
SPOKEN = {"approx.": "approximately", "e.g.": "for example", "&": "and"}
DIGITS = re.compile(r"\d(?=(?:\D*\d){4})")
HISTORY = 12


class CarefulAgent(TracedAgent):
    """Hears past the ums, thinks of the last few turns, reads out abbreviations, and hides all but
    the last four digits of a number on the screen."""

    def __init__(self) -> None:
        super().__init__(instructions="You help customers of a bank. Be brief and friendly.")

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterator[stt.SpeechEvent]:
        """What was heard, without the ums."""
        async for event in Agent.default.stt_node(self, audio, model_settings):
            if isinstance(event, stt.SpeechEvent):
                for heard in event.alternatives:
                    heard.text = FILLERS.sub("", heard.text)
                yield event

    async def llm_node(
        self,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        model_settings: ModelSettings,
    ) -> AsyncIterator[llm.ChatChunk | str]:
        """What the model answers to the last few turns; a long history costs time."""
        recent = chat_ctx.copy().truncate(max_items=HISTORY)
        async for chunk in Agent.default.llm_node(self, recent, tools, model_settings):
            if isinstance(chunk, llm.ChatChunk | str):
                yield chunk

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterator[rtc.AudioFrame]:
        """The voice, which is given words in the place of abbreviations."""
        async for frame in super().tts_node(_read_out(text), model_settings):  # type: ignore[union-attr]
            yield frame

    async def transcription_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterator[str]:
        """What is shown, with the numbers hidden."""
        shown = super().transcription_node(_whole_words(text), model_settings)
        async for words in shown:  # type: ignore[union-attr]
            yield DIGITS.sub("•", words)


async def _whole_words(text: AsyncIterable[str]) -> AsyncIterator[str]:
    """The same text, cut between words only: a chunk can end in the middle of one."""
    held = ""
    async for chunk in text:
        whole, space, held = (held + chunk).rpartition(" ")
        if space:
            yield whole + space
    if held:
        yield held


async def _read_out(text: AsyncIterable[str]) -> AsyncIterator[str]:
    async for words in _whole_words(text):
        for written, spoken in SPOKEN.items():
            words = words.replace(written, spoken)
        yield words


def new_session(voice_activity: vad.VAD) -> AgentSession[None]:
    """The models of a call."""
    return AgentSession(
        stt=openai.STT(),
        llm=openai.LLM(),
        tts=openai.TTS(),
        vad=voice_activity,
        turn_handling=TurnHandlingOptions(turn_detection="vad", interruption={"mode": "vad"}),
    )


server = AgentServer()


@server.rtc_session()
async def answer(job: JobContext) -> None:
    """Answer one call."""
    await new_session(silero.VAD.load()).start(agent=CarefulAgent(), room=job.room)


if __name__ == "__main__":
    cli.run_app(server)
