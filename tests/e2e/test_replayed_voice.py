"""A recorded call, played with the caller's own voice to a real VAD and a real STT."""

import asyncio
from pathlib import Path

import pytest
from livekit.agents import AgentSession, TurnHandlingOptions
from livekit.plugins import openai, silero

from prefactor_agent import configure, flush
from prefactor_agent.demo.call import run_call
from prefactor_agent.demo.script import GOODBYE, RETURN, WHERE, Line
from prefactor_agent.demo.server import OfflineOpenAI
from prefactor_agent.demo.shop import ShopAssistant
from prefactor_agent.testing import collecting, replay
from prefactor_agent.tracing import tracer
from view.commandline import run

LINES = (Line(WHERE), Line(RETURN), Line(GOODBYE, after="talking", breath=1.5))
EDGE_US = 20_000
"""By how much Opus moves the end of a sound, and the levels of the trace that tell of it."""


async def test_the_turns_come_out_where_they_were(tmp_path: Path) -> None:
    tracer.send_to(None)  # the user's own way: into the journal
    configure(keep_audio=True)
    async with OfflineOpenAI() as server:
        held = await run_call(server=server, lines=LINES)
        assert held.heard == [line.text for line in LINES]
        assert await asyncio.to_thread(flush, 10)
        file, voice = tmp_path / "call.json", tmp_path / "call.ogg"
        for format_, to in (("replay", file), ("ogg", voice)):
            done = run("export", "--format", format_, "-o", to, journal=tmp_path / "journal.db")
            assert done.returncode == 0, done.stderr
        call = replay(file, voice=voice, words="any")
        heard_before = len(server.heard)
        session = AgentSession[None](
            stt=openai.STT(base_url=server.base_url, api_key="offline"),
            llm=call.llm,
            tts=call.tts,
            vad=await asyncio.to_thread(silero.VAD.load),
            turn_handling=TurnHandlingOptions(turn_detection="vad", interruption={"mode": "vad"}),
        )
        with collecting() as trace:
            await call.run(session, ShopAssistant())
        assert server.heard[heard_before:] == held.heard
    for turn, then in zip(
        replay(trace.calls[0].spans).recording.turns, call.recording.turns, strict=True
    ):
        assert turn.text == then.text
        assert turn.speech_ended_us == pytest.approx(then.speech_ended_us, abs=EDGE_US)
        assert (turn.over_us is None) == (then.over_us is None)
    assert [turn.assistant.interrupted for turn in trace.turns] == [False, False, True, False]
