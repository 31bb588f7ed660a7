"""What the parts of a session's room have in common: which of its events each is told of.

The room is LiveKit's, and outlives the session: whoever listens to it has to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from livekit import rtc

Handlers = dict[str, Callable[..., Any]]
"""By the name of an event of ``rtc.Room``, what is called with its arguments. Each is guarded."""


class RoomEvents:
    """The subscriptions of one session to its room."""

    def __init__(self, handlers: Iterable[Handlers]) -> None:
        self._handlers = [item for each in handlers for item in each.items()]
        self._room: rtc.Room | None = None

    def follow(self, room: rtc.Room) -> None:
        """Listen to this room from now on."""
        self._room = room
        for event, handler in self._handlers:
            room.on(event, handler)  # type: ignore[arg-type]  # a name is a literal there

    def let_go(self) -> None:
        """Listen no more."""
        room, self._room = self._room, None
        if room is not None:
            for event, handler in self._handlers:
                room.off(event, handler)  # type: ignore[arg-type]
