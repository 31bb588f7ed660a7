"""Coroutine methods of LiveKit's objects that there is no event for, watched on the object.

The method is replaced in the object's own dictionary as long as somebody listens, and does what it
did: same arguments, answer, exception and cancellation. What stands there already is a stand-in of
the program's, and is left alone."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from typing import Any

Over = Callable[[Any, BaseException | None], object]
"""Told how a call ended: its answer, or what it raised."""
Listener = Callable[[Mapping[str, Any]], Over | None]
"""Told of a call that begins, with its keyword arguments. Both are guarded: they cannot raise."""


class WatchedMethod:
    """One method, on as many objects as there are, for as many listeners.

    Args:
        name: Of a coroutine method whose arguments are given by keyword.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._owners: weakref.WeakKeyDictionary[Any, _Form] = weakref.WeakKeyDictionary()

    def add(self, owner: Any, listener: Listener) -> None:
        """Tell ``listener`` of the calls of this object's method from now on."""
        if (form := self._owners.get(owner)) is None:
            form = self._owners[owner] = _Form()
        form.listeners.append(listener)
        if form.method is None and self.name not in vars(owner):
            form.method = vars(owner)[self.name] = _watched(
                getattr(owner, self.name), form.listeners
            )

    def remove(self, owner: Any, listener: Listener) -> None:
        """Tell it no more. With the last listener the object is as it was."""
        form = self._owners[owner]
        form.listeners.remove(listener)
        if form.listeners or form.method is None:
            return
        if vars(owner).get(self.name) is form.method:
            del vars(owner)[self.name]
        form.method = None


class _Form:
    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.method: Callable[..., Any] | None = None


def _watched(method: Callable[..., Any], listeners: list[Listener]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        begun = [over for listener in listeners[:] if (over := listener(kwargs)) is not None]
        try:
            answer = await method(*args, **kwargs)
        except BaseException as error:
            for over in begun:
                over(None, error)
            raise
        for over in begun:
            over(answer, None)
        return answer

    return call
