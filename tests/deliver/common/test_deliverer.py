"""How long the deliverer rests between two rounds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.config import Settings
from prefactor_agent.deliver.common.backoff import Backoff
from prefactor_agent.deliver.common.deliverer import FIRST_WAIT_S, MANY_SPANS, Deliverer
from prefactor_agent.deliver.prefactor.target import Prefactor
from support.waiting import PATIENCE


class Sending:
    """Rounds that send so many spans."""

    def __init__(self, *spans: int) -> None:
        self._spans = iter(spans)
        self._sent = 0

    def progress(self) -> tuple[int, int, int]:
        return self._sent, 0, 0

    def patience(self) -> None:
        return None

    async def next(self, *, asked: bool) -> bool:
        self._sent += next(self._spans)
        return asked


async def test_a_round_that_sends_many_spans_is_followed_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliverer = Deliverer(Prefactor(Settings(journal=tmp_path / "journal.db")))
    rests: list[float] = []

    async def sleep(seconds: float, **_: Any) -> None:
        rests.append(seconds)

    monkeypatch.setattr(deliverer, "_sleep", sleep)
    monkeypatch.setattr(deliverer, "_wakened", asyncio.Event())
    rounds: Any = Sending(3, MANY_SPANS, 0)
    for _ in range(3):
        await deliverer._one_round(rounds, Backoff(FIRST_WAIT_S))
        deliverer._pending = True
        await deliverer._rest(rounds, Backoff(FIRST_WAIT_S))
    assert [round(rest, 1) for rest in rests] == [0.8, 0.4, 0.8]


async def test_what_is_new_wakes_a_deliverer_that_sleeps_and_none_that_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliverer = Deliverer(Prefactor(Settings(journal=tmp_path / "journal.db")))
    wakened = asyncio.Event()
    monkeypatch.setattr(deliverer, "_wakened", wakened)
    monkeypatch.setattr(deliverer, "_loop", asyncio.get_running_loop())
    deliverer._pending = False
    deliverer.wake()
    await asyncio.sleep(0)
    assert not wakened.is_set(), "between two rounds there is nothing to do sooner"
    await asyncio.wait_for(deliverer._until_woken(None), PATIENCE)  # it looks before it sleeps

    deliverer._pending = False
    sleeps = asyncio.create_task(deliverer._until_woken(None))
    await asyncio.sleep(0)
    assert not sleeps.done()
    deliverer.wake()
    await asyncio.wait_for(sleeps, PATIENCE)
