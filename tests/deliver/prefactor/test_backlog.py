"""Many spans that wait."""

from __future__ import annotations

import asyncio
import queue
import threading
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.deliver.prefactor.api import Api
from support.prefactor_server import PrefactorServer
from support.waiting import PATIENCE

from ..calls import begin_call, user_turn, whole_call
from ..conftest import Side


def test_the_writer_does_not_wait_for_a_delivery(
    server: PrefactorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever request is on its way, delivery holds nothing that the writer wants."""
    under_way, answers = queue.Queue[str](), threading.Semaphore(0)
    real = Api._call

    async def call(self: Api, method: str, path: str, *rest: Any) -> Any:
        answer = await real(self, method, path, *rest)
        under_way.put(path.rpartition("/")[2])
        await asyncio.to_thread(answers.acquire)
        return answer

    monkeypatch.setattr(Api, "_call", call)
    side = Side(tmp_path, server)
    for _ in range(5):
        whole_call(side.writer, turns=72)
    side.write()
    side.deliverer.start()
    running, met = begin_call(side.writer), set[str]()
    try:
        for index in range(20):
            met.add(under_way.get(timeout=PATIENCE))
            user_turn(running, index, "hello")
            assert side.writer.flush(PATIENCE)
            answers.release()
    finally:
        answers.release(1_000_000)
        side.stop()
    assert met >= {"register", "start", "bulk"}
