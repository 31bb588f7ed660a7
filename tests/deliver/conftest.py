"""Real spans, through the real writer, to the contract server in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from prefactor_agent import tool_options
from prefactor_agent.config import Settings
from prefactor_agent.deliver.common import deliverer
from prefactor_agent.deliver.common.deliverer import Deliverer
from prefactor_agent.deliver.otlp import target as otlp_target
from prefactor_agent.deliver.prefactor import target
from prefactor_agent.deliver.prefactor.target import Prefactor
from prefactor_agent.journal.writer import JournalWriter
from support.prefactor_server import PrefactorServer
from support.server_fixtures import running_server as running_server
from support.server_fixtures import server as server
from support.waiting import PATIENCE, until

from .processes import Zygote


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the tools that the tests' modules decorate, those made within a test are told of only."""
    monkeypatch.setattr(tool_options, "_known", {})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter waits, for tests in which many things fail."""
    for module in (target, otlp_target):
        monkeypatch.setattr(module, "INTERVAL_S", 0.05)
    monkeypatch.setattr(deliverer, "FIRST_WAIT_S", 0.05)


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(tmp_path_factory.mktemp("notes"))
    yield made
    made.close()


class Side:
    """One process's worth of tracing: settings, journal and deliverer."""

    def __init__(self, path: Path, server: PrefactorServer, **changes: Any) -> None:
        values: dict[str, Any] = {
            "journal": path / "journal.db",
            "api_url": server.url,
            "api_token": SecretStr(server.token),
            "flush_interval": 0.02,
        }
        timeout = changes.pop("request_timeout", PATIENCE)
        self.told: list[tuple[str, str | None]] = []
        self.settings = Settings(**{**values, **changes})
        self.writer = JournalWriter(self.settings)
        self.target = Prefactor(
            self.settings,
            on_terminate=lambda session, reason: self.told.append((session, reason)),
            request_timeout=timeout,
        )
        self.deliverer = Deliverer(self.target)
        self.writer.after_write = self.deliverer.wake

    def flush(self) -> bool:
        self.write()
        return self.deliverer.flush(PATIENCE)

    def write(self) -> None:
        """Have the journal hold all that was recorded."""
        assert self.writer.flush(PATIENCE)

    def look(self) -> None:
        """Wait until delivery has looked at what the journal holds now."""
        wanted = self.deliverer._rounds + 2  # the round that runs now may have read too early
        until(lambda: self.deliverer._rounds >= wanted)

    def stop(self) -> None:
        self.deliverer.stop(PATIENCE)


@pytest.fixture
def side(tmp_path: Path, server: PrefactorServer) -> Iterator[Side]:
    made = Side(tmp_path, server)
    yield made
    made.stop()
