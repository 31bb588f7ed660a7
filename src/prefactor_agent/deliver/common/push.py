"""Delivers what a journal still has to deliver, in the foreground."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...journal.claims import Call
from ...journal.process import alive
from .backoff import Backoff
from .http import LaterError
from .target import Delivery, Target

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
    rejected: int = 0
    """Spans that the target took and then dropped."""
    problem: str | None = None


async def push(target: Target, *, patience: float, watch: Watch = lambda _: None) -> Pushed:
    """Deliver until nothing is left, or the target cannot be reached.

    Args:
        target: It is prepared.
        patience: Seconds after which to give up when it cannot be reached.

    Raises:
        NotAcceptedError, StorageError, UnusableJournalError
    """
    async with target.connect(lambda _session_id: None) as open_:
        delivery = open_(target.settings.journal)
        try:
            done = Pushed(total=delivery.todo.backlog()["spans"])
            ticker = asyncio.create_task(_tick(delivery, done, watch))
            try:
                done.problem = await _deliver_all(delivery, done, patience)
            finally:
                ticker.cancel()
                delivery.todo.release()
            _count(delivery, done)
            done.left = delivery.todo.backlog()["spans"]
        finally:
            delivery.todo.close()
    return done


async def _deliver_all(delivery: Delivery[Any], done: Pushed, patience: float) -> str | None:
    """Deliver until nothing is left. Returns why that was given up; ``None``: it was not."""
    backoff = Backoff(longest=5.0)
    give_up = time.monotonic() + patience
    while True:
        calls = _claim(delivery, done)
        before = delivery.progress.sent
        try:
            await delivery.deliver(calls)
        except LaterError as error:
            if delivery.progress.sent > before:
                backoff.succeeded()
                give_up = time.monotonic() + patience
            wait = backoff.failed(error.after)
            if time.monotonic() + wait > give_up:
                return str(error)
            await asyncio.sleep(wait)
        else:
            return None


def _claim(delivery: Delivery[Any], done: Pushed) -> list[Call]:
    """Claim the calls to deliver here, and end what processes that are gone left open."""
    todo = delivery.todo
    chosen: list[Call] = []
    done.busy = done.running = 0
    for row in todo.calls():
        if delivery.is_over(row):
            continue
        if not todo.claim(row.session_id):
            done.busy += 1
            continue
        if row.status == "active":
            if todo.left_behind(row):
                todo.end_left_behind(row.session_id)
            else:
                done.running += 1
                if row.wanted and row.process is not None and alive(row.process):
                    continue  # its own process delivers it
        chosen.append(row)
    return chosen


async def _tick(delivery: Delivery[Any], done: Pushed, watch: Watch) -> None:
    while True:
        _count(delivery, done)
        watch(done)
        await asyncio.sleep(0.1)


def _count(delivery: Delivery[Any], done: Pushed) -> None:
    progress = delivery.progress
    done.spans, done.calls, done.parked = progress.spans, progress.calls, progress.parked
    done.rejected = progress.rejected
