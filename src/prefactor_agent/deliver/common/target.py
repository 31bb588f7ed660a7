"""The seam between delivery and a target: what to send, send it, what the answer means.

Delivery itself (:mod:`.deliverer`, :mod:`.rounds`, :mod:`.push`) knows when to send, and whose
calls. A target knows the rest: its to-do in the journal says what there is to send, its
:class:`Delivery` sends it and notes in the to-do what the answer means. An answer that concerns
more than one call is raised: :class:`.http.LaterError`, :class:`.http.NotAcceptedError`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from ...config import Settings
from ...journal.claims import Call, ToDo
from .http import LaterError

CALLS_AT_ONCE = 4

C = TypeVar("C", bound=Call)


@dataclass
class Progress:
    """What was delivered so far."""

    sent: int = 0
    """Beginnings and ends of spans that were acknowledged."""
    spans: int = 0
    """Spans of which nothing is left to do."""
    parked: int = 0
    calls: int = 0
    rejected: int = 0
    """Spans that the target took and then dropped."""


class Delivery(ABC, Generic[C]):
    """A target, opened on one journal.

    Args:
        on_delivered: Called with the session's id of a call of which nothing is left to do.

    Raises (every coroutine):
        LaterError: The target cannot be reached now.
        NotAcceptedError: It does not accept the token.
        StorageError: The journal cannot be read or written now.
    """

    todo: ToDo[C]

    def __init__(self, on_delivered: Callable[[str], None]) -> None:
        self.on_delivered = on_delivered
        self.progress = Progress()
        self._failed_tries: Counter[str] = Counter()

    async def deliver(self, calls: list[C]) -> None:
        """Deliver what is due of these calls, several calls at once."""
        # Calls that could not be delivered the last time come last, so that they hold up no other.
        waiting = calls[::-1]
        waiting.sort(key=lambda row: self._failed_tries[row.session_id], reverse=True)

        async def work() -> None:
            while waiting:
                row = waiting.pop()
                try:
                    await self.deliver_call(row)
                except LaterError:
                    self._failed_tries[row.session_id] += 1
                    raise
                self._failed_tries.pop(row.session_id, None)

        if len(calls) <= 1:  # most often: a task would cost more than it does
            await work()
            return
        workers = [asyncio.ensure_future(work()) for _ in range(min(CALLS_AT_ONCE, len(calls)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def deliver_call(self, row: C) -> None:
        """Deliver what is due of one call, which this process has claimed."""
        # If the calls before this one took longer than a claim holds, another process may have it
        # now, or be done with it, or it was pruned.
        session_id = row.session_id
        now = self.todo.call(session_id) if self.todo.claim(session_id) else None
        if now is None or self.is_over(now):
            self.forget(session_id)
            return
        await self.send(now)

    @abstractmethod
    def is_over(self, row: C) -> bool:
        """Whether nothing more is to be sent of a call: it is delivered, or parked as a whole."""

    @abstractmethod
    def is_due(self, row: C) -> bool:
        """Whether something is to be sent of a call now."""

    @abstractmethod
    async def send(self, row: C) -> None:
        """Send what is due of one call, and note in the to-do what the answers mean."""

    def forget(self, session_id: str) -> None:  # most targets remember nothing
        """Forget what was remembered of a call."""

    def patience(self, running: list[C]) -> float | None:
        """Seconds until the target has to be asked whether a running call may go on; ``None``:
        never."""
        return None

    async def check(self, running: list[C]) -> None:  # most targets have no say
        """Ask the target whether these calls may go on, where it has not said so lately."""


Opener = Callable[[Path], Delivery[Any]]
Level = Literal["ok", "note", "problem"]


class Check(NamedTuple):
    """The result of one check of ``prefactor-agent doctor``. A note is worth knowing, but no
    fault."""

    name: str
    level: Level
    says: str


class Target(ABC):
    """Where calls are delivered, as the settings name it."""

    key: ClassVar[str]
    """Its name for the command line, and of its thread."""
    to: str
    """Its name in a sentence."""
    secret: ClassVar[str]
    """What it accepts or not, in a sentence."""
    without: ClassVar[str]
    """What is said of calls that were recorded while it was not chosen."""
    interval_s: float
    """It is sent to at most so often."""
    busy_interval_s: float | None = None
    """The same after a round that sent many spans: the next would have as many again, and what is
    prepared at once holds up the process. ``None``: no other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    @abstractmethod
    def wanted(self) -> bool:
        """Whether calls are to be delivered to it."""

    @abstractmethod
    def prepare(self) -> None:
        """Look at the settings.

        Raises:
            ConfigurationError: They cannot be used.
        """

    @abstractmethod
    def connect(self, on_delivered: Callable[[str], None]) -> AbstractAsyncContextManager[Opener]:
        """A connection, which opens journals. After :meth:`prepare`."""

    @abstractmethod
    def todo(self) -> ToDo[Any]:
        """What the journal of the settings has to do for it.

        Raises:
            UnusableJournalError, StorageError
        """

    @abstractmethod
    async def examine(self) -> list[Check]:
        """Whether it can be reached and accepts the token. After :meth:`prepare`."""
