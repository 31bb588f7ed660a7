"""What the voice really got: the text that the TTS was given, where it differs from the node's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, tts

from prefactor_agent import TracedAgent
from support.line import NO_RETRIES, Line
from support.memory_sink import MemorySink
from support.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, Speaker
from support.tree import JSON, Recorder, check

WORDS = "Sure, I set it to 22 degrees. Is that fine?"
ANSWER = json.dumps({"voice_instruction": "calm", "content": WORDS})
VOICES = pytest.mark.parametrize("streaming", [True, False])


async def content(text: Any) -> AsyncIterator[str]:
    yield json.loads("".join([piece async for piece in text]))["content"]


class Default(TracedAgent):
    """Has LiveKit's own node say one field."""

    def tts_node(self, text: Any, model_settings: Any) -> Any:
        return Agent.default.tts_node(self, content(text), model_settings)


class Own(TracedAgent):
    """Uses the TTS itself."""

    async def tts_node(self, text: Any, model_settings: Any) -> Any:
        voice: Any = self.session.tts
        words = [piece async for piece in content(text)]
        if voice.capabilities.streaming:
            async with voice.stream() as stream:
                for piece in words:
                    stream.push_text(piece)
                stream.end_input()
                async for event in stream:
                    yield event.frame
        else:
            async for event in voice.synthesize("".join(words)):
                yield event.frame


class Another(TracedAgent):
    """Has a TTS of its own, which nobody else knows of."""

    async def tts_node(self, text: Any, model_settings: Any) -> Any:
        async for event in ScriptedTTS().synthesize("".join([one async for one in content(text)])):
            yield event.frame


async def called(agent: Agent, answer: str, voice: ScriptedTTS) -> None:
    line = Line(hears=ScriptedSTT("warmer"), thinks=ScriptedLLM(answer), speaks=voice)
    async with line.to(agent):
        await line.says()
        await line.answers(1)
        await asyncio.sleep(0.2)


def result(sink: Recorder) -> JSON:
    (span,) = [one for one in check(sink) if one["type"] == "livekit:tts"]
    return dict(span["result"])


def seconds_of_sound(found: JSON) -> float:
    return float(found["audio_seconds"] - found["leading_silence_ms"] / 1000)


@VOICES
@pytest.mark.parametrize("agent", [Default, Own])
async def test_the_text_that_the_tts_was_given_is_recorded(
    agent: type[Agent], streaming: bool, sink: Recorder
) -> None:
    voice = ScriptedTTS(streaming=streaming)
    await called(agent(instructions="JSON"), ANSWER, voice)
    found = result(sink)
    assert found["text"] == ANSWER
    assert "".join(found["given_text"].split()) == "".join(WORDS.split())
    spoken = len(WORDS.split())
    assert found["words_per_second"] == pytest.approx(spoken / seconds_of_sound(found), rel=0.05)


@VOICES
async def test_a_text_that_is_the_same_is_not_recorded_twice(
    streaming: bool, sink: Recorder
) -> None:
    await called(TracedAgent(instructions="x"), WORDS, ScriptedTTS(streaming=streaming))
    found = result(sink)
    assert found["text"] == WORDS
    assert "given_text" not in found


async def test_what_a_tts_of_the_nodes_own_was_given_is_unknown(sink: Recorder) -> None:
    await called(Another(instructions="JSON"), ANSWER, ScriptedTTS())
    assert "given_text" not in result(sink)


@pytest.mark.parametrize(
    ("text", "words"),
    [("今天天气很好。我们去公园吧。", 12), ("Twenty-two degrees - fine.", 3)],
)
async def test_words_are_counted_as_livekit_does(text: str, words: int, sink: Recorder) -> None:
    await called(TracedAgent(instructions="x"), text, ScriptedTTS(seconds_per_character=0.1))
    found = result(sink)
    assert found["words_per_second"] == pytest.approx(words / seconds_of_sound(found), rel=0.05)


def observed(voice: tts.TTS) -> set[str]:
    return {"stream", "synthesize"} & set(vars(voice))


async def test_the_tts_is_left_as_it_was_when_the_last_of_its_sessions_is_over(
    sink: MemorySink,
) -> None:
    voice = ScriptedTTS()
    replaced = voice.stream
    voice.stream = replaced  # type: ignore[method-assign]  # a program's own
    sessions: list[AgentSession[Any]] = []
    for _ in range(2):
        session: AgentSession[Any] = AgentSession(
            llm=ScriptedLLM("Hm."), tts=voice, conn_options=NO_RETRIES
        )
        session.output.audio = Speaker()
        await session.start(TracedAgent(instructions="x"))
        await session.say("Hello.")
        sessions.append(session)
    assert observed(voice) == {"stream", "synthesize"}
    await sessions[0].aclose()
    assert observed(voice) == {"stream", "synthesize"}
    await sessions[1].aclose()
    assert observed(voice) == {"stream"}
    assert voice.stream is replaced


async def test_what_others_have_the_tts_say_is_none_of_the_nodes(sink: Recorder) -> None:
    class Busy(TracedAgent):
        async def transcription_node(self, text: Any, model_settings: Any) -> Any:
            voice: Any = self.session.tts
            async for _ in voice.synthesize("something else"):
                pass
            async for piece in text:
                yield piece

    await called(Busy(instructions="x"), WORDS, ScriptedTTS())
    assert "given_text" not in result(sink)
