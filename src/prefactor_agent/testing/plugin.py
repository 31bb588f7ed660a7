"""The pytest plugin, which the package registers under ``pytest11``."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .trace import Trace

FIXTURE = "prefactor_trace"


@pytest.fixture
def prefactor_trace() -> Iterator[Trace]:
    """The traces of all sessions that the test starts with a ``TracedAgent``, in memory.

    Nothing is written and nothing is sent while it is in use, whatever the settings say; what they
    say of redaction holds. Read it at any time, also while the call goes on."""
    from .trace import collecting

    with collecting() as trace:
        yield trace


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show the tree of the trace with a failed test."""
    report = yield
    trace = getattr(item, "funcargs", {}).get(FIXTURE)
    if trace is not None and report.when == "call" and report.failed:
        report.sections.append((FIXTURE, str(trace)))
    return report
