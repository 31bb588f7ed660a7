"""Measures many processes with calls that write to one journal.

`PYTHONPATH=tests python -m benchmarks.many_processes`: 25 processes, each with a call of text turns
(a tool and 60 chunks each) with pauses between them, plain and traced by turns. Each process notes
how late a timer of its event loop is, and which spans were handed to the journal; afterwards each
of these has to be in the file, ended."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from livekit.agents import AgentSession
from rich.console import Console
from rich.table import Table

from prefactor_agent.config import Settings
from prefactor_agent.core.span import Span
from prefactor_agent.journal.reader import Journal
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.tracing import tracer

from .workload import Model, Plain, Traced, turns

PROCESSES = 25
SECONDS = 10.0
PAUSE_S = 0.5
TICK_S = 0.02


@dataclass
class Held:
    """What the processes of one run noted."""

    late_ms: list[float]
    """How late each timer was, of all processes."""
    spans: int
    lost: int


class Noting(Pipeline):
    """The pipeline of a process; it notes the ids of the spans that it is given."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, lambda session_id, reason: None)
        self.ids: dict[str, set[str]] = {}

    def put(self, span: Span) -> None:
        self.ids.setdefault(span.session_id, set()).add(span.id)
        super().put(span)


async def _call(traced: bool, seconds: float) -> list[float]:
    """Hold a call. Returns how late each timer was, in ms."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            late.append((time.perf_counter() - due) * 1e3)

    async with Model() as model:
        session: AgentSession[None] = AgentSession(llm=model)
        agent = Traced(instructions="x") if traced else Plain(instructions="x")
        await session.start(agent)
        await turns(session, agent, 1)
        ticking = asyncio.create_task(tick())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE_S)  # nothing secret
            await turns(session, agent, 1)
        ticking.cancel()
        await session.aclose()
    return late


def _child(journal: Path | None, notes: Path, seconds: float) -> None:
    random.seed()
    pipeline = None
    if journal is not None:
        pipeline = Noting(Settings(journal=journal))
        tracer.send_to(pipeline)
    late = asyncio.run(_call(journal is not None, seconds))
    ids = {}
    if pipeline is not None:
        if not pipeline.flush(60):
            raise SystemExit("not everything was written")
        ids = {session_id: sorted(spans) for session_id, spans in pipeline.ids.items()}
    notes.write_text(json.dumps({"late": late, "ids": ids}))


def hold(processes: int, seconds: float, *, traced: bool) -> Held:
    """Have the calls of one run, each in a process that is forked: importing LiveKit takes longer
    than a call."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        children = []
        for number in range(processes):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    _child(path if traced else None, Path(folder) / str(number), seconds)
                    code = 0
                finally:
                    os._exit(code)
            children.append(pid)
        if any(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children):
            raise SystemExit("a process failed")
        noted = [json.loads((Path(folder) / str(n)).read_text()) for n in range(processes)]
        late = [moment for one in noted for moment in one["late"]]
        spans = lost = 0
        if traced:
            journal = Journal(path)
            for one in noted:
                for session_id, ids in one["ids"].items():
                    found = {
                        span.id for span in journal.call(session_id) if span.status != "active"
                    }
                    spans += len(ids)
                    lost += len(set(ids) - found)
            journal.close()
    return Held(late, spans, lost)


@dataclass(frozen=True)
class Figures:
    spans: int
    lost: int
    plain_ms: float
    """The 99th percentile of how late a timer of the loop is: the median of the runs."""
    traced_ms: float
    added_ms: float
    """The median of the differences within a round."""


def compare(rounds: int, processes: int = PROCESSES, seconds: float = SECONDS) -> Figures:
    """Hold the plain and the traced calls by turns."""
    asyncio.run(_call(False, 0.0))  # whatever is made at first use is made before the first fork
    gc.freeze()
    runs: dict[bool, list[Held]] = {True: [], False: []}
    for number in range(rounds):
        for traced in (True, False) if number % 2 else (False, True):
            runs[traced].append(hold(processes, seconds, traced=traced))
    p99 = {kind: [_p99(held.late_ms) for held in held_] for kind, held_ in runs.items()}
    return Figures(
        sum(held.spans for held in runs[True]),
        sum(held.lost for held in runs[True]),
        statistics.median(p99[False]),
        statistics.median(p99[True]),
        statistics.median(t - p for t, p in zip(p99[True], p99[False], strict=True)),
    )


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    figures = compare(chosen.rounds, chosen.processes, chosen.seconds)
    table = Table(
        "", "plain", "traced", "", "target", "", title=f"{chosen.processes} processes, one journal"
    )
    marks = {True: "✓", False: "✗"}
    table.add_row(
        "spans lost",
        "",
        f"of {figures.spans}",
        f"{figures.lost}",
        "0",
        marks[figures.lost == 0],
    )
    table.add_row(
        "lateness of the loop's timers, p99",
        f"{figures.plain_ms:.1f} ms",
        f"{figures.traced_ms:.1f} ms",
        f"{figures.added_ms:+.1f} ms",
        "≤ 1 ms",
        marks[figures.added_ms <= 1],
    )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
