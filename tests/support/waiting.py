"""Waiting for what another thread or another process does.

Such a limit is for the test that fails. It says nothing of how fast something is, and a machine
that is busy with something else does not reach it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep  # the real ones, also where a test runs on a virtual clock

PATIENCE = 60.0
"""Seconds."""


def until(condition: Callable[[], object]) -> None:
    """Wait for something to be true."""
    end = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < end, "it did not happen"
        sleep(0.02)
