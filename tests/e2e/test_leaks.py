"""Nothing of ours outlives a closed session: a thousand calls in one process, with the journal.

What LiveKit itself keeps is measured first, with plain agents. The calls are all made from one
task, whose context goes on, as in a program that makes one call after the other."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, function_tool

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.core.guard import failures
from prefactor_agent.core.span import Span
from prefactor_agent.journal import writer
from prefactor_agent.record.recorder import SessionRecorder
from prefactor_agent.record.turns.turn import AssistantTurn
from prefactor_agent.tracing import tracer
from support.scripted import ScriptedLLM, ScriptedTTS, Speaker, Use

CALLS = 1_000
HALF = CALLS // 2
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    ours: Counter[type]
    """Objects of our classes, by class."""
    objects: int
    tasks: int
    threads: int
    files: int
    memory: int
    """Bytes in use, less the pages of files, which come and go with what else the machine does."""

    @staticmethod
    def now() -> Held:
        gc.collect()
        _give_back_what_is_free()
        _, resident, of_files, *_ = map(int, Path("/proc/self/statm").read_text().split())
        objects = gc.get_objects()
        kinds = Counter(map(type, objects))
        return Held(
            ours=Counter({k: n for k, n in kinds.items() if _is_ours(k)}),
            objects=len(objects),
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
            files=len(list(Path("/proc/self/fd").iterdir())),
            memory=(resident - of_files) * os.sysconf("SC_PAGESIZE"),
        )


def _give_back_what_is_free() -> None:
    """glibc keeps freed memory for later, as much as there once was of it at a time."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _is_ours(kind: type) -> bool:
    return str(kind.__module__).startswith("prefactor_agent.")


def agents(base: Any, tool: Any) -> Any:
    class Other(base):  # type: ignore[misc]
        async def on_enter(self) -> None:
            self.session.say("I am another.")

    class Mine(base):  # type: ignore[misc]
        @tool
        async def look(self, x: int) -> str:
            """Look."""
            if x == 3:
                raise ValueError("nothing there")
            return f"seen {x}"

        @tool
        async def hand_over(self) -> Any:
            """Hand over."""
            return Other(instructions="be another"), "handed over"

    return Mine


async def call(mine: Any, number: int) -> None:
    """One of four calls: a tool, a tool that fails, a handoff, an end in the middle of a speech."""
    reply = [Use("hand_over")] if number % 4 == 2 else [Use("look", {"x": number % 4})]
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM(reply, "These are a few words."), tts=ScriptedTTS()
    )
    session.output.audio = Speaker(speed=1 if number % 4 == 1 else 1000)
    await session.start(mine(instructions="be"))
    if number % 4 == 1:
        session.generate_reply(user_input="hello")
        while session.agent_state != "speaking":
            await asyncio.sleep(0)
        await session.interrupt()
    else:
        await session.run(user_input="hello")
    await session.aclose()


async def test_a_thousand_calls_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps what is logged, and with it the exceptions.
    monkeypatch.setattr(logging.getLogger("livekit.agents"), "disabled", True)
    # The journal's thread is there, with its file open, whenever it is counted.
    monkeypatch.setattr(writer, "IDLE_SECONDS", 3600)
    plain, traced = agents(Agent, function_tool), agents(TracedAgent, traced_tool)
    await asyncio.to_thread(gc.collect)  # asyncio's own thread, which is used below
    for number in range(40):
        await call(plain, number)
    before = Held.now()
    for number in range(80):
        await call(plain, number)
    livekits = Held.now().objects - before.objects  # what LiveKit keeps of 80 calls

    seen = []
    for number in range(1, CALLS + 1):
        await call(traced, number)
        if number % 10 == 0:
            # Never more than ten calls wait: what many at a time took, allocators don't give back.
            assert await asyncio.to_thread(tracer.flush, 60)
        if number % HALF == 0:
            seen.append(Held.now())
    early, late = seen

    assert not failures
    assert late.ours == early.ours
    assert not {SessionRecorder, AssistantTurn, Span} & late.ours.keys()
    assert late.objects - early.objects < max(0, livekits) / 80 * HALF + 200
    assert late.tasks == early.tasks == before.tasks
    assert late.threads == early.threads == before.threads + 1  # the journal's
    assert late.files == early.files
    assert late.memory - early.memory < 8 * MEBIBYTE
