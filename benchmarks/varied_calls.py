"""A journal of many different calls: `PYTHONPATH=tests python -m benchmarks.varied_calls JOURNAL`.

Each is a real session of LiveKit's with a real recorder, between a scripted caller and scripted
models, on a virtual clock: two agents, three versions of one of them, over two weeks. How fast the
models are, which tools fail and when the caller interrupts is drawn, and the same each time. The
picture in docs/stats.md is made of it."""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livekit.agents import ToolError

import prefactor_agent
from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.testing import collecting
from support import virtual_time
from support.line import Line
from support.scripted import Heard, ScriptedLLM, ScriptedSTT, ScriptedTTS, Step, Tokens, Use, Wait
from view.journals import write

CALLS, DAYS = 200, 14
RATES = {
    "scripted-llm": {"input": 0.4, "output": 1.6},
    "scripted-stt": {"minute": 0.0043},
    "scripted-tts": {"characters": 30.0},
}


@dataclass(frozen=True)
class Release:
    """A version of an agent, and how fast it is, in seconds."""

    version: str
    first_day: float
    """Before the end, so many days."""
    llm: float
    """To the first token, in the middle."""
    tts: float
    endpointing: float
    tool_fails: float
    """The share of its tool calls."""
    interrupted: float
    """The share of its answers."""


RELEASES = (
    Release("1.3", 14.0, 0.45, 0.22, 0.5, 0.03, 0.07),
    Release("1.4", 9.0, 0.75, 0.22, 0.5, 0.12, 0.12),
    Release("1.5", 4.0, 0.40, 0.14, 0.25, 0.03, 0.08),
)
"""Of the shop's agent. 1.4 made it slower, 1.5 mended that."""
CLINIC = Release("7", 14.0, 0.55, 0.30, 0.6, 0.02, 0.05)
QUESTIONS = ("Where is my order?", "Can I change it?", "When does it ship?", "Thank you.")
ANSWERS = (
    "Your order has left the warehouse this morning.",
    "Yes, you can change it until it has been packed, and I can do that for you.",
    "It ships tomorrow, before noon, and arrives on Friday.",
)


class Shop(TracedAgent):
    """Answers the phone of a shop."""

    def __init__(self, release: Release, chance: random.Random) -> None:
        super().__init__(instructions="Answer the phone of a shop.")
        self._release, self._chance = release, chance

    async def on_enter(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.1, 0.4))
        self.session.say("Good morning, how can I help?")

    async def _works(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._chance.lognormvariate(0, 0.5))
        if self._chance.random() < self._release.tool_fails:
            raise ToolError("the shop's computer does not answer")

    @traced_tool
    async def find_order(self, number: int) -> str:
        """Find an order by its number."""
        await self._works(0.35)
        return "shipped"

    @traced_tool
    async def change_order(self, number: int) -> str:
        """Change an order."""
        await self._works(0.8)
        return "changed"


class Clinic(Shop):
    """Answers the phone of a clinic."""

    @traced_tool
    async def free_slots(self, day: str) -> str:
        """Tell when somebody has time."""
        await self._works(0.5)
        return "at nine"


def turns(release: Release, tools: tuple[str, ...], chance: random.Random) -> Iterator[list[Step]]:
    """What the model answers, request by request."""

    def first() -> Wait:
        return Wait(release.llm * chance.lognormvariate(0, 0.35))

    arguments: dict[str, dict[str, Any]] = {"free_slots": {"day": "Monday"}}
    while True:
        if chance.random() < 0.35:
            tool = chance.choice(tools)
            use = Use(tool, arguments.get(tool, {"number": 7}))
            yield [first(), use, Tokens(chance.randint(400, 900), 20)]
        if chance.random() < 0.01:
            yield [first(), ConnectionError("the model's server has gone")]
        answer = chance.choice(ANSWERS)
        yield [first(), answer, Tokens(chance.randint(400, 1200), len(answer) // 4)]


async def talk(release: Release, agent: type[Shop], chance: random.Random) -> None:
    """One call."""
    tools = ("find_order", "change_order") if agent is Shop else ("free_slots",)
    requests = turns(release, tools, chance)
    count = chance.randint(3, 8)
    heard = [Heard(chance.choice(QUESTIONS), delay=chance.uniform(0.02, 0.2)) for _ in range(40)]
    line = Line(
        hears=ScriptedSTT(*heard),
        thinks=ScriptedLLM(*(next(requests) for _ in range(60))),
        speaks=ScriptedTTS(
            first_byte=release.tts * chance.lognormvariate(0, 0.2),
            leading_silence=0.08,
            seconds_per_character=0.05,
        ),
        endpointing={"min_delay": release.endpointing, "max_delay": release.endpointing + 1},
    )
    await line.session.start(agent(release, chance))
    await line.answers(1)
    for _ in range(count):
        await line.says(chance.uniform(0.5, 1.5), then=0.8)
        if chance.random() < release.interrupted:
            await in_state(line, "speaking")
            await asyncio.sleep(0.6)
            await line.says(0.8, then=0.8)
        await in_state(line, "speaking")
        await in_state(line, "listening")
        await asyncio.sleep(chance.uniform(0.3, 1.5))
    await line.session.aclose()


async def in_state(line: Line, state: str) -> None:
    """Wait until the agent speaks or listens, ten seconds at most: an answer may fail."""
    for _ in range(1000):
        if line.session.agent_state == state:
            return
        await asyncio.sleep(0.01)


def play(began: float, release: Release, agent: type[Shop], seed: int) -> list[StoredSpan]:
    """The spans of one call that begins at a moment, in seconds since the Unix epoch."""
    virtual_time.EPOCH = began
    prefactor_agent.configure(agent_version=release.version, rates=RATES)
    with collecting() as trace:

        async def played() -> list[StoredSpan]:
            await talk(release, agent, random.Random(seed))
            return trace.spans()  # while the clock is that of the call

        return virtual_time.run(played())


def calls(count: int, until_s: float) -> Iterator[list[StoredSpan]]:
    """Calls over the days before a moment; fewer at night."""
    chance = random.Random(11)
    moments = []
    while len(moments) < count:
        ago = chance.uniform(0, DAYS * 86_400)
        hour = time.localtime(until_s - ago).tm_hour
        if 8 <= hour < 20 or chance.random() < 0.1:
            moments.append(ago)
    for seed, ago in enumerate(sorted(moments, reverse=True)):
        days = ago / 86_400
        release = next(one for one in reversed(RELEASES) if days <= one.first_day)
        clinic = chance.random() < 0.3
        began = until_s - ago
        yield play(began, CLINIC if clinic else release, Clinic if clinic else Shop, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description="Many different calls.")
    parser.add_argument("journal", type=Path, help="is made, and replaced if it is there")
    parser.add_argument("--calls", type=int, default=CALLS)
    arguments = parser.parse_args()
    for end in ("", "-wal", "-shm"):
        Path(f"{arguments.journal}{end}").unlink(missing_ok=True)
    write(arguments.journal, *calls(arguments.calls, time.time()))


if __name__ == "__main__":
    main()
