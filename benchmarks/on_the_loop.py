"""What our functions take on the event loop in a spoken call, timed where LiveKit calls them.

A profiler that looks at every call overstates what is called now and then: its own reading of the
clock has left the processor's caches, too, and costs many times what it does in a tight loop (in a
call it said twice the truth). So only the outermost functions of ours are timed, and each reading
of the clock that counts has one right before it, whose cost is taken off.

Import this module before the tracer's: it changes how entries from LiveKit are made
(:mod:`prefactor_agent.core.guard`)."""

from __future__ import annotations

import asyncio
import functools
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from livekit import rtc

from prefactor_agent.core import guard

_clock = time.thread_time_ns


class Meter:
    """Adds up what the outermost functions of ours take on one thread, while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.ns = 0
        self.frames = 0
        """Frames that were looked at."""
        self._thread = threading.get_ident()
        self._inside = False

    def timed(self, function: Callable[..., Any], *, frames: bool = False) -> Callable[..., Any]:
        """``function``, whose time counts unless it is called by another that counts.

        Args:
            frames: Each call is one frame.
        """

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            if not self.on or self._inside or threading.get_ident() != self._thread:
                return function(*args, **named)
            self._inside = True
            self.frames += frames
            before = _clock()
            begun = _clock()
            try:
                return function(*args, **named)
            finally:
                self.ns += _clock() - begun - (begun - before)
                self._inside = False

        return call


def install(meter: Meter) -> None:
    """Time every entry from LiveKit into the tracer: what is guarded, what listens to events, what
    is called with an item that passes or when a stream or a call ends."""
    assert "prefactor_agent.tracing" not in sys.modules, "the tracer is imported already"
    guarded, listener = guard.guarded, guard.listener

    def timed_guarded(seam: str) -> Any:
        return lambda function: meter.timed(guarded(seam)(function))

    def timed_listener(handler: Callable[[Any], object]) -> Any:
        told = meter.timed(listener(handler))
        told.__signature__ = guard._ALL_IT_HAS  # type: ignore[attr-defined]
        return told

    guard.guarded, guard.listener = timed_guarded, timed_listener
    from prefactor_agent.record.intercept import calls

    observed = calls.observed
    calls.observed = lambda function, begin, like=None: observed(function, meter.timed(begin), like)
    import prefactor_agent.tools
    import prefactor_agent.tracing  # noqa: F401

    for module in [one for name, one in sys.modules.items() if name.startswith(_RECORD)]:
        for kind in [one for one in vars(module).values() if isinstance(one, type)]:
            if kind.__module__ != module.__name__ or getattr(kind, "_is_protocol", False):
                continue
            for name in ("look", "end", "returned", "raised"):
                if (method := kind.__dict__.get(name)) and not hasattr(method, "__wrapped__"):
                    setattr(kind, name, meter.timed(method, frames=name == "look"))


_RECORD = "prefactor_agent.record."


def passing_on_us(times: int = 200) -> float:
    """What it costs that a frame passes through our stand-in for a stream, in microseconds, without
    what is done with it: the median, with everything else put out of the caches before each."""
    from prefactor_agent.record.intercept.passthrough import proxy_stream

    class Stream:
        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> rtc.AudioFrame:
            return frame

    class Nothing:
        stream = None

        def look(self, item: Any) -> None: ...

        def end(self, error: BaseException | None) -> None: ...

    async def measured() -> float:
        streams: list[Any] = [Stream(), aiter(proxy_stream(Stream(), Nothing()))]
        took: list[list[int]] = [[], []]
        for _ in range(times):
            for which in random.sample((0, 1), 2):
                _something_else()
                before = _clock()
                begun = _clock()
                await anext(streams[which])
                took[which].append(_clock() - begun - (begun - before))
        plain, passed = map(statistics.median, took)
        return max(0.0, passed - plain) / 1e3

    frame = rtc.AudioFrame(bytes(960), 24_000, 1, 480)
    return asyncio.run(measured())


_MUCH = np.zeros(4_000_000)


def _something_else() -> None:
    import json
    import textwrap

    _MUCH.sum()
    json.dumps([{"a": number, "b": str(number)} for number in range(300)], indent=1)
    textwrap.wrap("lorem ipsum dolor " * 60, 40)
