"""How long to wait after a failure."""

from __future__ import annotations

import random
import time


class Backoff:
    """Waits that double from failure to failure, with jitter so that many processes do not come
    back at once, and that are never shorter than what the service asked for."""

    def __init__(self, first: float = 0.5, longest: float = 30.0) -> None:
        self._first, self._longest = first, longest
        self.failures = 0
        self.until = 0.0
        """Monotonic seconds: nothing is sent before."""

    def failed(self, after: float | None) -> float:
        """Count a failure; returns how many seconds to wait."""
        step: float = min(self._longest, self._first * 2 ** min(self.failures, 16))
        wait = step * random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret
        if after is not None:
            wait = max(wait if self.failures else 0.0, after + random.uniform(0.01, 0.1))  # noqa: S311
        self.failures += 1
        self.until = max(self.until, time.monotonic() + wait)
        return wait

    def succeeded(self) -> None:
        self.failures = 0

    @property
    def remaining(self) -> float:
        return max(0.0, self.until - time.monotonic())
