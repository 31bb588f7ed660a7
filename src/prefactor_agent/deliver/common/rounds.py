"""Rounds of delivery: which calls each is about, whose they are, what of them is sent or asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...journal.claims import Call
from ...journal.current import CurrentFile
from ...journal.errors import StorageError
from ...journal.process import alive, this_process
from .target import Delivery, Opener

LEFTOVERS_S = 60.0
"""How often to look for calls that other processes left behind."""


class Rounds:
    """What the rounds keep between them: the connection to the journal, and which calls there are.

    Args:
        open_: Opens the journal for the target.
        is_mine: Whether a call of this process is to be delivered here.

    Raises (every coroutine):
        LaterError, NotAcceptedError, UnusableJournalError, StorageError, OSError
    """

    def __init__(self, journal: Path, open_: Opener, is_mine: Callable[[str], bool]) -> None:
        self._is_mine = is_mine
        self._me = this_process()
        self._looked_for_leftovers = float("-inf")
        self._running: list[Call] = []
        """The running calls of this process, as of the last round."""
        self._file: CurrentFile[Delivery[Any]] = CurrentFile(journal, open_, _close)

    def close(self) -> None:
        self._file.close()

    def progress(self) -> tuple[int, int, int]:
        if (delivery := self._file.opened) is None:
            return 0, 0, 0
        done = delivery.progress
        return done.sent, done.parked, done.calls

    def patience(self) -> float | None:
        """Seconds until a running call has to be asked about; ``None``: there is none."""
        delivery = self._file.opened
        return None if delivery is None else delivery.patience(self._running)

    async def next(self, *, asked: bool) -> bool:
        """Deliver what is due.

        Args:
            asked: Somebody waits for the answer.

        Returns:
            Whether nothing is left to send for calls of this process; ``False`` if nobody asked.
        """
        delivery = self._file.get()
        if delivery is None:
            return True
        now = time.monotonic()
        with_leftovers = now - self._looked_for_leftovers > LEFTOVERS_S
        self._running = []
        claimed = self._claim(delivery, with_leftovers)
        self._running = [row for row in claimed if self._is_own(row) and row.status == "active"]
        await delivery.deliver([row for row in claimed if delivery.is_due(row)])
        await delivery.check(self._running)
        if with_leftovers:
            self._looked_for_leftovers = now
        return asked and not any(
            self._is_own(row)
            and self._is_mine(row.session_id)
            and not delivery.is_over(row)
            and delivery.is_due(row)
            for row in delivery.todo.calls(wanted=True)
        )

    def _claim(self, delivery: Delivery[Any], with_leftovers: bool) -> list[Call]:
        """Claim the calls of this round. Ends what processes that are gone left open."""
        claimed: list[Call] = []
        for row in delivery.todo.calls(wanted=True):
            if delivery.is_over(row):
                continue
            own = self._is_own(row)
            if own and not self._is_mine(row.session_id):
                continue
            if not own and not (with_leftovers and _is_leftover(row, delivery)):
                continue
            if not delivery.todo.claim(row.session_id):
                continue
            if not own and row.status == "active":
                delivery.todo.end_left_behind(row.session_id)
            claimed.append(row)
        return claimed

    def _is_own(self, row: Call) -> bool:
        return row.process == self._me


def _is_leftover(row: Call, delivery: Delivery[Any]) -> bool:
    """Whether the process that recorded a call is gone."""
    if row.process is not None and alive(row.process):
        return False
    return row.status != "active" or delivery.todo.left_behind(row)


def _close(delivery: Delivery[Any]) -> None:
    with contextlib.suppress(StorageError):
        delivery.todo.release()
    delivery.todo.close()
