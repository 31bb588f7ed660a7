"""The scripted parts drive a real session, on every supported version."""

from __future__ import annotations

import asyncio
import math

import pytest
from livekit.agents import Agent, AgentSession, APIError, function_tool
from livekit.agents.voice.agent_session import SessionConnectOptions

from prefactor_agent import TracedAgent, traced_tool
from support.memory_sink import MemorySink
from support.scripted import (
    NO_RETRY,
    Heard,
    Microphone,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Speaker,
    Tokens,
    Use,
    Wait,
    silence,
    sound,
)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_spoken_turn_goes_through_all_scripted_models(
    streaming: bool, sink: MemorySink
) -> None:
    class Helper(TracedAgent):
        @traced_tool
        async def time(self) -> str:
            """What time it is."""
            return "noon"

    model = ScriptedLLM([Use("time")], ["It is ", Wait(0.01), "noon.", Tokens(10, 3)])
    voice = ScriptedTTS(streaming=streaming, seconds_per_character=0.005)
    session: AgentSession[None] = AgentSession(
        stt=ScriptedSTT(Heard("what time is it", ["what", "what time"]), streaming=streaming),
        llm=model,
        tts=voice,
        vad=ScriptedVAD(),
        turn_handling={"turn_detection": "vad", "endpointing": {"min_delay": 0.05}},
    )
    microphone, speaker = Microphone(speed=4), Speaker(speed=4)
    session.input.audio, session.output.audio = microphone, speaker
    await session.start(Helper(instructions="help"))
    microphone.play([*silence(0.2), *sound(0.5), *silence(1)])
    async with asyncio.timeout(10):
        while not speaker.finished:
            await asyncio.sleep(0.01)
    await session.aclose()

    assert "".join(voice.spoken).strip() == "It is noon."
    assert not speaker.finished[0].interrupted
    played = sum(frame.duration for frame in speaker.frames)
    assert math.isclose(speaker.finished[0].playback_position, played, abs_tol=0.001)
    (user,) = sink.of("livekit:user_turn")
    assert sink.plain(user)["result"]["transcript"] == "what time is it"
    assert [sink.plain(s)["result"]["text"] for s in sink.of("livekit:llm")] == ["", "It is noon."]
    assert sink.one("livekit:tool:time")["result"]["outputs"] == {"output": "noon"}
    # Older versions also call the TTS node for the reply that is only a tool call.
    assert sink.plain(sink.of("livekit:tts")[-1])["chunks"]["audio"]["size"]
    assert all(not span.open for span in sink.spans)


async def test_an_interrupted_segment_says_how_much_was_played() -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM(), tts=ScriptedTTS(seconds_per_character=0.1)
    )
    speaker = Speaker()
    session.output.audio = speaker
    await session.start(Agent(instructions="help"))
    speech = session.say("a long sentence, of several seconds")
    async with asyncio.timeout(5):
        while not speaker.frames:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    await session.interrupt()
    await speech
    await session.aclose()
    (ended,) = speaker.finished
    assert ended.interrupted
    assert 0.15 < ended.playback_position < 1.0


async def test_errors_are_raised_where_the_script_says() -> None:
    failing = ScriptedLLM([APIError("no", retryable=True)], ["so ", APIError("then")], ["well"])
    session: AgentSession[None] = AgentSession(
        llm=failing, conn_options=SessionConnectOptions(llm_conn_options=NO_RETRY)
    )
    await session.start(Agent(instructions="help"))
    for _ in range(3):
        await session.generate_reply(user_input="go on")
    await session.aclose()
    assert len(failing.requests) == 3
    assert session.history.items[-1].type == "message"
    assert session.history.items[-1].text_content == "well"


def test_the_same_tool_is_a_tool_of_livekits() -> None:
    @function_tool
    async def plain() -> None: ...

    assert type(traced_tool(plain)) is type(plain)
