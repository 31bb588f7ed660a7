"""Fault plans: what goes wrong, for which calls, how often and for how long."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .errors import Json

# Met before the call has any effect.
BEFORE = frozenset({"hang", "delay", "status", "rate_limit", "reset", "html"})
# Met when the effect is there and the answer is due.
AFTER = frozenset({"reset_after", "truncated", "drip", "hang_after", "html_after"})
# Part of what the service answers.
RULES = frozenset(
    {"bulk_cut", "revoke", "forbid", "no_custom_ids", "no_bulk", "no_marks", "reject_type"}
)
# The port itself.
PORT = frozenset({"refuse"})
KINDS = BEFORE | AFTER | RULES | PORT


@dataclass
class Fault:
    ident: int
    kind: str
    # Only calls whose path holds this text.
    path: str
    skip: int
    times: int | None
    until: float | None
    options: Json
    hits: int = 0
    cleared: bool = False

    @property
    def live(self) -> bool:
        spent = self.times is not None and self.hits >= self.times
        if self.cleared or spent:
            return False
        return self.until is None or time.monotonic() < self.until

    def option(self, name: str, default: Any) -> Any:
        return self.options.get(name, default)


@dataclass
class Faults:
    plans: dict[int, Fault] = field(default_factory=dict)
    # A client was told to come back no earlier than this.
    not_before: float = 0.0
    _idents: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add(
        self,
        kind: str,
        *,
        path: str = "",
        skip: int = 0,
        times: int | None = None,
        seconds: float | None = None,
        **options: Any,
    ) -> Fault:
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}: one of {', '.join(sorted(KINDS))}")
        until = None if seconds is None else time.monotonic() + seconds
        fault = Fault(next(self._idents), kind, path, skip, times, until, options)
        self.plans[fault.ident] = fault
        return fault

    def clear(self, ident: int | None = None) -> None:
        for fault in list(self.plans.values()):
            if ident is None or fault.ident == ident:
                # Calls that hang on it look here.
                fault.cleared = True
        if ident is None:
            self.not_before = 0.0

    def take(self, kinds: Iterable[str], path: str, **match: Any) -> Fault | None:
        """The first live plan for this call, counted as hit."""
        for fault in self.plans.values():
            if fault.kind not in kinds or not fault.live or fault.path not in path:
                continue
            if any(fault.option(name, value) != value for name, value in match.items()):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            return fault
        return None

    def any_live(self, kind: str) -> bool:
        return any(fault.kind == kind and fault.live for fault in self.plans.values())
