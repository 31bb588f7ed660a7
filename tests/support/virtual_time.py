"""An event loop on which nothing takes time: when all tasks wait, its clock jumps to the next
timer.

A call of a minute runs in milliseconds, and twice the same: whatever is due at the same moment runs
in the order in which it was asked for. LiveKit reads ``time.time`` and ``time.perf_counter`` beside
the loop's clock; while :func:`run` runs they follow it. Work on other threads is waited for in real
time, with the clock standing still."""

from __future__ import annotations

import asyncio
import itertools
import selectors
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from livekit.agents import inference, llm, voice
from pydantic import BaseModel

T = TypeVar("T")

EPOCH = 1_750_000_000.0
"""What time it is when a run begins."""
FOREVER = 10.0
"""Seconds that the loop waits for another thread when no timer is left, before it gives up."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; ``turns`` counts how often it has gone round."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self.elsewhere: set[asyncio.Future[Any]] = set()
        """Work on other threads."""
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now

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
            ready = super().select(FOREVER)
            if not ready:
                raise TimeoutError("every task waits, and nothing is left to wake one")
            return ready
        ready = super().select(0)
        if not ready:
            loop.now += timeout
        return ready


def run(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on a :class:`VirtualLoop`, with ``time`` as that loop tells it."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        with _told_by(loop):
            return runner.run(main)


@contextmanager
def _told_by(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    ticks = itertools.count()

    def wall() -> float:
        return EPOCH + loop.time()

    def order() -> int:
        # LiveKit puts speeches in order by it (voice/agent_activity.py, ``_schedule_speech``): of
        # two readings the later one is greater.
        return int(loop.time() * 1e9) + next(ticks)

    with (
        patch.object(time, "time", wall),
        patch.object(time, "time_ns", lambda: int(wall() * 1e9)),
        patch.object(time, "perf_counter", loop.time),
        patch.object(time, "perf_counter_ns", order),
        patch.object(time, "monotonic", loop.time),
    ):
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
