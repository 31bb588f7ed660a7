"""Callables that are observed: each call, and what it returned or raised, whether it is a coroutine
function or a plain one, and whether that answers at once or with something to await."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol

from ..spans.outcome import error_of


class ObservedCall(Protocol):
    """One call. Nothing of it may raise."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    """The arguments to make the call with."""

    def returned(self, value: Any, *, awaited: bool) -> Any:
        """The call returned ``value``, at once or to whoever awaited it: gives what its caller
        gets."""

    def raised(self, error: BaseException) -> None:
        """The call raised ``error``, which its caller gets."""


Begin = Callable[[tuple[Any, ...], dict[str, Any]], ObservedCall | None]
"""Begins the record of a call with these arguments; ``None``: the call is not observed."""


def observed(
    function: Callable[..., Any], begin: Begin, like: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """``function``, with each call observed.

    Args:
        like: Whose name, signature and kind (coroutine function or plain) it gets, if not those of
            ``function`` itself.
    """
    like = function if like is None else like
    if inspect.iscoroutinefunction(like):

        @functools.wraps(like)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            call = begin(args, kwargs)
            if call is None:
                return await function(*args, **kwargs)
            try:
                value = await function(*call.args, **call.kwargs)
            except BaseException as error:
                call.raised(error)
                raise
            return call.returned(value, awaited=True)

        return coroutine

    @functools.wraps(like)
    def plain(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
        if call is None:
            return function(*args, **kwargs)
        try:
            value = function(*call.args, **call.kwargs)
        except BaseException as error:
            call.raised(error)
            raise
        if inspect.iscoroutine(value):  # asyncio's own test takes a generator for one before 3.12
            return _awaited(value, call)
        if isinstance(value, asyncio.Future):
            value.add_done_callback(functools.partial(_done, call))
            return value
        return call.returned(value, awaited=False)

    return plain


async def _awaited(coroutine: Any, call: ObservedCall) -> Any:
    try:
        value = await coroutine
    except BaseException as error:
        call.raised(error)
        raise
    return call.returned(value, awaited=True)


def _done(call: ObservedCall, future: asyncio.Future[Any]) -> None:
    error = error_of(future)
    if error is None:
        call.returned(future.result(), awaited=True)
    else:
        call.raised(error)
