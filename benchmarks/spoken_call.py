"""Measures what tracing costs in a spoken call: the demo's, in real time, about 35 seconds long.

`PYTHONPATH=tests python -m benchmarks.spoken_call`. In a call the difference between two processes
drowns in the noise, so this measures our own work:

- the CPU time and the wake-ups of our threads, and of LiveKit's OpenTelemetry's, by the kernel's
  accounting (`/proc/self/task/*/schedstat` and `status`: Linux only);
- the CPU time of our functions on the event loop, timed where LiveKit calls them
  (:mod:`.on_the_loop`), and what it adds that frames pass through our streams.

Each call is a process of its own, and so are the servers. The setups take turns."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from livekit.agents.telemetry import set_tracer_provider
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from rich.console import Console
from rich.table import Table

import prefactor_agent
from prefactor_agent import ahead

from .collector import collector
from .on_the_loop import Meter, install, passing_on_us

WATCHED = ("prefactor-", "OtelBatch")
"""How the names of the threads begin that are measured."""


@dataclass
class Run:
    """The figures of one call."""

    seconds: float
    cpu_ms: dict[str, float]
    """Of each thread, by its name; threads of one name together."""
    wakeups: dict[str, int]
    loop_ms: float
    """Our functions on the event loop; negative: not measured."""
    frames: int
    """How many frames they looked at."""

    def a_minute(self, *names: str) -> float:
        """CPU milliseconds of threads in a minute of the call."""
        return sum(self.cpu_ms.get(name, 0.0) for name in names) * 60 / self.seconds

    @property
    def woken(self) -> float:
        return sum(self.wakeups.values()) * 60 / self.seconds


# In the process that is measured

Done = Callable[[], Awaitable[object]]
"""Waits until all of a call is where it belongs."""


class Threads:
    """The CPU time and wake-ups of threads, also of those that ended before the call did."""

    def __init__(self) -> None:
        self.cpu_ms: dict[str, float] = {}
        self.wakeups: dict[str, int] = {}
        run = threading.Thread.run

        def measured(thread: threading.Thread) -> None:
            try:
                run(thread)
            finally:
                self._note(thread)

        threading.Thread.run = measured  # type: ignore[method-assign]

    def read(self) -> None:
        """Add what the threads that still run have used."""
        for thread in threading.enumerate():
            self._note(thread)

    def _note(self, thread: threading.Thread) -> None:
        if not thread.name.startswith(WATCHED):
            return
        task = Path(f"/proc/self/task/{thread.native_id}")
        cpu_ns = int((task / "schedstat").read_text().split()[0])
        status = dict(
            line.split(":", 1) for line in (task / "status").read_text().splitlines() if ":" in line
        )
        name = thread.name
        self.cpu_ms[name] = self.cpu_ms.get(name, 0.0) + cpu_ns / 1e6
        woken = int(status["voluntary_ctxt_switches"])
        self.wakeups[name] = self.wakeups.get(name, 0) + woken


def measure(setup: str, meter: Meter | None) -> Run:
    """Have one call in this process.

    Args:
        meter: Times our functions on the event loop.
    """
    threads = Threads()
    done = SETUPS[setup]()
    ahead.import_for_calls()  # as an agent's file does, whose settings are in the environment
    return asyncio.run(_measured(threads, done, meter))


async def _measured(threads: Threads, done: Done, meter: Meter | None) -> Run:
    from prefactor_agent.demo.call import run_call

    # As LiveKit does in the processes of its jobs (livekit/agents/ipc/_preload_freeze.py). Else a
    # collection walks all that was imported, a tenth of a second, in whichever thread it begins.
    gc.collect()
    gc.freeze()
    begun = time.monotonic()
    if meter is not None:
        meter.on = True
    result = await run_call(lambda who, what: None)
    if meter is not None:
        meter.on = False
    seconds = time.monotonic() - begun
    await done()
    threads.read()
    if result.heard != result.said:
        raise SystemExit("the call did not go as it should")
    took = (-1.0, 0) if meter is None else (meter.ns / 1e6, meter.frames)
    return Run(seconds, threads.cpu_ms, threads.wakeups, *took)


def _journal(**settings: Any) -> Done:
    prefactor_agent.configure(journal=Path(os.environ["BENCH_JOURNAL"]), **settings)

    async def done() -> None:
        if not await asyncio.to_thread(prefactor_agent.flush, 60):
            raise SystemExit("not everything was written or delivered")

    return done


def _delivered() -> Done:
    return _journal(
        api_url=os.environ["BENCH_API"],
        api_token=os.environ["BENCH_TOKEN"],
        agent_id=os.environ["BENCH_AGENT"],
    )


def _exported() -> Done:
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = os.environ["BENCH_COLLECTOR"]
    return _journal(otlp=True)


def _opentelemetry() -> Done:
    prefactor_agent.configure(disabled=True)
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=os.environ["BENCH_COLLECTOR"])
    provider.add_span_processor(BatchSpanProcessor(exporter))
    set_tracer_provider(provider)

    async def done() -> None:
        await asyncio.to_thread(provider.force_flush)

    return done


SETUPS: dict[str, Callable[[], Done]] = {
    "journal": _journal,
    "delivered": _delivered,
    "exported": _exported,
    "opentelemetry": _opentelemetry,
}


# In the process that compares


def run(setup: str, environment: dict[str, str], *, loop: bool = False) -> Run:
    """Have one call in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.spoken_call", "--measure", setup]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, *(["--loop"] if loop else [])],
            env=os.environ
            | environment
            # An installed package has its bytecode: an import in a call does not compile it.
            | {"BENCH_JOURNAL": str(Path(folder) / "journal.db"), "PYTHONDONTWRITEBYTECODE": ""},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return Run(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class Figures:
    """The medians of several calls, each for a minute of the call."""

    journal_ms: float
    delivered_ms: float
    exported_ms: float
    exporting_ms: float
    """Of the thread that exports alone."""
    opentelemetry_ms: float
    loop_ms: float
    passing_ms: float
    """That frames pass through our streams."""
    journal_wakeups: float
    delivered_wakeups: float
    requests: float
    """In a whole call."""


def compare(rounds: int) -> Figures:
    """Have the calls of each setup by turns."""
    from support.prefactor_server import PrefactorServer

    runs: dict[str, list[Run]] = {name: [] for name in (*SETUPS, "loop")}
    requests = []
    process, url = collector()
    try:
        with PrefactorServer() as server:
            environment = {
                "BENCH_API": server.url,
                "BENCH_TOKEN": server.account_token,
                "BENCH_AGENT": server.agent_id,
                "BENCH_COLLECTOR": url,
            }
            for number in range(rounds):
                for name in list(runs)[:: 1 if number % 2 else -1]:
                    loop = name == "loop"
                    server.reset()
                    runs[name].append(run("journal" if loop else name, environment, loop=loop))
                    if name == "delivered":
                        requests.append(len(server.requests()))
    finally:
        process.terminate()

    def median(name: str, of: Callable[[Run], float]) -> float:
        return statistics.median(map(of, runs[name]))

    return Figures(
        median("journal", lambda one: one.a_minute(*one.cpu_ms)),
        median("delivered", lambda one: one.a_minute(*one.cpu_ms)),
        median("exported", lambda one: one.a_minute(*one.cpu_ms)),
        median("exported", lambda one: one.a_minute("prefactor-deliver-otlp")),
        median("opentelemetry", lambda one: one.a_minute(*one.cpu_ms)),
        median("loop", lambda one: one.loop_ms * 60 / one.seconds),
        median("loop", lambda one: one.frames * 60 / one.seconds) * passing_on_us() / 1e3,
        median("journal", lambda one: one.woken),
        median("delivered", lambda one: one.woken),
        statistics.median(requests),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=list(SETUPS), help=argparse.SUPPRESS)
    parser.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    if chosen.measure is not None:
        meter = Meter() if chosen.loop else None
        if meter is not None:
            install(meter)
        from prefactor_agent.demo.terminal import quiet

        quiet()
        print(json.dumps(asdict(measure(chosen.measure, meter))))
        return
    figures = compare(chosen.rounds)
    table = Table(
        "for a minute of the call",
        "",
        "target",
        "",
        title=f"A spoken call; medians of {chosen.rounds}",
    )
    for what, value, target in (
        ("CPU of our threads, journal only", figures.journal_ms, 50),
        ("CPU of our threads, with delivery", figures.delivered_ms, 110),
        (
            "CPU of our functions on the event loop, and to pass frames on",
            figures.loop_ms + figures.passing_ms,
            40,
        ),
    ):
        met = "✓" if value <= target else "✗"
        table.add_row(what, f"{value:.0f} ms", f"≤ {target} ms", met)
    table.add_row("of it to pass frames on", f"{figures.passing_ms:.0f} ms", "", "")
    exporting, theirs = figures.exporting_ms, figures.opentelemetry_ms
    table.add_row("CPU of our threads, with OTLP", f"{figures.exported_ms:.0f} ms", "", "")
    table.add_row(
        "CPU of our OTLP thread alone",
        f"{exporting:.0f} ms",
        "≤ LiveKit's",
        "✓" if exporting <= theirs else "✗",
    )
    table.add_row(
        "CPU of the thread of LiveKit's OpenTelemetry", f"{figures.opentelemetry_ms:.0f} ms", "", ""
    )
    table.add_row("wake-ups, journal only", f"{figures.journal_wakeups:.0f}", "", "")
    table.add_row("wake-ups, with delivery", f"{figures.delivered_wakeups:.0f}", "", "")
    table.add_row("requests in a call", f"{figures.requests:.0f}", "", "")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
