"""Rounds of delivery: which calls each is about, whose they are, what of them is sent or asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from ..config import Settings
from ..journal.current import CurrentFile
from ..journal.errors import StorageError
from ..journal.outbox import Outbox
from ..journal.process import alive, this_process
from ..journal.todo import CallRow
from .prefactor.api import Api
from .prefactor.call_delivery import CallDelivery, OnTerminate

POLL_S = 1.0
"""A running call that has heard nothing from Prefactor for so long asks whether it may go on."""
LEFTOVERS_S = 60.0
"""How often to look for calls that other processes left behind."""


class Rounds:
    """What the rounds keep between them: the connection to the journal, and which calls there are.

    Args:
        on_terminate: Called when Prefactor wants a call to end.
        is_mine: Whether a call of this process is to be delivered here.
        on_delivered: Called when nothing is left to do of a call.

    Raises (every coroutine):
        LaterError, DeniedError, UnusableJournalError, StorageError, OSError
    """

    def __init__(
        self,
        api: Api,
        settings: Settings,
        sdk: str,
        on_terminate: OnTerminate,
        is_mine: Callable[[str], bool],
        on_delivered: Callable[[str], None],
    ) -> None:
        self._is_mine = is_mine
        self._me = this_process()
        self._looked_for_leftovers = float("-inf")
        self._running: list[CallRow] = []
        """The running calls of this process, as of the last round."""

        def open_(path: Path) -> CallDelivery:
            outbox = Outbox(path)
            return CallDelivery(api, outbox, settings, sdk, on_terminate, on_delivered)

        self._file = CurrentFile(settings.journal, open_, _close)

    def close(self) -> None:
        self._file.close()

    def progress(self) -> tuple[int, int, int]:
        if (delivery := self._file.opened) is None:
            return 0, 0, 0
        done = delivery.progress
        return done.sent, done.parked, done.calls

    def patience(self) -> float | None:
        """Seconds until a running call has to be asked about; ``None``: there is none."""
        if (delivery := self._file.opened) is None:
            return None
        checked = [delivery.last_checked(row.session_id) for row in self._running]
        due = [moment + POLL_S for moment in checked if moment != float("inf")]
        return max(0.0, min(due) - time.monotonic()) if due else None

    async def next(self) -> bool:
        """Returns whether nothing is left to send for calls of this process."""
        delivery = self._file.get()
        if delivery is None:
            return True
        outbox = delivery.outbox
        now = time.monotonic()
        with_leftovers = now - self._looked_for_leftovers > LEFTOVERS_S
        self._running = []
        claimed = self._claim(outbox, with_leftovers)
        self._running = [row for row in claimed if self._is_own(row) and row.status == "active"]
        await delivery.deliver([row for row in claimed if _is_due(row, outbox)])
        for row in self._running:
            await self._check_if_quiet(row, delivery)
        if with_leftovers:
            self._looked_for_leftovers = now
        return not any(
            self._is_own(row)
            and self._is_mine(row.session_id)
            and row.error is None
            and _is_due(row, outbox)
            for row in outbox.calls(wanted=True)
        )

    def _claim(self, outbox: Outbox, with_leftovers: bool) -> list[CallRow]:
        """Claim the calls of this round. Ends what processes that are gone left open."""
        claimed: list[CallRow] = []
        for row in outbox.calls(wanted=True):
            if row.error is not None:
                continue
            own = self._is_own(row)
            if own and not self._is_mine(row.session_id):
                continue
            if not own and not (with_leftovers and _is_leftover(row, outbox)):
                continue
            if not outbox.claim(row.session_id):
                continue
            if not own and row.status == "active":
                outbox.end_left_behind(row.session_id)
            claimed.append(row)
        return claimed

    def _is_own(self, row: CallRow) -> bool:
        return row.process == self._me

    async def _check_if_quiet(self, row: CallRow, delivery: CallDelivery) -> None:
        """Ask whether a call may go on, if no answer has said so lately."""
        if time.monotonic() - delivery.last_checked(row.session_id) < POLL_S:
            return
        fresh = delivery.outbox.call(row.session_id)
        if fresh is not None:
            await delivery.check(fresh)


def _is_leftover(row: CallRow, outbox: Outbox) -> bool:
    """Whether the process that recorded a call is gone."""
    if row.process is not None and alive(row.process):
        return False
    return row.status != "active" or outbox.left_behind(row)


def _is_due(row: CallRow, outbox: Outbox) -> bool:
    return row.status != "active" or outbox.anything_due(row.session_id)


def _close(delivery: CallDelivery) -> None:
    with contextlib.suppress(StorageError):
        delivery.outbox.release()
    delivery.outbox.close()
