"""Measures what tracing costs, against the same work without it, in one run.

`make bench` (`PYTHONPATH=tests python -m benchmarks [NAME …]`) prints a table. Absolute times are
those of the machine. Rows with two sides measure both by turns and compare the medians."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession, ModelSettings
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

import prefactor_agent
from prefactor_agent import TracedAgent
from prefactor_agent.config import Settings
from prefactor_agent.core.span import Status
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.record.spans.tree import SpanTree
from prefactor_agent.view.report import render
from support.prefactor_server import PrefactorServer

from .workload import Model, Plain, Traced, turns


@dataclass
class Row:
    what: str
    plain: str
    traced: str
    added: str
    target: str
    met: bool


async def _drain(stream: AsyncIterable[Any]) -> None:
    async for _ in stream:
        pass


async def _timestamped(stream: AsyncIterator[Any], stamps: list[int]) -> AsyncIterator[Any]:
    """The floor: a generator that passes chunks through and keeps the time of each."""
    async for item in stream:
        stamps.append(time.perf_counter_ns())
        yield item


def _nodes(items: list[Any]) -> tuple[Agent, TracedAgent]:
    """The same agent plain and traced; its nodes yield ``items``."""

    class Source:
        async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
            for item in items:
                yield item

        async def tts_node(self, text: Any, model_settings: Any) -> Any:
            for item in items:
                yield item

    class PlainSource(Source, Agent):
        pass

    class TracedSource(Source, TracedAgent):
        pass

    return PlainSource(instructions=""), TracedSource(instructions="")


async def _per_item(items: list[Any], call: Callable[[Any], Any], rounds: int) -> dict[str, float]:
    """Nanoseconds per item through a node: plain, with the floor's generator, and traced."""
    plain, traced = _nodes(items)
    best: dict[str, list[float]] = {"plain": [], "floor": [], "traced": []}
    async with Model() as model:
        sessions = [AgentSession(llm=model) for _ in range(2)]
        for session, agent in zip(sessions, (plain, traced), strict=True):
            await session.start(agent)
        for _ in range(rounds):
            for name, make in (
                ("plain", lambda: call(plain)),
                ("floor", lambda: _timestamped(call(plain), [])),
                ("traced", lambda: call(traced)),
            ):
                stream = make()
                started = time.perf_counter_ns()
                await _drain(stream)
                best[name].append((time.perf_counter_ns() - started) / len(items))
                await asyncio.sleep(0.15)  # the journal's thread writes in between
        for session in sessions:
            await session.aclose()
    return {name: statistics.median(times) for name, times in best.items()}


async def text_chunk() -> Row:
    settings = ModelSettings()

    def call(agent: Agent) -> Any:
        return agent.llm_node(agent.chat_ctx, [], settings)

    ns = await _per_item(["word "] * 4_000, call, rounds=40)
    added, floor = ns["traced"] - ns["plain"], ns["floor"] - ns["plain"]
    # The target, 190 ns, was set where the floor costs 126.
    return Row(
        "text chunk through a node",
        f"{ns['plain']:.0f} ns",
        f"{ns['traced']:.0f} ns",
        f"+{added:.0f} ns ({added / floor:.2f} x a timestamp's +{floor:.0f})",
        "≤ 190 ns, or 1.51 x",
        added <= 190 or added / floor <= 190 / 126,
    )


async def audio_frame() -> Row:
    samples = (np.random.default_rng(1).normal(0, 3000, 240)).astype(np.int16).tobytes()
    frames = [rtc.AudioFrame(samples, 24_000, 1, 240) for _ in range(500)]
    settings = ModelSettings()

    async def no_text() -> AsyncIterator[str]:
        return
        yield ""

    ns = await _per_item(frames, lambda agent: agent.tts_node(no_text(), settings), rounds=40)
    added = (ns["traced"] - ns["plain"]) / 1000
    return Row(
        "10 ms audio frame through a node",
        f"{ns['plain'] / 1000:.2f} µs",
        f"{ns['traced'] / 1000:.2f} µs",
        f"+{added:.2f} µs",
        "≤ 6 µs",
        added <= 6,
    )


