"""Measures what tracing and delivery cost, beside the alternatives, in one run.

`python -m benchmarks.peers` (`make bench-peers`): the same text turns of a real AgentSession, each
with one tool call and a 60-chunk reply, untraced, with LiveKit's own OpenTelemetry over OTLP/HTTP,
with prefactor-livekit, and with TracedAgent. Each run is a process of its own; the servers are
processes of their own on the loopback; the runs take turns, and medians are compared. CPU is that
of the process with all its threads, until everything was delivered."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from livekit.agents import Agent, AgentSession
from livekit.agents.telemetry import set_tracer_provider
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prefactor_livekit import PrefactorLiveKitSession
from rich.console import Console
from rich.table import Table

import prefactor_agent
from prefactor_agent.core.span import Span
from prefactor_agent.tracing import tracer

from .collector import collector
from .workload import Model, Plain, Traced, turns

Done = Callable[[], Awaitable[object]]
WARM_UP = 20
PAUSE_S = 0.05
"""Between two turns where the loop's stalls are measured: as in a call, most of the time nothing
happens."""


@dataclass
class Run:
    """The figures of one process."""

    start_ms: float
    cpu_ms: float
    wall_ms: float
    stall_ms: float
    """The worst time for which a timer of the loop was late, in turns with pauses."""


# In the process that is measured


async def _none(session: AgentSession[Any]) -> tuple[Agent, Done]:
    return Plain(instructions="x"), _nothing


async def _nothing() -> None: ...


async def _opentelemetry(session: AgentSession[Any]) -> tuple[Agent, Done]:
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=os.environ["BENCH_COLLECTOR"])
    provider.add_span_processor(BatchSpanProcessor(exporter))
    set_tracer_provider(provider)

    async def done() -> None:
        await asyncio.to_thread(provider.force_flush)

    return Plain(instructions="x"), done


async def _prefactor_livekit(session: AgentSession[Any]) -> tuple[Agent, Done]:
    wrapper = PrefactorLiveKitSession.from_config(
        api_url=os.environ["BENCH_API"],
        api_token=os.environ["BENCH_TOKEN"],
        agent_id=os.environ["BENCH_AGENT"],
    )
    await wrapper.attach(session)
    return Plain(instructions="x"), wrapper.close


async def _ours(session: AgentSession[Any], **settings: Any) -> tuple[Agent, Done]:
    prefactor_agent.configure(journal=Path(os.environ["BENCH_JOURNAL"]), **settings)

    async def done() -> None:
        if not await asyncio.to_thread(tracer.flush, 60):
            raise SystemExit("not everything was delivered")

    return Traced(instructions="x"), done


class _Nowhere:
    """A sink that keeps nothing: what is left is the cost on the event loop alone."""

    def put(self, span: Span) -> None: ...

    def flush(self, timeout: float) -> bool:
        return True


async def _thrown_away(session: AgentSession[Any]) -> tuple[Agent, Done]:
    tracer.send_to(_Nowhere())
    return Traced(instructions="x"), _nothing


async def _journal(session: AgentSession[Any]) -> tuple[Agent, Done]:
    return await _ours(session)


async def _delivered(session: AgentSession[Any]) -> tuple[Agent, Done]:
    return await _ours(
        session,
        api_url=os.environ["BENCH_API"],
        api_token=os.environ["BENCH_TOKEN"],
        agent_id=os.environ["BENCH_AGENT"],
    )


async def _exported(session: AgentSession[Any]) -> tuple[Agent, Done]:
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = os.environ["BENCH_COLLECTOR"]
    return await _ours(session, otlp=True)


SETUPS = {
    "none": _none,
    "LiveKit's OpenTelemetry, OTLP/HTTP": _opentelemetry,
    "prefactor-livekit 0.1.5": _prefactor_livekit,
    "TracedAgent, spans thrown away": _thrown_away,
    "TracedAgent, journal only": _journal,
    "TracedAgent, delivered": _delivered,
    "TracedAgent, OTLP": _exported,
}
OURS = "TracedAgent, delivered"


@contextlib.asynccontextmanager
async def _worst_lateness() -> AsyncIterator[list[float]]:
    """How late the worst of many timers was while the body ran, in ms."""
    worst = [0.0]

    async def tick() -> None:
        while True:
            due = time.perf_counter() + 0.002
            await asyncio.sleep(0.002)
            worst[0] = max(worst[0], (time.perf_counter() - due) * 1e3)

    task = asyncio.create_task(tick())
    try:
        yield worst
    finally:
        task.cancel()


async def measure(setup: str, count: int) -> Run:
    """Run some turns in this process."""
    async with Model() as model:
        session = AgentSession(llm=model)
        gc.collect()  # the garbage of the imports is no part of the start
        begun = time.perf_counter()
        try:
            agent, done = await SETUPS[setup](session)
        except Exception as error:
            took = (time.perf_counter() - begun) * 1e3
            print(f"{type(error).__name__}: the agent did not start", file=sys.stderr)
            return Run(took, 0, 0, 0)
        await session.start(agent)
        start_ms = (time.perf_counter() - begun) * 1e3
        await turns(session, agent, WARM_UP)
        await _caught_up(setup, done)  # what is imported and registered at first, aside
        # One full collection takes as long as ten turns, with all that these imports brought.
        gc.collect()
        gc.freeze()
        cpu, wall = time.process_time(), time.perf_counter()
        await turns(session, agent, count)
        wall_ms = (time.perf_counter() - wall) / max(count, 1) * 1e3
        await _caught_up(setup, done)
        cpu_ms = (time.process_time() - cpu) / max(count, 1) * 1e3
        async with _worst_lateness() as worst:
            for _ in range(min(count, 40)):
                await turns(session, agent, 1)
                await asyncio.sleep(PAUSE_S)
        await session.aclose()
        await done()
    return Run(start_ms, cpu_ms, wall_ms, worst[0])


async def _caught_up(setup: str, done: Done) -> None:
    """Wait until everything recorded is delivered; the session goes on."""
    if setup != "prefactor-livekit 0.1.5":
        await done()
    else:  # it has no flush but its end: its workers get the time that they need
        await asyncio.sleep(1.0)


# In the process that compares


def _run(setup: str, count: int, environment: dict[str, str]) -> Run:
    command = [sys.executable, "-m", "benchmarks.peers", "--measure", setup, "--turns", str(count)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            env=os.environ | environment | {"BENCH_JOURNAL": str(Path(folder) / "journal.db")},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _backlog(url: str, token: str) -> float:
    """The spans per second at which a backlog of ten thousand is delivered."""
    from pydantic import SecretStr
    from tests.deliver.calls import SPANS_PER_TURN, whole_call

    from prefactor_agent.config import Settings
    from prefactor_agent.deliver.common.deliverer import Deliverer
    from prefactor_agent.deliver.prefactor.target import Prefactor
    from prefactor_agent.journal.writer import JournalWriter

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            journal=Path(folder) / "journal.db", api_url=url, api_token=SecretStr(token)
        )
        writer = JournalWriter(settings)
        for _ in range(20):
            whole_call(writer, turns=72)
        assert writer.flush(60)
        deliverer = Deliverer(Prefactor(settings))
        begun = time.perf_counter()
        deliverer.start()
        assert deliverer.flush(120)
        took = time.perf_counter() - begun
        deliverer.stop()
    return 20 * (72 * SPANS_PER_TURN + 1) / took


def compare(rounds: int, count: int) -> None:
    from tests.support.prefactor_server import PrefactorServer

    console = Console(width=120)
    runs: dict[str, list[Run]] = {name: [] for name in SETUPS}
    requests: dict[str, list[float]] = {name: [] for name in SETUPS}
    dead: dict[str, list[float]] = {name: [] for name in SETUPS}
    receiver, collector_url = collector()
    try:
        # What prefactor-livekit sends is not all valid: it is taken as if it were.
        lenient = PrefactorServer(early_spans=True, late_spans=True, check_payloads=False)
        with lenient as server, console.status("") as status:
            live = {
                "BENCH_API": server.url,
                "BENCH_TOKEN": server.account_token,
                "BENCH_AGENT": server.agent_id,
                "BENCH_COLLECTOR": collector_url,
            }
            gone = live | {
                "BENCH_API": f"http://127.0.0.1:{_closed_port()}",
                "BENCH_COLLECTOR": f"http://127.0.0.1:{_closed_port()}/v1/traces",
            }
            for number in range(rounds):
                names = list(SETUPS)[:: 1 if number % 2 else -1]
                for name in names:
                    status.update(f"round {number + 1} of {rounds}: {name}")
                    server.reset()
                    runs[name].append(_run(name, count, live))
                    called = len(server.requests())
                    requests[name].append(called / (count + WARM_UP + min(count, 40)))
                    if number < 3:
                        dead[name].append(_start_with_dead_api(name, gone))
            status.update("a backlog of 10,000 spans")
            server.reset()
            speeds = [_backlog(server.url, server.token) for _ in range(3)]
    finally:
        receiver.terminate()
    _print(console, runs, requests, dead, statistics.median(speeds), count)


def _start_with_dead_api(name: str, gone: dict[str, str]) -> float:
    code = (
        "import asyncio, logging, os; logging.disable(logging.CRITICAL);"
        "from benchmarks.peers import start_only;"
        f"print(asyncio.run(start_only({name!r}))); os._exit(0)"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | gone | {"BENCH_JOURNAL": str(Path(folder) / "journal.db")},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return float(done.stdout.splitlines()[-1])


async def start_only(setup: str) -> float:
    """Milliseconds until the agent has started; infinite if it did not."""
    async with Model() as model:
        session = AgentSession(llm=model)
        gc.collect()  # the garbage of the imports is no part of the start
        begun = time.perf_counter()
        try:
            agent, _ = await SETUPS[setup](session)
            await session.start(agent)
        except Exception:
            return float("inf")
        return (time.perf_counter() - begun) * 1e3


def _print(
    console: Console,
    runs: dict[str, list[Run]],
    requests: dict[str, list[float]],
    dead: dict[str, list[float]],
    speed: float,
    count: int,
) -> None:
    table = Table(
        "",
        "CPU ms a turn",
        "added",
        "to OpenTelemetry's",
        "wall ms a turn",
        "API requests a turn",
        "start, API dead",
        "worst stall of the loop",
        title=f"{count} turns with a tool and 60 chunks; medians of {len(runs['none'])} runs",
    )
    telemetry = _added(runs, "LiveKit's OpenTelemetry, OTLP/HTTP")
    for name, all_runs in runs.items():
        added = _added(runs, name)
        start = statistics.median(dead[name])
        table.add_row(
            name,
            f"{_median(all_runs, 'cpu_ms'):.2f}",
            "" if name == "none" else f"{added:+.2f}",
            "" if name == "none" else f"{added / telemetry:.2f}",
            f"{_median(all_runs, 'wall_ms'):.2f}",
            f"{statistics.median(requests[name]):.2f}" if "OpenTel" not in name else "",
            f"{start:.0f} ms" if start != float("inf") else "never started",
            f"{_median(all_runs, 'stall_ms'):.1f} ms",
        )
    console.print(table)
    console.print(f"A backlog of 10,000 spans is delivered with {speed:.0f} spans/s.")


def _added(runs: dict[str, list[Run]], name: str) -> float:
    """What a setup adds: the median of the differences within a round."""
    return statistics.median(
        one.cpu_ms - none.cpu_ms for one, none in zip(runs[name], runs["none"], strict=True)
    )


def _median(runs: list[Run], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turns", type=int, default=150)
    parser.add_argument("--measure", choices=list(SETUPS), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    if chosen.measure is not None:
        print(json.dumps(asdict(asyncio.run(measure(chosen.measure, chosen.turns)))))
    else:
        compare(chosen.rounds, chosen.turns)


if __name__ == "__main__":
    main()
