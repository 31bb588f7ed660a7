"""An echo in a spoken call: the agent's own voice comes back through the caller's microphone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import tts

from prefactor_agent import TracedAgent
from record.audio.test_echo import speech
from support.line import HandSTT, Line
from support.scripted import ScriptedTTS, silence, sound
from support.tree import Recorder, check

DELAY_MS = 200
WORDS = "The agent speaks for three and a half seconds."
LEVELS = speech(3.6, 21)


def frames(quieter: float = 0.0) -> list[rtc.AudioFrame]:
    """The voice as frames of 10 ms, so many dB quieter than it is."""
    return [
        sound(0.01, level=max(1, round(32_768 * 10 ** ((level - quieter) / 20))))[0]
        for level in LEVELS
        for _ in range(2)
    ]


class Voice(ScriptedTTS):
    """Speaks once, with the loudness of a voice."""

    said = False

    def speak(self, emitter: tts.AudioEmitter, text: str) -> None:
        if not self.said:  # a text can come in pieces
            emitter.push(b"".join(bytes(frame.data) for frame in frames()))
        self.said = True


class Caller(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="x")


async def talk(comes_back: list[rtc.AudioFrame]) -> None:
    line = Line(hears=HandSTT(), speaks=Voice(), interruption={"min_duration": 30.0})
    async with line.to(Caller()):
        line.microphone.play(silence(0.3))
        await line.microphone.heard()
        started: asyncio.Future[None] = asyncio.Future()
        line.speaker.on("playback_started", lambda _: started.set_result(None))
        handle = line.session.say(WORDS)
        await started
        line.microphone.play([*silence(DELAY_MS / 1000), *comes_back, *silence(0.3)])
        await handle.wait_for_playout()


def results(sink: Recorder) -> tuple[dict[str, Any], dict[str, Any]]:
    (turn,) = (sink.plain(span)["result"] for span in sink.of("livekit:assistant_turn"))
    (call,) = (sink.plain(span)["result"] for span in sink.of("livekit:session"))
    return turn, call


async def test_the_agents_voice_is_heard_again(sink: Recorder) -> None:
    await talk(frames(quieter=12.0))
    check(sink)
    turn, call = results(sink)
    echo = turn["echo"]
    assert echo["correlation"] > 0.85
    assert echo["delay_ms"] == pytest.approx(DELAY_MS, abs=80)  # both ends are in real time
    assert echo["attenuation_db"] == pytest.approx(12.0, abs=1.0)
    assert call["sound"]["echo"] == {
        "turns": 1,
        "of_turns": 1,
        "delay_ms": echo["delay_ms"],
        "attenuation_db": echo["attenuation_db"],
    }


async def test_a_caller_who_speaks_meanwhile_is_no_echo(sink: Recorder) -> None:
    own = speech(3.4, 99)
    await talk(
        [
            sound(0.01, level=round(32_768 * 10 ** (level / 20)))[0]
            for level in own
            for _ in range(2)
        ]
    )
    turn, call = results(sink)
    assert "echo" not in turn
    assert "sound" not in call
