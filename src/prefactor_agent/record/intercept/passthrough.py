"""Streams that are looked at while they pass, and are otherwise the same.

Same objects in the same order, one read for one read (never ahead), the same exceptions,
cancellation and ``aclose()``. An async generator stays one, which is also the fastest thing to put
in between: it ends where the original ends. Any other stream may go on after an exception or a
cancelled read (``asyncio.wait_for(anext(stream), …)``), may be broken off and read again, and
belongs to whoever made it: it gets a stand-in that hands over each call and keeps no state."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from functools import lru_cache
from types import AsyncGeneratorType
from typing import Any, Protocol, runtime_checkable

from ...core.clock import now_ns
from ...core.guard import report
from ..spans.stream import UNABSORBED, Stream


class Ending(Protocol):
    """Is called when what it looks at is over."""

    def end(self, error: BaseException | None) -> None:
        """It is over: well (``None``), or by this exception. May be called again."""


class Watcher(Ending, Protocol):
    """Looks at a stream. If it raises, that is counted and the stream goes on."""

    stream: Stream | None
    """Where chunks go straight, without a call: the fast path for text."""

    def look(self, item: Any) -> None:
        """One item has passed. Called for each only if ``stream`` is ``None``."""


def observe(inner: AsyncIterable[Any], watcher: Watcher) -> AsyncIterable[Any]:
    """``inner``, with ``watcher`` looking on: for a stream that the callee hands over to its
    caller."""
    if type(inner) is AsyncGeneratorType:
        return _pass(inner, watcher)
    return proxy_stream(inner, watcher)


def proxy_stream(inner: AsyncIterable[Any], watcher: Watcher) -> AsyncIterable[Any]:
    """``inner``, with ``watcher`` looking on: for a stream that somebody else owns and will close.

    A reader that breaks off its loop and drops the stand-in must not close the original behind its
    owner's back, as the end of a generator in between would."""
    kind = type(inner)
    present = (name for name in _METHODS if hasattr(kind, name))
    return _stand_in(kind.__name__, isinstance(inner, _Closeable), *present)(inner, watcher)


def ended(what: Ending, error: BaseException | None) -> None:
    """Call ``end``; whatever that raises stays here."""
    try:
        what.end(error)
    except Exception as failure:
        report("end", failure, what)


@runtime_checkable
class _Closeable(Protocol):
    # As LiveKit looks for it (voice/generation.py, ``_ACloseable``), whatever this Python's idea of
    # a runtime protocol is.
    async def aclose(self) -> None: ...


class Watched(AsyncIterable[Any]):
    """Stands in for a stream that is no async generator; what it lacks it asks of the original."""

    def __init__(self, inner: AsyncIterable[Any], watcher: Watcher) -> None:
        self._watched_inner = inner
        self._watched_by = watcher
        self._watched_parts = (getattr(inner, "__anext__", None), watcher.look, watcher.stream)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self._watched_inner.__class__

    def __aiter__(self) -> AsyncIterator[Any]:
        iterator = aiter(self._watched_inner)
        again: Any = (
            self if iterator is self._watched_inner else observe(iterator, self._watched_by)
        )
        return again  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watched_inner, name)


async def _anext(self: Watched) -> Any:
    step, look, stream = self._watched_parts
    try:
        item = await step()  # type: ignore[misc]  # proxy_stream() looked
    except BaseException as error:
        ended(self._watched_by, None if isinstance(error, StopAsyncIteration) else error)
        raise
    try:
        look(item) if stream is None else stream.add(stream.extract(item))
    except Exception as failure:
        report("stream.look", failure, self._watched_by)
    return item


async def _aclose(self: Any) -> Any:
    ended(self._watched_by, GeneratorExit())
    return await self._watched_inner.aclose()


async def _aenter(self: Any) -> Any:
    entered = await self._watched_inner.__aenter__()
    return self if entered is self._watched_inner else entered


async def _aexit(self: Any, *exception: Any) -> Any:
    ended(self._watched_by, exception[1] or GeneratorExit())
    return await self._watched_inner.__aexit__(*exception)


_METHODS = {"__anext__": _anext, "__aenter__": _aenter, "__aexit__": _aexit}
"""What Python looks up on the type: a stand-in has each exactly if the original has."""


@lru_cache(256)
def _stand_in(kind: str, closeable: bool, *names: str) -> type[Watched]:
    methods: dict[str, Any] = {name: _METHODS[name] for name in names}
    if closeable:
        methods["aclose"] = _aclose
    return type(kind, (Watched,), methods)


async def _pass(  # noqa: C901  # every chunk passes here: a call of a part of it would cost each
    inner: AsyncGenerator[Any, Any], watcher: Watcher
) -> AsyncGenerator[Any, Any]:
    thrown: BaseException | None = None
    sent: Any = None
    passing = False  # suspended at the yield: what is raised then comes from the reader
    stream = watcher.stream
    if stream is not None:
        stamp, keep, waiting = stream.times.append, stream.items.append, stream.items
        extract = stream.extract
    # Local names: to look a global one up takes a tenth of what a chunk may cost.
    clock, kind_of, text, size_of, limit = now_ns, type, str, len, UNABSORBED
    look = watcher.look
    try:
        while True:
            try:
                if thrown is not None or sent is not None:  # athrow(), asend(): nobody hurries
                    step: Any = inner.asend(sent) if thrown is None else inner.athrow(thrown)
                    thrown = sent = None
                    try:
                        item = await step
                    except StopAsyncIteration:
                        break
                    finally:
                        step = None  # it holds what was thrown, whose traceback holds this frame
                    _note(item, watcher)
                    passing = True
                    sent = yield item
                    passing = False
                elif stream is not None:
                    async for item in inner:
                        stamp(clock())
                        keep(item if kind_of(item) is text else extract(item))
                        if size_of(waiting) >= limit:
                            _absorb(stream, watcher)
                        passing = True
                        sent = yield item
                        passing = False
                        if sent is not None:
                            break
                    else:
                        break
                else:
                    async for item in inner:
                        try:
                            look(item)
                        except Exception as failure:
                            report("stream.look", failure, watcher)
                        passing = True
                        sent = yield item
                        passing = False
                        if sent is not None:
                            break
                    else:
                        break
            except GeneratorExit as closed:
                ended(watcher, closed)
                await inner.aclose()
                raise
            except BaseException as error:
                if not passing:
                    raise
                passing, thrown = False, error
    except BaseException as error:
        ended(watcher, error)
        raise
    ended(watcher, None)


def _note(item: Any, watcher: Watcher) -> None:
    stream = watcher.stream
    try:
        watcher.look(item) if stream is None else stream.add(stream.extract(item))
    except Exception as failure:
        report("stream.look", failure, watcher)


def _absorb(stream: Stream, watcher: Watcher) -> None:
    try:
        stream.absorb()
    except Exception as error:
        report("stream", error, watcher)
