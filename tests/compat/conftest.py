"""A Prefactor for both packages, and sessions for either."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from prefactor_agent import configure
from prefactor_agent.compat import session
from support.server_fixtures import running_server as running_server
from support.server_fixtures import server as server
from support.waiting import PATIENCE


@pytest.fixture(autouse=True)
def patient(isolated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is delivered when it is closed, however busy the machine."""
    configure(flush_timeout=PATIENCE)
    monkeypatch.setattr(session, "ANSWER_S", PATIENCE)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What this package says as a warning or worse, while the test runs."""
    told: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler = Handler(logging.WARNING)
    logging.getLogger("prefactor_agent").addHandler(handler)
    yield told
    logging.getLogger("prefactor_agent").removeHandler(handler)
