"""Compares the silence that a caller hears over a real LiveKit server with the trace.

`python -m benchmarks.latency_network`: half a minute a call, in real time, on the loopback. A
worker is started as `python samples/agent.py dev`; a caller speaks over WebRTC and records both
voices at its own end. What it hears has the network and two jitter buffers in it, which no agent
can hear: the one at the agent's end is in the trace (`network_estimate`), the one at the caller's
is asked for here."""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livekit import rtc
from rich.console import Console
from rich.table import Table
from samples.offline.livekit_binary import UnavailableError
from samples.offline.livekit_server import KEY, SECRET
from samples.offline.phone import Phone, token
from samples.offline.waveform import silences
from tests.support.livekit import Site, trace_of

from prefactor_agent.demo.recording import RATE, stereo
from prefactor_agent.demo.script import KETTLE, RETURN, WHERE
from prefactor_agent.record.room.network import Reading, estimate, read

VOICES = ("en-us", "en-us-nyc", "en", "en-gb-scotland", "en-gb-x-rp")
QUESTIONS = (WHERE, KETTLE, RETURN)
CODEC_MS = 2 * (20 + 6.5)
"""Both ways, a sample waits until Opus has the whole of its frame (WebRTC's are of 20 ms) and what
it looks ahead (6.5 ms; RFC 6716, 2.1.4 and RFC 7587). No statistics tell it."""


@dataclass
class Turn:
    """One answered question; all in milliseconds."""

    voice: str
    heard: float
    """The silence at the caller's ear."""
    perceived: float
    """The silence at the agent's nodes."""
    told: float | None
    """LiveKit's `e2e_latency`."""
    up: float
    """From the caller to the agent's nodes, as the trace tells it."""
    down: float
    """From the agent to the caller's ear, as the caller's WebRTC tells it."""

    @property
    def unexplained(self) -> float:
        return self.heard - self.perceived - self.up - self.down - CODEC_MS


async def _ear(phone: Phone) -> Reading | None:
    for person in phone.room.remote_participants.values():
        for publication in person.track_publications.values():
            if isinstance(publication.track, rtc.RemoteAudioTrack):
                return read(await publication.track.get_stats())
    return None


async def hold(site: Site, journal: Path, room: str, voice: str) -> list[Turn]:
    """Make one call with some questions, in one voice."""
    downs: list[float] = []
    ticket = token(KEY, SECRET, room, "caller")
    async with await Phone(voice=voice).dial(site.livekit.url, ticket) as phone:
        await phone.answered()
        begun = asyncio.get_running_loop().time()
        before = await _ear(phone)
        for question in QUESTIONS:
            await asyncio.sleep(0.5)
            await phone.say(question)
            await phone.answered()
            now = await _ear(phone)
            found: Any = estimate(before, now) if now is not None else {}
            downs.append(found.get("jitter_buffer_ms", 0.0) + found.get("half_round_trip_ms", 0.0))
            before = now
        ended = asyncio.get_running_loop().time()
    both = stereo(phone.microphone.track, phone.ear, begun, ended)
    heard = silences(both[:, 0], both[:, 1], RATE)
    trace = await asyncio.to_thread(trace_of, journal, room)
    results = [one.result or {} for one in trace.of("assistant_turn")]
    answers = [one for one in results if "latency" in one]
    if not len(heard) == len(answers) == len(downs):
        print(f"{voice}: {len(heard)} silences heard, {len(answers)} in the trace")
        return []
    return [
        Turn(
            voice,
            seconds * 1000,
            answer["latency"]["perceived_ms"],
            _milliseconds(answer.get("metrics", {}).get("e2e_latency")),
            sum(answer.get("network_estimate", {}).values()),
            down,
        )
        for (_, seconds), answer, down in zip(heard, answers, downs, strict=True)
    ]


def _milliseconds(seconds: float | None) -> float | None:
    return seconds * 1000 if seconds is not None else None


async def run(calls: int) -> list[Turn]:
    turns: list[Turn] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Site(Path(folder)) as site,
        site.worker() as worker,
    ):
        for number in range(calls):
            voice = VOICES[number % len(VOICES)]
            turns += await hold(site, worker.journal, f"call {number}", voice)
    return turns


def show(console: Console, turns: list[Turn]) -> None:
    table = Table("voice", box=None)
    for heading in ("turns", "at the ear", "perceived", "up", "down", "unexplained", "e2e_latency"):
        table.add_column(heading, justify="right")
    for voice in [*dict.fromkeys(one.voice for one in turns), "all"]:
        rows = [one for one in turns if voice in (one.voice, "all")]
        told = [one.told for one in rows if one.told is not None]
        medians = [
            statistics.median(getattr(one, name) for one in rows)
            for name in ("heard", "perceived", "up", "down", "unexplained")
        ]
        table.add_row(
            voice,
            str(len(rows)),
            *(f"{value:.0f} ms" for value in medians),
            f"{statistics.median(told):.0f} ms" if told else "",
        )
    console.print(table)
    console.print(f"Opus: {CODEC_MS:.0f} ms both ways, as it is defined")
    for name, errors in (
        ("unexplained", [abs(one.unexplained) for one in turns]),
        ("perceived alone", [abs(one.heard - one.perceived) for one in turns]),
        ("e2e_latency", [abs(one.heard - one.told) for one in turns if one.told is not None]),
    ):
        errors.sort()
        p95 = errors[math.ceil(len(errors) * 0.95) - 1]
        console.print(
            f"{name}: median {statistics.median(errors):.1f} ms, p95 {p95:.1f} ms, "
            f"worst {errors[-1]:.1f} ms over {len(errors)} turns"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10)
    try:
        show(Console(width=110), asyncio.run(run(parser.parse_args().calls)))
    except UnavailableError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
