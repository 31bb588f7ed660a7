"""Waiting for what another thread or another process does.

Such a limit is for the test that fails. It says nothing of how fast something is, and a machine
that is busy with something else does not reach it."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds."""


def until(condition: Callable[[], object]) -> None:
    """Wait for something to be true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
