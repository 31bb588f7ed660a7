"""Delivers what a journal still has to deliver, in the foreground."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..config import Settings
from ..journal.outbox import Outbox
from ..journal.process import alive
from ..journal.todo import CallRow
from .backoff import Backoff
from .deliverer import sdk_entry
from .prefactor.api import Api, LaterError
from .prefactor.call_delivery import CallDelivery
from .prefactor.target import Target

Watch = Callable[["Pushed"], None]


@dataclass
class Pushed:
    """What a push did, and what it left."""

    total: int = 0
    spans: int = 0
    calls: int = 0
    parked: int = 0
    left: int = 0
    """Spans."""
    busy: int = 0
    """Calls that another process delivers."""
    running: int = 0
    """Calls that still run: what they have so far is delivered; their process delivers the rest."""
    problem: str | None = None


async def push(
    settings: Settings, aim: Target, outbox: Outbox, *, patience: float, watch: Watch
) -> Pushed:
    """Deliver until nothing is left, or Prefactor cannot be reached.

    Args:
        patience: Seconds after which to give up when Prefactor cannot be reached.

    Raises:
        DeniedError, StorageError
    """
    sdk = sdk_entry()
    done = Pushed(total=outbox.backlog()["spans"])
    backoff = Backoff(longest=5.0)
    give_up = time.monotonic() + patience
    async with Api(aim, sdk) as api:
        delivery = CallDelivery(api, outbox, settings, sdk)
        ticker = asyncio.create_task(_tick(delivery, done, watch))
        try:
            while True:
                calls = _claim(outbox, done)
                before = delivery.progress.sent
                try:
                    await delivery.deliver(calls)
                except LaterError as error:
                    if delivery.progress.sent > before:
                        backoff.succeeded()
                        give_up = time.monotonic() + patience
                    wait = backoff.failed(error.after)
                    if time.monotonic() + wait > give_up:
                        done.problem = str(error)
                        break
                    await asyncio.sleep(wait)
                    continue
                backoff.succeeded()
                break
        finally:
            ticker.cancel()
            outbox.release()
    _count(delivery, done)
    done.left = outbox.backlog()["spans"]
    return done


def _claim(outbox: Outbox, done: Pushed) -> list[CallRow]:
    """Claim the calls to deliver here, and end what processes that are gone left open."""
    chosen: list[CallRow] = []
    done.busy = done.running = 0
    for row in outbox.calls():
        if row.error is not None:
            continue
        if not outbox.claim(row.session_id):
            done.busy += 1
            continue
        if row.status == "active":
            if outbox.left_behind(row):
                outbox.end_left_behind(row.session_id)
            else:
                done.running += 1
                if row.wanted and row.process is not None and alive(row.process):
                    continue  # its own process delivers it
        chosen.append(row)
    return chosen


async def _tick(delivery: CallDelivery, done: Pushed, watch: Watch) -> None:
    while True:
        _count(delivery, done)
        watch(done)
        await asyncio.sleep(0.1)


def _count(delivery: CallDelivery, done: Pushed) -> None:
    progress = delivery.progress
    done.spans, done.calls, done.parked = progress.spans, progress.calls, progress.parked
