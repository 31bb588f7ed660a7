"""A receiver of OTLP, and settings that send to it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from prefactor_agent.config import Settings
from support.otlp_receiver import OtlpReceiver, receiving

from ..agent import Agent


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    with receiving() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        yield made


@pytest.fixture
def settings(receiver: OtlpReceiver, tmp_path: Path) -> Settings:
    return Settings(journal=tmp_path / "journal.db", otlp=True, flush_interval=0.02)


@pytest_asyncio.fixture
async def agent(settings: Settings) -> AsyncIterator[Agent]:
    made = Agent(settings)
    yield made
    await made.stop()
