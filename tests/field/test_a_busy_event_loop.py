"""An event loop that is held up while the voice is on its way to a room: what the caller hears is
later than the voice, and has holes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice import io

from prefactor_agent import TracedAgent, configure, flush
from prefactor_agent.core import guard
from prefactor_agent.core.clock import to_unix_us
from prefactor_agent.journal.reader import Journal
from prefactor_agent.record.turns.playback import Playback
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.tracing import tracer
from support import recordings
from support.line import Line, until
from support.room_output import RoomOutput
from support.scripted import ScriptedLLM, ScriptedSTT, is_sound, silence, sound
from support.seams import broken

RATE = 24_000
HELD_UP_S = 0.18
NEAR_US = 60_000
"""A third of what the loop is held up for."""

tells_of_runs = pytest.mark.skipif(
    not hasattr(io, "PlaybackProgressedEvent"),
    reason="this LiveKit's output does not tell when it has run dry",
)


class Busy(TracedAgent):
    """Speaks after 0.1 s of silence, for 1.2 s. What runs beside it holds the event loop up.

    Args:
        after: How many frames of the voice, of 10 ms each, have passed when it does.
    """

    def __init__(self, after: set[int]) -> None:
        super().__init__(instructions="x")
        self._after = after

    async def tts_node(self, text: Any, model_settings: Any) -> AsyncIterator[rtc.AudioFrame]:
        async for _ in text:
            pass
        for count, frame in enumerate([*silence(0.1, rate=RATE), *sound(1.2, rate=RATE)]):
            if count >= 8:
                await asyncio.sleep(0.008)  # hardly faster than it is played
            if count in self._after:
                asyncio.get_running_loop().call_soon(time.sleep, HELD_UP_S)
            yield frame


async def hold(tmp_path: Path, agent: Busy) -> tuple[list[StoredSpan], Any, RoomOutput]:
    tracer.send_to(None)
    configure(keep_audio=True)
    line, output = Line(hears=ScriptedSTT("words"), thinks=ScriptedLLM("A.")), RoomOutput(RATE)
    finished: list[Any] = []
    output.on("playback_finished", finished.append)
    line.session.output.audio = output
    await output.start()
    async with line.to(agent):
        await line.says()
        await until(lambda: finished)
        await asyncio.sleep(0.5)
    await output.aclose()
    assert await asyncio.to_thread(flush, 10)
    source = Journal(tmp_path / "journal.db")
    call = source.find()
    spans, recording = source.call(call), source.recording(call)
    source.close()
    return spans, recording, output


def holes(output: RoomOutput) -> list[tuple[int, int]]:
    """When the output had nothing to play, and how long."""
    found, over = [], None
    for begins, frame in output.played():
        if over is not None and begins - over > 1_000_000:
            found.append((to_unix_us(over), (begins - over) // 1000))
        over = begins + round(frame.duration * 1e9)
    return found


def first_sound(output: RoomOutput) -> int:
    for begins, frame in output.played():
        if is_sound(frame):
            loud = int(np.argmax(np.abs(np.frombuffer(frame.data, np.int16)) > 500))
            return to_unix_us(begins + loud * 1_000_000_000 // RATE)
    raise AssertionError("nothing was played")


@pytest.mark.real_time  # the room's source has a clock of its own
@tells_of_runs
@pytest.mark.parametrize("after", [{3}, {9}, {40}, {3, 60}], ids=str)
async def test_the_trace_has_what_was_played_when_it_was(tmp_path: Path, after: set[int]) -> None:
    spans, recording, output = await hold(tmp_path, Busy(after))
    (answer,) = (span for span in spans if span.type == "livekit:assistant_turn")
    zero = spans[0].started_us
    latency = answer.result["latency"]
    heard = zero + latency["at_us"] + latency["perceived_ms"] * 1000
    truth = first_sound(output)
    assert heard == pytest.approx(truth, abs=NEAR_US)
    (segment,) = answer.result["segments"]
    told = sum(wait["ms"] for wait in segment.get("waits", [])) * 1000
    assert told == pytest.approx(sum(us for _, us in holes(output)), abs=NEAR_US)
    (_, drawn), (_, recorded) = recordings.traced(spans), recordings.heard(recording, spans[0])
    assert zero + drawn[0][0] * 1e6 == pytest.approx(truth, abs=NEAR_US)
    assert zero + recorded[0][0] * 1e6 == pytest.approx(truth, abs=NEAR_US)
    for here, there in zip(drawn, recorded, strict=True):
        assert here == pytest.approx(there, abs=NEAR_US / 1e6)


@pytest.mark.real_time
@tells_of_runs
async def test_what_fails_does_not_reach_the_call(tmp_path: Path) -> None:
    with broken(Playback._on_progressed):
        spans, _, output = await hold(tmp_path, Busy({9}))
    (answer,) = (span for span in spans if span.type == "livekit:assistant_turn")
    assert not answer.result["interrupted"]
    assert sum(frame.duration for _, frame in output.played()) == pytest.approx(1.3)
    assert guard.failures