async def turn() -> Row:
    cpu: dict[str, list[float]] = {"plain": [], "traced": []}
    each = 25
    async with Model() as model:
        agents = {"plain": Plain(instructions="x"), "traced": Traced(instructions="x")}
        sessions = {name: AgentSession(llm=model) for name in agents}
        for name, agent in agents.items():
            await sessions[name].start(agent)
            await turns(sessions[name], agent, 20)
        for number in range(40):
            order = list(agents) if number % 2 else list(reversed(agents))
            for name in order:
                await asyncio.sleep(0.15)
                gc.collect()
                started = time.process_time()
                await turns(sessions[name], agents[name], each)
                if name == "traced":
                    await asyncio.sleep(0.15)  # the work of the journal's thread counts, too
                cpu[name].append((time.process_time() - started) / each * 1e3)
        for session in sessions.values():
            await session.aclose()
    plain, traced = (statistics.median(cpu[name]) for name in ("plain", "traced"))
    added = statistics.median(t - p for p, t in zip(cpu["plain"], cpu["traced"], strict=True))
    return Row(
        "turn with a tool and 60 chunks (CPU)",
        f"{plain:.2f} ms",
        f"{traced:.2f} ms",
        f"+{added:.2f} ms ({added / plain:.1%})",
        "≤ 0.33 ms",
        added <= 0.33,
    )


async def importing() -> Row:
    """The CPU time of the import in a process that has LiveKit, and what it is with an agent's
    class, which imports what the threads of its calls need (:mod:`prefactor_agent.ahead`)."""
    # Frozen as in the processes of LiveKit's jobs: else a collection walks all of LiveKit, some
    # 90 ms, in whichever import it begins.
    before = "import gc, time, livekit.agents\ngc.collect()\ngc.freeze()\nt = time.process_time()"
    names = "from prefactor_agent import TracedAgent, traced_tool"
    after = "print(time.process_time() - t)"

    def ms(more: str, environment: dict[str, str]) -> float:
        command = [sys.executable, "-c", "\n".join((before, names, more, after))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout) * 1e3

    with tempfile.TemporaryDirectory() as folder:
        # Compiled, as after an installation; a source tree may be set not to be.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        medians = []
        for more in ("", "class Clerk(TracedAgent): pass"):
            ms(more, environment)
            medians.append(statistics.median(ms(more, environment) for _ in range(9)))
    alone, with_class = medians
    what = "import, CPU over livekit.agents; with an agent's class"
    added = f"+{alone:.0f} ms; +{with_class:.0f} ms"
    return Row(what, "", "", added, "≤ 50 ms", alone <= 50)


async def long_call() -> Row:
    count = 10_000
    quarter = count // 4

    async def run(agent: Agent) -> tuple[float, float]:
        async with Model(chunks=5, tool=False) as model:
            session = AgentSession(llm=model)
            await session.start(agent)
            await turns(session, agent, 200)
            quarters, memory = [], []
            for _ in range(4):
                gc.collect()
                started = time.process_time()
                await turns(session, agent, quarter)
                quarters.append(time.process_time() - started)
                # LiveKit keeps every event of a session (AgentSession._recorded_events).
                session._recorded_events.clear()
                await asyncio.sleep(0.5)
                gc.collect()
                memory.append(_resident_mib())
            await session.aclose()
        return quarters[3] / quarters[0], memory[3] - memory[0]

    plain, plain_memory = await run(Plain(instructions="x"))
    traced, traced_memory = await run(Traced(instructions="x"))
    growth = traced / plain
    return Row(
        "10,000 turns: last quarter to first (CPU)",
        f"{plain:.3f}, {plain_memory:+.0f} MiB",
        f"{traced:.3f}, {traced_memory:+.0f} MiB",
        f"{growth:.3f} x plain's",
        "≤ 1.05",
        growth <= 1.05,
    )


