"""Fixtures for all tests: none writes to the user's own journal. The event loop that they run on,
and the last line of a run, which tells what was not tested."""

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from prefactor_agent import config, tool_options
from prefactor_agent.core import guard
from prefactor_agent.tracing import tracer
from support.tree import Recorder
from support.virtual_time import VirtualLoop

# How long an example takes is up to the machine.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

REAL_TIME = {"compat", "deliver", "e2e", "support", "view"}
"""Folders of tests that wait for servers and other processes."""


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """On the loop of most tests nothing takes time: what is measured there is the same on every
    machine."""
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    if folder in REAL_TIME or item.get_closest_marker("real_time") is not None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": partial(VirtualLoop, look=1e-6)}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """After pytest's own last line: how many tests were skipped, and why."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in skipped
        if isinstance(report.longrepr, tuple)
    )
    if reasons:
        told = "; ".join(f"{count} because of: {reason}" for reason, count in reasons.items())
        reporter.write_line(f"{sum(reasons.values())} skipped: {told}", yellow=True)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(tmp_path / "journal.db"))
    # What a test says of its tools, the next one knows nothing of.
    monkeypatch.setattr(tool_options, "_known", dict(tool_options._known))
    monkeypatch.setattr(tool_options, "_hidden", tool_options._hidden)
    config.reset()
    guard.failures.clear()
    guard._of_sessions.clear()
    yield
    tracer.send_to(None)
    config.reset()


@pytest.fixture
def sink() -> Recorder:
    """Takes the spans of every session that the test starts, and notes each put."""
    sink = Recorder()
    tracer.send_to(sink)
    return sink
