"""Fixtures: a Prefactor in a process of its own, as it was at its start for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .prefactor_server import PrefactorServer


@pytest.fixture(scope="session")
def running_server() -> Iterator[PrefactorServer]:
    with PrefactorServer() as server:
        yield server


@pytest.fixture
def server(running_server: PrefactorServer) -> Iterator[PrefactorServer]:
    yield running_server.reset()
    running_server.clear_faults()