def _resident_mib() -> float:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


async def delivery() -> Row:
    """How soon Prefactor has a call, and the agent a termination. The service runs on this
    machine, so the network costs nothing."""

    def wait(condition: Callable[[], object]) -> float:
        started = time.perf_counter()
        while not condition():
            time.sleep(0.005)
        return time.perf_counter() - started

    begun, ended, terminated = [], [], []
    with PrefactorServer() as server, tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            Path(folder) / "journal.db", api_url=server.url, api_token=SecretStr(server.token)
        )
        pipeline = Pipeline(settings, lambda session_id, reason: terminated.append(session_id))
        pipeline.begin()
        for number in range(20):
            call = SpanTree(pipeline)
            call.announce({"name": "livekit-session"})
            begun.append(wait(lambda number=number: len(server.spans()) > number))
            time.sleep(0.05 * number)  # another moment of the second between two requests
            server.terminate()
            ended.append(wait(lambda number=number: len(terminated) > number))
            call.end(call.root, Status.COMPLETE, {})
        pipeline.stop()
    return Row(
        "call begun, until Prefactor has it; terminated, until the agent knows",
        "",
        "",
        f"{statistics.median(begun):.2f} s (worst {max(begun):.2f}); "
        f"{statistics.median(ended):.2f} s (worst {max(ended):.2f})",
        "≤ 1 s; ≤ 2 s",
        max(begun) <= 1 and max(ended) <= 2,
    )


async def page() -> Row:
    from view.browser import CHROMIUM, DRIVER, Browser, look, start
    from view.report.report_calls import long

    what = "page of a two-hour call: opens; draws anew"
    if CHROMIUM is None or DRIVER is None:
        return Row(what, "", "", "no Chromium with its chromedriver here", "", True)
    opened, drawn = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "call.html"
        path.write_text(render(long(turns=2_000, seconds=7_200, chunks=200_000)), encoding="utf-8")
        driver = start(Path(folder) / "chromium")
        browser = Browser(driver)
        for _ in range(5):
            look(driver)
            driver.get(path.as_uri())
            browser.until("return document.documentElement.dataset.ready")
            opened.append(float(browser.js("return document.documentElement.dataset.ready")))
            for _ in range(12):
                browser.one("[data-stage]").send_keys("+")
                browser.settled()
                drawn.append(float(browser.js("return document.documentElement.dataset.drawMs")))
        driver.quit()
    ready, draw = statistics.median(opened), statistics.median(drawn)
    met = ready <= 2_000 and draw <= 16
    return Row(what, "", "", f"{ready:.0f} ms; {draw:.1f} ms", "≤ 2 s; ≤ 16 ms", met)


BENCHMARKS = {
    "chunk": text_chunk,
    "frame": audio_frame,
    "turn": turn,
    "import": importing,
    "long": long_call,
    "delivery": delivery,
    "page": page,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; all by default")
    chosen = parser.parse_args().names or list(BENCHMARKS)
    logging.disable(logging.WARNING)
    console = Console(width=118)
    table = Table(
        "", "plain Agent", "TracedAgent", "added", "target", "", title="What tracing costs"
    )
    with tempfile.TemporaryDirectory() as folder:
        prefactor_agent.configure(journal=Path(folder) / "journal.db")
        for name in chosen:
            with console.status(f"{name} …"):
                row = asyncio.run(BENCHMARKS[name]())
            table.add_row(
                row.what, row.plain, row.traced, row.added, row.target, "✓" if row.met else "✗"
            )
    console.print(table)
    console.print(
        f"Python {sys.version.split()[0]}, {os.cpu_count()} cores. "
        "CPU is of the process, the journal's thread included."
    )


if __name__ == "__main__":
    main()
