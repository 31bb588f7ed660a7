"""A recording that is written, or cannot be."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prefactor_agent.core import clock
from prefactor_agent.journal.reader import Journal
from prefactor_agent.record.recording import file, played, writer
from prefactor_agent.record.recording.writer import RecordingWriter
from prefactor_agent.stored import recording
from support import recordings
from support.waiting import until

SECOND = 1_000_000_000
RATE = 16_000


class Buffer(bytearray):
    """What a frame holds, which can be seen to be let go."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@lru_cache
def wave(seconds: float, level: int, rate: int, channels: int) -> bytes:
    times = np.arange(round(seconds * rate))
    return np.repeat(np.where(times % 32 < 16, level, -level).astype(np.int16), channels).tobytes()


def frame(seconds: float, level: int = 8_000, rate: int = RATE, channels: int = 1) -> Any:
    data = Buffer(wave(seconds, level, rate, channels))
    return SimpleNamespace(
        data=memoryview(data).cast("h"), sample_rate=rate, num_channels=channels, buffer=data
    )


class Time:
    """The clock of a writer without a thread, which looks whenever it is told to."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.zero = clock.now_ns()
        monkeypatch.setattr(writer, "now_ns", lambda: self.now)
        monkeypatch.setattr(threading.Thread, "start", lambda _: None)
        self.writer = RecordingWriter(path)
        self.path = path

    def at(self, seconds: float) -> int:
        return self.zero + round(seconds * SECOND)

    def looks(self, seconds: float) -> None:
        self.now = self.at(seconds)
        self.writer._write(self.writer._settled(self.writer._take()))

    def ends(self, seconds: float) -> None:
        self.now = self.at(seconds)
        self.writer.end()
        self.writer._run()


@pytest.fixture
def time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(tmp_path / "audio" / "call.ogg", monkeypatch)


def heard(time: Time) -> tuple[recordings.Sounds, recordings.Sounds]:
    found = recording.read(time.path)
    assert found is not None
    session: Any = SimpleNamespace(started_us=clock.to_unix_us(time.zero))
    return recordings.heard(found, session)


def near(*sounds: tuple[float, float]) -> list[Any]:
    return [pytest.approx(sound, abs=0.012) for sound in sounds]


def test_a_voice_of_both_is_where_it_was_heard_and_played(time: Time) -> None:
    put = time.writer
    for tenth in range(30):
        put.hear(frame(0.1, 8_000 if 5 <= tenth < 10 else 0), time.at(tenth / 10 + 0.1))
    put.speak(frame(0.5), time.at(1.0))
    put.playback("started", time.at(1.5), None)
    put.playback("finished", time.at(2.0), 0.5)
    time.looks(2.5)
    time.ends(3.0)
    assert heard(time) == (near((0.5, 1.0)), near((1.5, 2.0)))
    written = put.result()
    assert written is not None
    assert (written.seconds, written.missing_s, written.error) == (3.0, 0.0, None)


def test_of_a_frame_with_two_channels_both_are_heard(time: Time) -> None:
    time.writer.hear(frame(0.2, 0), time.at(0.2))
    time.writer.hear(frame(0.5, channels=2), time.at(0.7))
    time.ends(1.0)
    assert heard(time)[0] == near((0.2, 0.7))


def test_what_was_cut_short_ends_where_the_player_says(time: Time) -> None:
    """Also if that is known a moment after it was heard."""
    put = time.writer
    put.speak(frame(5.0), time.at(0))
    put.playback("started", time.at(0), None)
    time.looks(1.2)
    put.playback("finished", time.at(1.3), 1.0)
    put.speak(frame(0.5), time.at(1.4))
    put.playback("started", time.at(2.0), None)
    time.looks(1.6)
    time.looks(2.8)
    time.ends(3.0)
    assert heard(time)[1] == near((0, 1.0), (2.0, 2.5))


def test_a_voice_waits_while_it_pauses_and_for_frames_that_come_late(time: Time) -> None:
    put = time.writer
    put.speak(frame(1.0), time.at(0))
    put.playback("started", time.at(0), None)
    put.playback("paused", time.at(0.4), None)
    time.looks(1.0)
    put.playback("resumed", time.at(1.4), None)
    time.looks(2.0)
    put.speak(frame(0.5), time.at(2.5))
    time.looks(3.0)
    put.playback("finished", time.at(3.0), 1.5)
    time.ends(3.5)
    assert heard(time)[1] == near((0, 0.4), (1.4, 2.0), (2.5, 3.0))


def test_a_caller_who_was_held_up_is_not_cut_where_the_first_of_it_arrives(time: Time) -> None:
    """The event loop was busy for a second, and then takes a while to hand over what had come."""
    put = time.writer
    for tenth in range(10):
        put.hear(frame(0.1, 8_000 if tenth >= 5 else 0), time.at(tenth / 10 + 0.1))
    time.looks(1.0)
    for late in range(5):
        put.hear(frame(0.1), time.at(2.0 + late / 100))
    time.looks(2.06)
    for late in range(5, 10):
        put.hear(frame(0.1), time.at(2.1 + late / 100))
    time.looks(2.3)
    for tenth in range(21, 30):
        put.hear(frame(0.1), time.at(tenth / 10 + 0.1))
    time.looks(3.0)
    time.ends(3.5)
    assert heard(time)[0] == near((0.5, 3.0))
    written = put.result()
    assert written is not None and written.missing_s == 0


def test_a_voice_waits_where_the_output_had_run_dry(time: Time) -> None:
    """What it was given in time lay there: the event loop was held up."""
    put = time.writer
    put.speak(frame(1.0), time.at(0))
    put.playback("started", time.at(0), None)
    put.playback("waited", time.at(0.7), 0.4)
    time.looks(1.0)
    put.playback("waited", time.at(1.5), 0.75)
    time.looks(1.6)
    put.playback("finished", time.at(1.8), 1.0)
    time.ends(2.5)
    assert heard(time)[1] == near((0, 0.4), (0.7, 1.05), (1.5, 1.75))


def test_a_voice_that_was_given_up_before_it_was_played_is_not_heard(time: Time) -> None:
    put = time.writer
    put.speak(frame(1.0), time.at(0))
    put.flush()
    put.speak(frame(0.3), time.at(0.5))
    put.playback("started", time.at(1.0), None)
    time.ends(3.0)
    assert heard(time)[1] == near((1.0, 1.3))


def test_what_is_hidden_is_silence_in_both_channels(time: Time) -> None:
    put = time.writer
    put.speak(frame(3.0), time.at(0))
    put.playback("started", time.at(0), None)
    for tenth in range(30):
        put.hear(frame(0.1), time.at(tenth / 10 + 0.1))
        if tenth == 9:
            put.hide(time.at(1.0))
        if tenth == 19:
            put.show(time.at(2.0))
    time.ends(3.0)
    assert heard(time) == (near((0, 1.0), (2.0, 3.0)), near((0, 1.0), (2.0, 3.0)))


def test_two_hours_wait_in_little_memory(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere:
        samples = 0

        def __init__(self, *_: Any) -> None:
            pass

        def write(self, block: Any) -> None:
            self.samples += block.shape[1]

        def close(self) -> None:
            pass

    monkeypatch.setattr(writer, "RecordingFile", Nowhere)
    put, waiting, most = time.writer, weakref.WeakSet[Buffer](), 0
    for second in range(7_200):
        now = second + 1.0
        said = frame(1.0, rate=48_000)
        waiting.add(said.buffer)
        put.hear(said, time.at(now))
        if second % 20 == 0:  # an answer of ten seconds, made at once
            put.speak(made := frame(10.0, rate=48_000), time.at(now))
            waiting.add(made.buffer)
            put.playback("started", time.at(now), None)
        if second % 20 == 10:
            put.playback("finished", time.at(now), 10.0)
        del said
        time.looks(now)
        most = max(most, len(waiting))
    time.ends(7_201)
    assert most < 8, "seconds of sound"
    written = put.result()
    assert written is not None and written.seconds == pytest.approx(7_200, abs=1.1)
    assert written.missing_s == 0


def test_a_voice_that_is_too_far_ahead_is_cut_and_that_is_said(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, most = time.writer, 3
    monkeypatch.setattr(played, "MOST_NS", most * SECOND)
    for _ in range(most + 6):
        put.speak(frame(1.0, rate=8_000), time.at(0))
    put.playback("started", time.at(0), None)
    time.looks(1.0)
    put.speak(frame(1.0, rate=8_000), time.at(0))  # there would be room again
    time.looks(most + 8)
    time.ends(most + 9)
    (sound,) = heard(time)[1]
    assert sound[1] == pytest.approx(most, abs=0.03)
    written = put.result()
    assert written is not None and written.missing_s == pytest.approx(7)


def test_a_full_disk_costs_the_recording_and_one_line(
    time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left, write = 12_000, os.write

    def fills(fd: int, data: Any) -> int:
        nonlocal left
        if len(data) > left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left -= len(data)
        return write(fd, data)

    monkeypatch.setattr(file.os, "write", fills)
    put = time.writer
    for tenth in range(100):
        put.hear(frame(0.1), time.at(tenth / 10 + 0.1))
    with caplog.at_level(logging.WARNING):
        time.ends(10.0)
        put.hear(frame(0.1), time.at(10.1))
    (line,) = caplog.messages
    assert line.startswith("the recording of the call ends here (OSError: [Errno 28] No space left")
    written = put.result()
    assert written is not None and written.error is not None and "No space" in written.error
    found = recording.read(time.path)
    assert found is not None and 0.5 < found.duration_s < 5, "what was written before plays"
    assert recordings.decode(time.path)[0].shape[1] > 0
    assert not put._put, "nothing waits any more"


@pytest.mark.parametrize("broken", ["folder", "encoder", "thread"])
def test_a_recording_that_cannot_begin_costs_one_line(
    broken: str, time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't")

    if broken == "folder":
        time.path.parent.write_text("a file is in its place")
    elif broken == "encoder":
        monkeypatch.setattr(file.av, "open", fails)
    else:
        monkeypatch.setattr(threading.Thread, "start", fails)
        time.writer.start()
    time.writer.hear(frame(1.0), time.at(1.0))
    if broken != "thread":
        time.ends(2.0)
    written = time.writer.result()
    assert written is not None and written.begins_ns is None and written.error
    assert len(caplog.messages) == 1


CALL = """
    import asyncio, sys
    from prefactor_agent import TracedAgent, configure
    from support.line import Line
    from support.scripted import ScriptedLLM, ScriptedSTT, silence, sound

    configure(journal=sys.argv[1], keep_audio=True)

    async def main():
        line = Line(hears=ScriptedSTT("words"), thinks=ScriptedLLM("An answer. " * 200))
        async with line.to(TracedAgent(instructions="x")):
            line.microphone.play([*silence(0.3), *sound(0.4), *silence(60)])
            await asyncio.sleep(2.5)
            print("speaks", flush=True)
            await asyncio.sleep(60)

    asyncio.run(main())
"""


def test_a_killed_process_leaves_a_recording_that_plays_up_to_its_last_second(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "journal.db"
    here = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CALL), str(journal)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), *sys.path])},
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "speaks\n"
    until(lambda: recording.folder(journal).exists())
    os.kill(process.pid, signal.SIGKILL)
    killed_us = clock.to_unix_us(clock.now_ns())
    process.wait()
    process.stdout.close()
    source = Journal(journal)
    call = source.find()
    (root, *_), found = source.call(call), source.recording(call)
    source.close()
    assert root.status == "active" and found is not None
    assert found.begins_us + found.duration_s * 1e6 > killed_us - 1_500_000
    caller, agent = recordings.heard(found, root)
    assert len(caller) == len(agent) == 1
    assert caller[0][1] < agent[0][0] < agent[0][1]
