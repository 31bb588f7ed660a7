"""Holds several calls on one worker for minutes, with tracing and without.

`make soak`, or `python -m benchmarks.soak CALLERS MINUTES` with `tests` on PYTHONPATH. A real
LiveKit server and worker run, with a process for each call. Afterwards it checks each trace, and
prints the memory of each process after its greeting and before its end.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table
from samples.offline import livekit_binary
from samples.offline.phone import CallFailedError

from prefactor_agent.demo.script import CANCEL, KETTLE, WHERE
from prefactor_agent.demo.terminal import quiet
from support.livekit import Site, Worker, trace_of

PATIENCE = 90.0
BREATH = 0.3


@dataclass
class Memory:
    """The memory of one process in MiB that it shares with no other. (The shares of common memory
    grow when one of the processes ends.)"""

    name: str
    start: float
    end: float = 0.0
    turns: int = 0


def used(pid: int) -> float:
    return float(psutil.Process(pid).memory_full_info().uss) / 2**20


async def hold(site: Site, worker: Worker, room: str, seconds: float) -> tuple[Memory, list[str]]:
    """Be one caller, who asks until the time is over. Returns what was said."""
    questions = itertools.cycle([WHERE, KETTLE, CANCEL])
    said: list[str] = []
    async with await site.phone(room) as phone:
        await phone.answered(PATIENCE)
        pid = worker.job_process(room)
        memory = Memory(room, used(pid))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(BREATH)
            said.append(next(questions))
            await phone.say(said[-1])
            await phone.answered(PATIENCE)
        memory.end, memory.turns = used(pid), len(said)
        if phone.understood != said:
            raise CallFailedError(f"{room}: {phone.understood} was understood of {said}")
    return memory, said


async def soak(site: Site, worker: Worker, callers: int, seconds: float) -> dict[str, list[str]]:
    """Run all callers at once; prints the memory, returns what was said in each room."""
    pid = worker.program.pid
    own = Memory("worker", used(pid))
    rooms = [f"soak-{number + 1}" for number in range(callers)]
    held = await asyncio.gather(*(hold(site, worker, room, seconds) for room in rooms))
    own.end = used(pid)
    table = Table("process", "turns", "MiB at the start", "MiB at the end", "grown")
    for memory in (own, *(memory for memory, _ in held)):
        grown = memory.end - memory.start
        turns = str(memory.turns or "")
        table.add_row(
            memory.name, turns, f"{memory.start:.1f}", f"{memory.end:.1f}", f"{grown:+.1f}"
        )
    Console().print(table)
    return {room: said for room, (_, said) in zip(rooms, held, strict=True)}


def check(site: Site, worker: Worker, said: dict[str, list[str]]) -> int:
    """Check that each call is whole, has each word and is delivered. Returns how many spans."""
    spans = 0
    for room, words in said.items():
        trace = trace_of(worker.journal, room, timeout=30)
        trace.check_whole()
        assert trace.heard == words, f"{room}: {trace.heard} is in the trace of {words}"
        site.delivered(worker, trace)
        spans += len(trace.spans)
    assert site.prefactor.violations() == []
    return spans


def main(
    callers: Annotated[int, typer.Argument()] = 4,
    minutes: Annotated[float, typer.Argument(help="each, with tracing and without")] = 2.0,
) -> None:
    """Hold calls on one worker for minutes, and check their traces."""
    quiet()
    console = Console()
    try:
        livekit_binary.get(console)
    except livekit_binary.UnavailableError as error:
        console.print(str(error), soft_wrap=True)
        sys.exit(1)
    for title, disabled in (("without tracing", "true"), ("with tracing", "false")):
        console.print(f"{callers} callers for {minutes:g} minutes, {title}:", highlight=False)
        with (
            tempfile.TemporaryDirectory() as folder,
            Site(Path(folder)) as site,
            site.worker(settings={"PREFACTOR_DISABLED": disabled}) as worker,
        ):
            said = asyncio.run(soak(site, worker, callers, 60 * minutes))
            if disabled == "false":
                spans = check(site, worker, said)
                size = worker.journal.stat().st_size / 2**20
                console.print(
                    f"All {callers} traces are whole and delivered: {spans} spans, "
                    f"a journal of {size:.1f} MiB.",
                    highlight=False,
                )


if __name__ == "__main__":
    typer.run(main)
