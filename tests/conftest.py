"""Fixtures for all tests: none writes to the user's own journal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefactor_agent import config
from prefactor_agent.record import guard
from prefactor_agent.tracing import tracer
from support.memory_sink import MemorySink


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(tmp_path / "journal.db"))
    config.reset()
    guard.failures.clear()
    yield
    tracer.send_to(None)
    config.reset()


@pytest.fixture
def sink() -> MemorySink:
    """Takes the spans of every session that the test starts."""
    sink = MemorySink()
    tracer.send_to(sink)
    return sink
