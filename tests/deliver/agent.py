"""This process as an agent's."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from prefactor_agent.config import Settings
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.tracing import tracer
from support.waiting import PATIENCE

from .talk import talk

PAUSE_S = 0.04
"""Of each step of a call: it is long enough for delivery to run into what is wrong."""


class Agent:
    """What the settings say is what every session gets."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pipeline = Pipeline(settings, lambda session_id, reason: None)
        tracer.send_to(self.pipeline)

    async def call(self, **options: Any) -> None:
        """Have a call, which goes as it would without us."""
        expected = await talk(traced=False, **options)
        assert await talk(**{"pause": PAUSE_S, **options}) == expected

    async def flushed(self, timeout: float = PATIENCE) -> bool:
        return await asyncio.to_thread(self.pipeline.flush, timeout)

    async def delivered(self, timeout: float = PATIENCE) -> None:
        end = time.monotonic() + timeout
        while not await self.flushed(0.5):
            assert time.monotonic() < end, "it is not delivered"

    async def stop(self) -> None:
        await asyncio.to_thread(self.pipeline.stop, PATIENCE)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "prefactor_agent" and record.levelno >= logging.WARNING
    ]
