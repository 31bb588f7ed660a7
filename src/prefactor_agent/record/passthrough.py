"""Streams that are looked at while they pass, and are otherwise the same.

Same objects in the same order, one read for one read (never ahead), the same exceptions,
cancellation and ``aclose()``. An async generator stays an async generator, which is also the
fastest thing to put in between. Anything else that can be iterated becomes a :class:`Watched`
stand-in, which has ``aclose`` exactly if the original has, since LiveKit calls it where it finds it
(voice/generation.py, ``_ACloseable``)."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Any, Protocol

from .clock import now_ns
from .guard import report
from .stream import UNABSORBED, Stream

Look = Callable[[Any], None]


class Watcher(Protocol):
    """What is told of a stream. None of it may raise: see :mod:`.guard`."""

    stream: Stream | None
    """Where chunks go straight, without a call: the fast path for text."""

    def look(self, item: Any) -> None:
        """One item has passed. Called for each only if ``stream`` is ``None``."""

    def end(self, error: BaseException | None) -> None:
        """The stream is over: exhausted (``None``), or by this exception. May be called again."""


def watched(inner: AsyncIterable[Any], watcher: Watcher) -> AsyncIterable[Any]:
    """``inner``, with ``watcher`` looking on: for a stream that the callee hands over to its
    caller."""
    if inspect.isasyncgen(inner):
        return _pass(inner, watcher, owned=inner)
    return lent(inner, watcher)


def lent(inner: AsyncIterable[Any], watcher: Watcher) -> AsyncIterable[Any]:
    """``inner``, with ``watcher`` looking on: for a stream that somebody else owns and will close.

    A reader that breaks off its loop and drops the stand-in must not close the original behind its
    owner's back, as the end of a generator in between would.
    """
    stand_in = WatchedCloseable if hasattr(inner, "aclose") else Watched
    return stand_in(inner, watcher)


class Watched(AsyncIterable[Any]):
    """Stands in for an async iterable; whatever it does not have itself it asks of the original."""

    def __init__(self, inner: AsyncIterable[Any], watcher: Watcher) -> None:
        self._inner = inner
        self._watcher = watcher
        self._own: AsyncIterator[Any] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return _pass(self._inner, self._watcher, owned=None)

    def __anext__(self) -> Any:
        if self._own is None:
            self._own = aiter(self)
        return self._own.__anext__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class WatchedCloseable(Watched):
    async def aclose(self) -> Any:
        self._watcher.end(GeneratorExit())
        return await self._inner.aclose()  # type: ignore[attr-defined]  # lent() looked


async def _pass(
    inner: AsyncIterable[Any], watcher: Watcher, *, owned: AsyncGenerator[Any, Any] | None
) -> AsyncGenerator[Any, Any]:
    thrown: BaseException | None = None
    passing = False  # suspended at the yield: what is raised then comes from the reader
    stream = watcher.stream
    if stream is not None:
        stamp, keep, waiting = stream.times.append, stream.items.append, stream.items
        condense = stream.condense
    try:
        while True:
            try:
                if thrown is not None:
                    assert owned is not None
                    first, thrown = await owned.athrow(thrown), None
                    watcher.look(first)
                    passing = True
                    yield first
                    passing = False
                if stream is not None:
                    async for item in inner:
                        stamp(now_ns())
                        keep(item if type(item) is str else condense(item))
                        if len(waiting) >= UNABSORBED:
                            _absorb(stream)
                        passing = True
                        yield item
                        passing = False
                else:
                    look = watcher.look
                    async for item in inner:
                        look(item)
                        passing = True
                        yield item
                        passing = False
                break
            except GeneratorExit as closed:
                watcher.end(closed)
                if owned is not None:
                    await owned.aclose()
                raise
            except BaseException as error:
                if not passing or owned is None:
                    raise
                passing, thrown = False, error
    except BaseException as error:
        watcher.end(error)
        raise
    watcher.end(None)


def _absorb(stream: Stream) -> None:
    try:
        stream.absorb()
    except Exception as error:
        report("stream", error)
