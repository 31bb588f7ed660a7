"""How much one request may hold."""

from __future__ import annotations

from dataclasses import dataclass

POISON = 6
"""A span is parked after the service has broken on it alone so many times."""
SMALL = 32_768
"""Characters that a payload is cut to when a service calls a span too large."""


@dataclass
class Limits:
    """How much one request may hold: less after the service could not take it, then more again."""

    spans: int
    bytes: int

    def __post_init__(self) -> None:
        self._most = self.spans

    def broke(self, spans: int) -> None:
        """The service broke on so many spans. Send fewer, to find out whether one of them is the
        reason."""
        self.spans = max(1, min(self.spans, spans) // 4)

    def too_large(self, spans: int, characters: int) -> None:
        """The service does not take so much."""
        self.spans = max(1, spans // 2)
        self.bytes = max(SMALL, min(self.bytes, characters) // 2)

    def taken(self) -> None:
        self.spans = min(self._most, self.spans * 2)
