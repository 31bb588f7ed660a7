"""Counts the instructions of a text turn, plain and traced, with valgrind.

`PYTHONPATH=tests python -m benchmarks.instructions`: the turns of the burst (a tool, 60 chunks),
run with `valgrind --tool=callgrind`. What N + 100 turns take more than N is what 100 turns take,
without imports and start. Another program on the machine changes nothing in it; what waiting costs
(locks, caches, the interpreter changing threads) it does not count."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from livekit.agents import AgentSession
from rich.console import Console
from rich.table import Table

from .peers import SETUPS
from .workload import Model, turns

TURNS = 100
WARM_UP = 20
MEASURED = {
    "plain Agent": "none",
    "traced, spans thrown away": "TracedAgent, spans thrown away",
    "traced, journal": "TracedAgent, journal only",
}
_COUNTED = re.compile(r"Collected : (\d+)")


async def work(setup: str, count: int) -> None:
    """Run some turns, and write everything."""
    async with Model() as model:
        session: AgentSession[None] = AgentSession(llm=model)
        agent, done = await SETUPS[setup](session)
        await session.start(agent)
        await turns(session, agent, count)
        await session.aclose()
        await done()


def count(setup: str, turns_: int) -> int:
    """The instructions of a process with so many turns."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={folder}/out",
            sys.executable,
            "-m",
            "benchmarks.instructions",
            f"--work={setup}",
            f"--turns={turns_}",
        ]
        # Hashes that differ from run to run change how full the buckets of dictionaries are.
        environment = {"BENCH_JOURNAL": f"{folder}/journal.db", "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, check=False
        )
    found = _COUNTED.search(done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"valgrind failed: {done.stderr[-500:]}")
    return int(found[1])


def compare(turns_: int) -> dict[str, float]:
    """The instructions of one turn, by what is measured."""
    runs = [(name, WARM_UP + more) for name in MEASURED for more in (0, turns_)]
    with ThreadPoolExecutor(os.cpu_count()) as at_once:
        counted = dict(
            zip(runs, at_once.map(lambda run: count(MEASURED[run[0]], run[1]), runs), strict=True)
        )
    return {
        name: (counted[name, WARM_UP + turns_] - counted[name, WARM_UP]) / turns_
        for name in MEASURED
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--work", choices=list(SETUPS), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    if chosen.work is not None:
        gc.disable()  # when it runs is chance
        asyncio.run(work(chosen.work, chosen.turns))
        return
    if shutil.which("valgrind") is None:
        print("no instructions are counted: valgrind is not installed (apt-get install valgrind)")
        return
    each = compare(chosen.turns)
    plain = each["plain Agent"]
    table = Table("a turn", "instructions", "added", "of a plain turn", title="Instructions")
    for name, instructions in each.items():
        added = instructions - plain
        row = ("", "") if name == "plain Agent" else (_millions(added), f"{added / plain:.0%}")
        table.add_row(name, _millions(instructions), *row)
    Console(width=100).print(table)


def _millions(instructions: float) -> str:
    return f"{instructions / 1e6:.2f} M"


if __name__ == "__main__":
    main()
