"""Compares the pickup that a caller hears over a real LiveKit server with the trace.

`python -m benchmarks.pickup_truth`: calls on the loopback, one after the other, each to a worker
that has a process ready (`warm`) or has yet to make one (`cold`). A caller joins, waits for the
greeting and records it at its own end; both times begin when the server let the caller in. What the
caller hears has the network, a jitter buffer and the codec in it, which no agent can hear."""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livekit import rtc
from rich.console import Console
from rich.table import Table
from samples.offline.livekit_binary import UnavailableError
from samples.offline.livekit_server import KEY, SECRET
from samples.offline.phone import Phone, token
from samples.offline.waveform import first_sound
from tests.support.livekit import Site, Worker, trace_of

from prefactor_agent.record.room.network import Reading, estimate, read

CODEC_MS = 20 + 6.5
"""One way, a sample waits until Opus has the whole of its frame (WebRTC's are of 20 ms) and what it
looks ahead (6.5 ms; RFC 6716, 2.1.4 and RFC 7587). No statistics tell it."""
WARM = Path(__file__).parents[1] / "tests" / "e2e" / "agents" / "warm.py"
"""The agent that has a process ready."""
TARGET_MS = 40.0
EVERY = 0.2
"""Seconds from one reading of the network to the next."""


@dataclass
class Call:
    """One call; all in milliseconds."""

    process: str
    """``cold`` or ``warm``."""
    heard: float
    """From the caller's arrival to the first sound at their ear."""
    pickup: float
    """The same in the trace, up to the agent's node."""
    down: float
    """From the agent to the caller's ear, as the caller's WebRTC tells it."""
    stages: dict[str, float]

    @property
    def unexplained(self) -> float:
        return self.heard - self.pickup - self.down - CODEC_MS


class Network:
    """What the caller's WebRTC says of the agent's track, every so often."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._readings: list[tuple[float, Reading]] = []

    async def watch(self) -> None:
        """Take readings until cancelled."""
        while True:
            for person in self._phone.room.remote_participants.values():
                for publication in person.track_publications.values():
                    if isinstance(publication.track, rtc.RemoteAudioTrack):
                        reading = read(await publication.track.get_stats())
                        self._readings.append((time.monotonic(), reading))
            await asyncio.sleep(EVERY)

    def around(self, moment: float) -> float:
        """How long sound was on its way and in the jitter buffer at about this moment: the buffer
        grows and shrinks in a call."""
        before = [reading for at, reading in self._readings if at <= moment]
        after = [reading for at, reading in self._readings if at > moment + EVERY]
        last = after[0] if after else self._readings[-1][1]
        found: Any = estimate(before[-1] if before else None, last)
        return sum(found.values())


async def hold(site: Site, worker: Worker, room: str, process: str) -> Call | None:
    """Make one call, and hang up after the greeting."""
    ticket = token(KEY, SECRET, room, "caller")
    async with await Phone().dial(site.livekit.url, ticket) as phone:
        network = Network(phone)
        watching = asyncio.create_task(network.watch())
        await site.has_agent(room)
        await phone.answered()
        watching.cancel()
        greeting = phone.ear.between(phone.joined_at, time.monotonic())
    heard = first_sound(greeting.samples, greeting.rate)
    trace = await asyncio.to_thread(trace_of, worker.journal, room)
    pickup: Any = (trace.session.result or {}).get("pickup")
    if heard is None or pickup is None:
        print(f"{room}: {heard} s heard, {pickup} in the trace")
        return None
    stages = {one["name"]: one["ms"] for one in pickup["stages"]}
    assert round(sum(one["ms"] for one in pickup["stages"]), 3) == pickup["ms"]
    down = network.around(phone.joined_at + heard)
    return Call(process, heard * 1000, pickup["ms"], down, stages)


async def run(calls: int) -> list[Call]:
    """So many calls of each kind."""
    found: list[Call | None] = []
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder)) as site:
        with site.worker(WARM) as worker:
            await asyncio.sleep(10)
            for number in range(calls):
                found.append(await hold(site, worker, f"warm {number}", "warm"))
                await asyncio.sleep(5)  # it makes another one
        with site.worker() as worker:  # `dev` makes one when a call comes
            found += [await hold(site, worker, f"cold {n}", "cold") for n in range(calls)]
    return [one for one in found if one is not None]


def show(console: Console, calls: list[Call]) -> None:
    table = Table("process", box=None)
    for heading in ("calls", "at the ear", "pickup", "down", "unexplained"):
        table.add_column(heading, justify="right")
    kinds = [*dict.fromkeys(one.process for one in calls), "all"]
    for kind in kinds:
        rows = [one for one in calls if kind in (one.process, "all")]
        names = ("heard", "pickup", "down", "unexplained")
        medians = [statistics.median(getattr(one, name) for one in rows) for name in names]
        table.add_row(kind, str(len(rows)), *(f"{value:.0f} ms" for value in medians))
    console.print(table)
    for kind in kinds[:-1]:
        rows = [one for one in calls if one.process == kind]
        names = list(dict.fromkeys(name for one in rows for name in one.stages))
        median = {n: statistics.median(one.stages.get(n, 0.0) for one in rows) for n in names}
        console.print(f"{kind}: " + ", ".join(f"{n} {ms:.0f} ms" for n, ms in median.items()))
    console.print(f"Opus: {CODEC_MS} ms one way, as it is defined")
    for name, errors in (
        ("unexplained", [abs(one.unexplained) for one in calls]),
        ("pickup alone", [abs(one.heard - one.pickup) for one in calls]),
    ):
        errors.sort()
        p95 = errors[math.ceil(len(errors) * 0.95) - 1]
        met = f", target {TARGET_MS:.0f} ms at p95" if name == "unexplained" else ""
        console.print(
            f"{name}: median {statistics.median(errors):.1f} ms, p95 {p95:.1f} ms, "
            f"worst {errors[-1]:.1f} ms over {len(errors)} calls{met}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10, help="of each kind")
    try:
        show(Console(width=110), asyncio.run(run(parser.parse_args().calls)))
    except UnavailableError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
