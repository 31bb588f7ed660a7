"""What it costs to record a call's sound, in CPU time.

`PYTHONPATH=tests python -m benchmarks.recording`: a traced call in real time, a caller who speaks
and an agent who answers, once with a recording and once without, each in a process of its own and
both at the same time, so that what else the machine does costs both the same."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from livekit import rtc
from rich.console import Console
from rich.table import Table

from prefactor_agent import TracedAgent, configure, flush
from prefactor_agent.journal.reader import Journal
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS

SECONDS = 40
PAIRS = 5
RATE = 24_000
_FRAME = RATE // 50
_TURN_S = 10
"""The caller speaks for three seconds of them, the agent for four."""


class Cost(NamedTuple):
    cpu_s: float
    thread_s: float
    """Of it, the recording's own thread."""
    kilobytes: float


def caller(seconds: float) -> list[rtc.AudioFrame]:
    """Frames of 20 ms, as a room gives them: something like a voice, and the noise of a room."""
    chance = np.random.default_rng(1)
    times = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * 140 * n * times) / n for n in range(1, 20))
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * times)
    sound = 3_000 * voice * syllables * (times % _TURN_S < 3) + chance.normal(0, 20, len(times))
    samples = sound.astype(np.int16)
    frames = range(0, len(samples) - _FRAME + 1, _FRAME)
    return [rtc.AudioFrame(samples[at : at + _FRAME].tobytes(), RATE, 1, _FRAME) for at in frames]


async def hold(seconds: float) -> tuple[float, float]:
    """Hold the call; returns the CPU time of the process, and of the recording's thread."""
    turns = round(seconds / _TURN_S)
    line = Line(
        hears=ScriptedSTT(*["words"] * turns),
        thinks=ScriptedLLM(*["An answer of four seconds. " * 15] * turns),
        speaks=ScriptedTTS(rate=RATE),
    )
    frames = caller(seconds)
    async with line.to(TracedAgent(instructions="x")):
        begun = time.process_time()
        line.microphone.play(frames)
        await line.microphone.heard()
        thread = of_recording()
        used = time.process_time() - begun
    return used, thread


def of_recording() -> float:
    """The CPU time of the recording's thread so far; 0 if there is none."""
    for thread in threading.enumerate():
        if thread.name == "prefactor-recording" and thread.ident is not None:
            return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return 0.0


def work(keep_audio: bool) -> None:
    """One process: print its cost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        configure(journal=path, keep_audio=keep_audio)
        used, thread = asyncio.run(hold(SECONDS))
        flush(10)
        journal = Journal(path)
        found = journal.recording(journal.find())
        journal.close()
        print(json.dumps([used, thread, found.bytes / 1000 if found else 0.0]))


def pair() -> tuple[Cost, Cost]:
    """Both at the same time: without and with."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.recording", "--work", which], stdout=subprocess.PIPE
        )
        for which in ("without", "with")
    ]
    without, with_ = (
        Cost(*json.loads(process.communicate()[0].splitlines()[-1])) for process in processes
    )
    return without, with_


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2] == "with")
        return
    pairs = [pair() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)]
    minute = 60 / SECONDS
    table = Table("CPU of a call-minute", "without", "with", "added, of a core")
    without, with_ = (
        statistics.median(one.cpu_s for one in column) for column in zip(*pairs, strict=True)
    )
    added = statistics.median(with_.cpu_s - without.cpu_s for without, with_ in pairs) / SECONDS
    thread = statistics.median(one.thread_s for _, one in pairs)
    size = statistics.median(one.kilobytes for _, one in pairs)
    table.add_row(
        "the process", f"{without * minute:.2f} s", f"{with_ * minute:.2f} s", f"{added:.2%}"
    )
    table.add_row(
        "the recording's thread", "", f"{thread * minute:.2f} s", f"{thread / SECONDS:.2%}"
    )
    table.add_row("the file", "", f"{size * minute:.0f} kB", "")
    Console().print(table)


if __name__ == "__main__":
    main()
