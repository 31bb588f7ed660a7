"""Prefactor as a target of delivery."""

from __future__ import annotations

import contextlib
import email.utils
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from ...config import Settings
from ...core.guard import report
from ...journal.outbox import Outbox
from ..common.http import LaterError, named
from ..common.target import Check, Delivery, Opener, Target
from .address import Address, address
from .api import REQUEST_TIMEOUT_S, Api, DeniedError, RefusedError
from .call_delivery import CallDelivery, OnTerminate

INTERVAL_S = 0.8
"""So that what begins is at Prefactor within a second: the journal's writer takes 0.1 s of it."""
BUSY_INTERVAL_S = 0.4
SKEW_S = 30.0


def sdk_entry() -> str:
    """This program and the clients that it uses, for the header and the runtime environment."""
    return named("prefactor-agent", "prefactor-core", "prefactor-http")


class Prefactor(Target):
    """See :class:`.common.target.Target`.

    Args:
        on_terminate: Called on the delivering thread, once for each call that Prefactor wants to
            end, with the session's id and the reason.
        request_timeout: Seconds that one request may take; by default :data:`REQUEST_TIMEOUT_S`.
    """

    key = "prefactor"
    to = "Prefactor"
    secret = "the token"  # noqa: S105  # its name
    without = "recorded without a token"

    def __init__(
        self,
        settings: Settings,
        on_terminate: OnTerminate | None = None,
        *,
        request_timeout: float | None = None,
    ) -> None:
        super().__init__(settings)
        self.interval_s = INTERVAL_S
        self.busy_interval_s = min(BUSY_INTERVAL_S, INTERVAL_S)
        self._on_terminate = on_terminate
        self._timeout = REQUEST_TIMEOUT_S if request_timeout is None else request_timeout
        self._address: Address | None = None

    @property
    def wanted(self) -> bool:
        return self.settings.delivers

    def prepare(self) -> None:
        self._address = address(self.settings)

    @contextlib.asynccontextmanager
    async def connect(self, on_delivered: Callable[[str], None]) -> AsyncIterator[Opener]:
        assert self._address is not None
        sdk = sdk_entry()
        async with Api(self._address, sdk, self._timeout) as api:

            def open_(journal: Path) -> Delivery[Any]:
                return CallDelivery(
                    api, Outbox(journal), self.settings, sdk, self._terminate, on_delivered
                )

            yield open_

    def todo(self) -> Outbox:
        return Outbox(self.settings.journal)

    def _terminate(self, session_id: str, reason: str | None) -> None:
        if self._on_terminate is None:
            return
        try:
            self._on_terminate(session_id, reason)
        except Exception as error:
            report("deliver.on_terminate", error)

    async def examine(self) -> list[Check]:
        assert self._address is not None
        url = self._address.url
        async with Api(self._address, sdk_entry(), timeout=10.0) as api:
            try:
                before = time.time()
                await api.validate_token()
                after = time.time()
            except DeniedError as error:
                return [Check("token", "problem", f"{url} does not accept it ({error})")]
            except LaterError as error:
                return [Check("url", "problem", f"{url} cannot be reached ({error})")]
            except RefusedError as error:
                return [Check("url", "problem", f"{url} does not know ping ({error})")]
            checks = [
                Check("url", "ok", f"{url} answers in {(after - before) * 1000:.0f} ms"),
                Check("token", "ok", "accepted"),
            ]
            if (skew := clock_skew(api.date_header, before, after)) is not None:
                checks.append(_clock(skew))
            return checks


def _clock(skew: float) -> Check:
    if abs(skew) <= SKEW_S:
        return Check("clock", "ok", "agrees with Prefactor's")
    side = "behind" if skew < 0 else "ahead of"
    says = f"{abs(skew):.0f} s {side} Prefactor's: set this machine's clock"
    return Check("clock", "problem", says)


def clock_skew(date: str | None, before: float, after: float) -> float | None:
    """Seconds by which this machine's clock is ahead, from the ``Date`` of an answer."""
    if date is None:
        return None
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp() + 0.5  # it has whole seconds
    except (TypeError, ValueError):
        return None
    return (before + after) / 2 - theirs
