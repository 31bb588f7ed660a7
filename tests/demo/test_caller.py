"""The scripted caller's microphone and ear keep real time, as LiveKit's rooms do."""

import asyncio
import time

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent

from prefactor_agent.demo.caller import EAR_RATE, FRAME, CallerEar, CallerMicrophone
from prefactor_agent.demo.recording import Track, stereo


def frame(seconds: float, value: int = 1000) -> rtc.AudioFrame:
    count = round(seconds * EAR_RATE)
    return rtc.AudioFrame(np.full(count, value, np.int16).tobytes(), EAR_RATE, 1, count)


class Heard:
    """An ear, and what it reported."""

    def __init__(self) -> None:
        self.ear = CallerEar()
        self.started = 0
        self.finished: list[PlaybackFinishedEvent] = []
        self.ear.on("playback_started", self._on_started)
        self.ear.on("playback_finished", self.finished.append)

    def _on_started(self, _event: object) -> None:
        self.started += 1


async def test_the_microphone_does_not_drift():
    microphone = CallerMicrophone()
    started = time.monotonic()
    for number in range(30):
        await microphone.__anext__()
        if number == 10:
            await asyncio.sleep(0.1)  # a consumer that is late for once
    assert time.monotonic() - started == pytest.approx(30 * FRAME, abs=0.001)
    times = [at for at, _ in microphone.track.pieces]
    assert np.allclose(np.diff(times), FRAME)


async def test_the_microphone_is_quiet_until_it_speaks():
    microphone = CallerMicrophone()

    async def record() -> None:
        async for _ in microphone:
            pass

    recording = asyncio.create_task(record())
    await asyncio.sleep(0.2)
    quiet = time.monotonic()
    async with asyncio.timeout(20):
        await microphone.speak("Hello.")
    recording.cancel()
    started = microphone.track.pieces[0][0]
    silence = microphone.track.between(started, quiet - 0.05).samples.astype(float)
    assert -75 < 20 * np.log10(np.sqrt(np.mean(silence**2)) / 32768) < -65
    speech = microphone.track.between(quiet, time.monotonic()).samples.astype(float)
    assert np.abs(speech).max() > 3000


async def test_plays_to_the_end_in_real_time():
    heard = Heard()
    started = time.monotonic()
    for _ in range(3):
        await heard.ear.capture_frame(frame(0.1))  # faster than real time
    heard.ear.flush()
    event = await heard.ear.wait_for_playout()
    assert time.monotonic() - started == pytest.approx(0.3, abs=0.001)
    assert (event.playback_position, event.interrupted) == (pytest.approx(0.3), False)
    assert (heard.started, len(heard.finished)) == (1, 1)
    assert heard.ear.track.seconds == pytest.approx(0.3)


@pytest.mark.parametrize("flushed", [True, False])
async def test_an_interruption_stops_at_the_true_position(flushed: bool):
    heard = Heard()
    await heard.ear.capture_frame(frame(5.0))
    if flushed:
        heard.ear.flush()
    await asyncio.sleep(0.2)
    heard.ear.clear_buffer()
    if not flushed:
        await heard.ear.capture_frame(frame(5.0))  # too late to be heard
        heard.ear.flush()
    event = await heard.ear.wait_for_playout()
    assert event.interrupted
    assert event.playback_position == pytest.approx(0.2, abs=0.001)
    assert heard.ear.track.seconds == pytest.approx(event.playback_position)


async def test_a_pause_is_not_heard():
    heard = Heard()
    started = time.monotonic()
    await heard.ear.capture_frame(frame(0.2))
    heard.ear.flush()
    heard.ear.pause()
    position = heard.ear.position
    await asyncio.sleep(0.3)
    assert heard.ear.position == position
    heard.ear.resume()
    event = await heard.ear.wait_for_playout()
    assert time.monotonic() - started == pytest.approx(0.5, abs=0.001)
    assert event.playback_position == pytest.approx(0.2)
    assert heard.started == 1


async def test_two_answers_follow_each_other():
    heard = Heard()
    for _ in range(2):
        await heard.ear.capture_frame(frame(0.1))
        heard.ear.flush()
    await heard.ear.wait_for_playout()
    assert [event.playback_position for event in heard.finished] == [pytest.approx(0.1)] * 2
    first, second = heard.ear.track.pieces[0][0], heard.ear.track.pieces[-1][0]
    assert second - first == pytest.approx(0.1, abs=0.001)


async def test_clearing_and_flushing_nothing_reports_nothing():
    heard = Heard()
    heard.ear.clear_buffer()
    heard.ear.flush()
    await asyncio.sleep(0.01)
    assert (heard.started, heard.finished) == (0, [])


def test_a_stereo_recording_keeps_both_times():
    caller, agent = Track(16_000), Track(24_000)
    caller.add(100.0, np.full(16_000, 500, np.int16))
    agent.add(102.0, np.full(24_000, 700, np.int16))
    both = stereo(caller, agent, 99.5, 103.5)
    loud = [np.flatnonzero(np.abs(column) > 250) / 24_000 for column in both.T]
    assert (loud[0][0], loud[0][-1]) == (pytest.approx(0.5, abs=0.01), pytest.approx(1.5, abs=0.01))
    assert (loud[1][0], loud[1][-1]) == (pytest.approx(2.5, abs=0.01), pytest.approx(3.5, abs=0.01))
    assert len(both) == 4 * 24_000
