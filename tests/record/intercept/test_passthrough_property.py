"""A watched stream is the bare stream, whatever either side does and in whatever order.

Hypothesis makes up a source (what it does between its yields) and a reader (what it does with the
stream). Both runs, bare and watched, note everything that either side sees, and in which turn of
the event loop; the notes have to be equal."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.agents import StopResponse

from prefactor_agent.core.guard import failures
from prefactor_agent.record.intercept.passthrough import observe, proxy_stream
from prefactor_agent.record.spans.stream import Stream
from support import virtual_time

FLAG: contextvars.ContextVar[str] = contextvars.ContextVar("flag", default="unset")


class Notes:
    """The watcher: what it was told."""

    def __init__(self, fast: bool) -> None:
        self.stream = Stream(0) if fast else None
        self.looked: list[Any] = []
        self.ends: list[Any] = []

    def look(self, item: Any) -> None:
        self.looked.append(item)

    def end(self, error: BaseException | None) -> None:
        self.ends.append(type(error))  # to keep the error itself would keep what it passed

    @property
    def items(self) -> list[Any]:
        return self.looked if self.stream is None else list(self.stream.items)


class Log(list[Any]):
    """What happened, each with the turn of the loop in which it did."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualLoop)
        self._loop, self._begun = loop, loop.turns

    def note(self, *what: Any) -> None:
        self.append((self._loop.turns - self._begun, *what))


# Sources

STEPS = [
    "yield",
    "yield",
    "wait",
    "sleep",
    "raise",
    "raise stop",
    "raise cancelled",
    "guard",
    "swallow",
    "resist cancelling",
    "set",
]


class TroubleError(Exception):
    pass


async def generator(steps: list[str], log: Log) -> Any:
    number = itertools.count(1)
    for step in [*steps, "end"]:
        try:
            log.note("source", step)
            match step:
                case "yield":
                    log.note("sent", (yield next(number)))
                case "guard":
                    try:
                        yield next(number)
                    finally:
                        await asyncio.sleep(0)
                        log.note("cleaned up")
                case "swallow":
                    try:
                        yield next(number)
                    except TroubleError as error:
                        log.note("swallowed", str(error))
                case "yield when closed":
                    try:
                        yield next(number)
                    except GeneratorExit:
                        yield next(number)
                case _:
                    await _do(step, log)
        except BaseException as error:
            log.note("in the source", type(error).__name__)
            raise


async def _do(step: str, log: Log) -> None:
    """The steps that any source can make."""
    match step:
        case "wait":
            await asyncio.sleep(0)
        case "sleep":
            await asyncio.sleep(0.1)
        case "raise":
            raise ValueError(step)
        case "raise stop":
            raise StopResponse
        case "raise cancelled":
            raise asyncio.CancelledError(step)
        case "resist cancelling":
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                log.note("resisted")
        case "set":
            log.note("flag", FLAG.get())
            FLAG.set("set in the source")


class Iterator:
    """No generator: it goes on after an exception or a cancelled read."""

    def __init__(self, steps: list[str], log: Log) -> None:
        self._steps, self._log, self._number = iter(steps), log, itertools.count(1)

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        for step in self._steps:
            self._log.note("source", step)
            if step in ("yield", "guard", "swallow"):
                return next(self._number)
            try:
                await _do(step, self._log)
            except BaseException as error:
                self._log.note("in the source", type(error).__name__)
                raise
        raise StopAsyncIteration


class Closeable(Iterator):
    async def aclose(self) -> None:
        self._log.note("aclose")
        await asyncio.sleep(0)
        self._steps = iter(())


class Entered(Closeable):
    async def __aenter__(self) -> Any:
        self._log.note("enter")
        return self

    async def __aexit__(self, *exception: Any) -> bool:
        self._log.note("exit", exception[0])
        return exception[0] is TroubleError


class Iterable:
    """Gives a fresh generator each time."""

    def __init__(self, steps: list[str], log: Log) -> None:
        self._steps, self._log = steps, log

    def __aiter__(self) -> Any:
        return generator(self._steps, self._log)


SOURCES: list[Callable[..., Any]] = [generator, Iterator, Closeable, Entered, Iterable]


# The reader

