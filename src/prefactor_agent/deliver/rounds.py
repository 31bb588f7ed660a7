"""One round of delivery after the other: which calls it is about, whose they are, and what of them
is to be sent or asked."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable

from ..config import Settings
from ..journal.outbox import CallRow, Outbox
from ..journal.place import Identity, file_identity
from ..journal.process import alive, this_process
from .api import Api
from .courier import CallDelivery, OnTerminate

POLL_S = 1.0
"""A running call that has heard nothing from Prefactor for so long asks whether it may go on."""
LEFTOVERS_S = 60.0
"""How often calls are looked for that other processes left behind."""


class Rounds:
    """What the rounds keep between them: the connection to the journal, and which calls there are.

    Args:
        on_terminate: Told when Prefactor wants a call to end.
        is_mine: Whether a call of this process is to be delivered here.
        on_delivered: Told when nothing is left to do of a call.

    Raises (every coroutine):
        LaterError, DeniedError, UnusableJournalError, sqlite3.Error, OSError
    """

    def __init__(
        self,
        settings: Settings,
        sdk: str,
        on_terminate: OnTerminate,
        is_mine: Callable[[str], bool],
        on_delivered: Callable[[str], None],
    ) -> None:
        self._settings, self._sdk, self._on_terminate = settings, sdk, on_terminate
        self._is_mine, self._on_delivered = is_mine, on_delivered
        self._me = this_process()
        self._outbox: Outbox | None = None
        self._file: Identity | None = None
        self._courier: CallDelivery | None = None
        self._looked_for_leftovers = float("-inf")
        self._open: list[CallRow] = []

    def close(self) -> None:
        if self._outbox is not None:
            with contextlib.suppress(sqlite3.Error):
                self._outbox.release()
            self._outbox.close()
            self._outbox = self._courier = None

    def progress(self) -> tuple[int, int, int]:
        if self._courier is None:
            return 0, 0, 0
        done = self._courier.progress
        return done.sent, done.parked, done.calls

    def patience(self) -> float | None:
        """Seconds until a running call has to be asked about; ``None``: there is none."""
        if self._courier is None:
            return None
        asked = [self._courier.asked(row.session_id) for row in self._open]
        due = [moment + POLL_S for moment in asked if moment != float("inf")]
        return max(0.0, min(due) - time.monotonic()) if due else None

    async def next(self, api: Api) -> bool:
        """Returns whether nothing is left to send for calls of this process."""
        courier = self._ready(api)
        if courier is None:
            return True
        outbox = courier.outbox
        now = time.monotonic()
        leftovers = now - self._looked_for_leftovers > LEFTOVERS_S
        chosen: list[CallRow] = []
        self._open = []
        for row in outbox.calls(wanted=True):
            if row.error is not None:
                continue
            mine = row.process == self._me
            if mine and not self._is_mine(row.session_id):
                continue
            if not mine:
                if not leftovers or (row.process is not None and alive(row.process)):
                    continue
                if row.status == "active" and not outbox.left_behind(row):
                    continue
            if not outbox.claim(row.session_id):
                continue
            if not mine and row.status == "active":
                outbox.end_left_behind(row.session_id)
            if mine and row.status == "active":
                self._open.append(row)
            chosen.append(row)
        await courier.deliver(
            [row for row in chosen if row.status != "active" or outbox.anything_due(row.session_id)]
        )
        for row in self._open:
            if time.monotonic() - courier.asked(row.session_id) >= POLL_S:
                fresh = outbox.call(row.session_id)
                if fresh is not None:
                    await courier.check(fresh)
        if leftovers:
            self._looked_for_leftovers = now
        return not any(
            row.process == self._me
            and self._is_mine(row.session_id)
            and row.error is None
            and (row.status != "active" or outbox.anything_due(row.session_id))
            for row in outbox.calls(wanted=True)
        )

    def _ready(self, api: Api) -> CallDelivery | None:
        """The courier, on the journal as it is there now; ``None`` while there is no journal."""
        path = self._settings.journal
        found = file_identity(path)
        if found is None:
            self.close()
            return None
        if self._courier is None or found != self._file:
            self.close()  # a damaged journal was set aside, and a new one begun
            self._outbox = Outbox(path)
            self._file = found
            self._courier = CallDelivery(
                api,
                self._outbox,
                self._settings,
                self._sdk,
                self._on_terminate,
                self._on_delivered,
            )
        return self._courier
