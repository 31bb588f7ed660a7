"""An event loop on which nothing takes time: when all tasks wait, its clock jumps to the next
timer.

A call of a minute runs in milliseconds, and twice the same: whatever is due at the same moment runs
in the order in which it was asked for. LiveKit reads ``time.time`` and ``time.perf_counter`` beside
the loop's clock, the recorder ``time.perf_counter_ns``; while the loop runs they follow it. Work on
other threads is waited for in real time, with the clock standing still; what another process does
is not waited for."""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch

from livekit.agents import inference, llm, voice
from pydantic import BaseModel

from prefactor_agent.core import clock as recorded

from .waiting import PATIENCE

T = TypeVar("T")

EPOCH = 1_750_000_000.0
"""What time it is when a run begins."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; ``turns`` counts how often it has gone round.

    Args:
        look: Seconds that it takes to look at a clock. LiveKit divides by how long a model's answer
            took, and that is nothing here, if that is nothing.
    """

    def __init__(self, look: float = 0.0) -> None:
        self.now = 0.0
        self.turns = 0
        self._look = look
        self._last_ns = 0
        self.elsewhere: set[asyncio.Future[Any]] = set()
        """Work on other threads."""
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now

    def clock(self) -> float:
        self.now += self._look
        return self.now

    def clock_ns(self) -> int:
        # LiveKit puts speeches in order by it (voice/agent_activity.py, ``_schedule_speech``): of
        # two readings the later one is greater.
        self._last_ns = max(self._last_ns + 1, int(self.clock() * 1e9))
        return self._last_ns

    def run_forever(self) -> None:
        with _told_by(self):
            super().run_forever()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        self.elsewhere.add(future)
        future.add_done_callback(self.elsewhere.discard)
        return future


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        loop = self._loop
        loop.turns += 1
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or loop.elsewhere:
            ready = super().select(PATIENCE)
            if not ready:
                raise TimeoutError("every task waits, and nothing is left to wake one")
            return ready
        ready = super().select(0)
        if not ready:
            loop.now += timeout
        return ready


def run(main: Coroutine[Any, Any, T], look: float = 0.0) -> T:
    """``asyncio.run`` on a :class:`VirtualLoop`."""
    with asyncio.Runner(loop_factory=partial(VirtualLoop, look=look)) as runner:
        return runner.run(main)


@contextmanager
def _told_by(loop: VirtualLoop) -> Iterator[None]:
    """Time as the loop tells it, for LiveKit and for what is recorded."""
    thread, monotonic = threading.get_ident(), time.monotonic

    def wall() -> float:
        return EPOCH + loop.clock()

    def waited() -> float:
        # What another thread does, it does in real time, and so it waits.
        return loop.clock() if threading.get_ident() == thread else monotonic()

    clocks: list[tuple[Any, str, Any]] = [
        (time, "time", wall),
        (time, "time_ns", lambda: int(wall() * 1e9)),
        (time, "perf_counter", loop.clock),
        (time, "perf_counter_ns", loop.clock_ns),
        (time, "monotonic", waited),
        (recorded, "_anchor_ns", int(EPOCH * 1e9)),
    ]
    for name, module in sys.modules.items():
        if name.startswith("prefactor_agent.") and vars(module).get("now_ns") is recorded.now_ns:
            clocks.append((module, "now_ns", loop.clock_ns))
    with ExitStack() as patches:
        for patched in clocks:
            patches.enter_context(patch.object(*patched))
        yield


def _look_time_up() -> None:
    """LiveKit's events and chat items hold ``time.time`` itself as the default of ``created_at``,
    which no patch reaches: let them look it up."""
    real = time.time
    modules = (llm.chat_context, voice.events, inference.interruption)
    for module in modules:
        for kind in vars(module).values():
            if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
                continue
            stamped = [one for one in kind.model_fields.values() if one.default_factory is real]
            for field in stamped:
                field.default_factory = lambda: time.time()
            if stamped:
                kind.model_rebuild(force=True)


_look_time_up()