READS = [
    "next",
    "next",
    "next",
    "cancel",
    "cancel later",
    "give up",
    "two at once",
    "close",
    "loop",
    "rest",
    "throw",
    "throw stop",
    "throw cancelled",
    "throw exit",
    "send",
    "iterate again",
    "enter",
    "drop",
]
OF_GENERATORS = {"throw", "throw stop", "throw cancelled", "throw exit", "send"}


async def read(  # noqa: C901  # one list of steps
    stream: Any, steps: list[str], log: Log, thrown: TroubleError
) -> None:
    iterator = aiter(stream)
    for step in steps:
        if step in OF_GENERATORS and not hasattr(iterator, "athrow"):
            continue
        log.note("reader", step)
        try:
            match step:
                case "next":
                    log.note(await anext(iterator))
                case "cancel" | "cancel later":
                    task = asyncio.ensure_future(anext(iterator))
                    await asyncio.sleep(0.05 if step == "cancel later" else 0)
                    task.cancel("by the reader")
                    log.note(await task)
                case "give up":
                    async with asyncio.timeout(0.05):
                        log.note(await anext(iterator))
                case "two at once":
                    both = await asyncio.gather(
                        anext(iterator), anext(iterator), return_exceptions=True
                    )
                    log.note(*(one if isinstance(one, int) else repr(one) for one in both))
                case "close" if hasattr(iterator, "aclose"):
                    log.note(await iterator.aclose())
                case "loop":
                    async for item in stream:
                        log.note(item)
                        break
                case "rest":
                    async for item in iterator:
                        log.note(item, FLAG.get())
                case "throw":
                    log.note(await iterator.athrow(thrown))
                case "throw stop":
                    log.note(await iterator.athrow(StopAsyncIteration()))
                case "throw cancelled":
                    log.note(await iterator.athrow(asyncio.CancelledError()))
                case "throw exit":
                    log.note(await iterator.athrow(GeneratorExit()))
                case "send":
                    log.note(await iterator.asend("sent"))
                case "iterate again":
                    log.note(aiter(stream) is stream)
                    iterator = aiter(stream)
                case "enter" if hasattr(type(stream), "__aenter__"):
                    async with stream as entered:
                        log.note(entered is stream)
                        raise thrown
                case "drop":
                    del iterator, stream
                    return
        except BaseException as error:
            log.note(type(error).__name__, str(error), error is thrown)


async def _played(make: Callable[[Log], Any], reads: list[str]) -> Log:
    log = Log()
    # In a task of its own: what a source does to its context, or to its task, ends with it.
    await asyncio.create_task(read(make(log), reads, log, TroubleError("thrown")))
    gc.collect(0)
    await asyncio.sleep(0.5)  # the loop closes what was dropped
    return log


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "looked at"])
@pytest.mark.parametrize("how", [observe, proxy_stream])
@pytest.mark.parametrize("make", SOURCES, ids=lambda source: source.__name__)
@given(
    steps=st.lists(st.sampled_from(STEPS), max_size=6),
    reads=st.lists(st.sampled_from(READS), max_size=8),
)
@settings(max_examples=100)
def test_any_sequence_of_steps_passes_unchanged(
    make: Any, how: Any, fast: bool, steps: list[str], reads: list[str]
) -> None:
    async def program() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        bare = await _played(lambda log: make(steps, log), reads)
        notes = Notes(fast)
        seen = await _played(lambda log: how(make(steps, log), notes), reads)
        assert seen == bare
        assert not failures
        if how is observe or not OF_GENERATORS & {*reads}:
            passed = [item for _, *what in seen for item in what if type(item) is int]
            assert sorted(notes.items) == sorted(passed)  # two reads at once end in any order

    virtual_time.run(program())


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "looked at"])
def test_a_source_that_goes_on_when_it_is_told_to_end(fast: bool) -> None:
    # Nothing more is the same of such a one: a generator around it is over, where it is not.
    async def program() -> None:
        reads = ["next", "close"]
        bare = await _played(lambda log: generator(["yield when closed"], log), reads)
        seen = await _played(
            lambda log: observe(generator(["yield when closed"], log), Notes(fast)), reads
        )
        assert seen == bare

    virtual_time.run(program())
