"""The list of calls, and the filter over it. Runs on threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from ...stored.source import Place, Source
from ..model.digest import digest_of, kept
from ..model.summary import Summary

SLOW_MS = 2_000
"""Dead air from which on a call counts as slow, whatever its budgets are."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls to list."""

    words: str = ""
    """In the call's id, its agent's or its room's name, or in what was said."""
    agent: str = ""
    errors: bool = False
    slow: bool = False
    interrupted: bool = False

    @property
    def all(self) -> bool:
        return self == Filter()


@dataclass(frozen=True, slots=True)
class CallList:
    """A page of the list of calls, newest first."""

    calls: tuple[Summary, ...]
    more: bool
    """Whether there are older ones."""
    agents: tuple[str, ...]
    """The names of the agents that were seen so far."""


class Calls:
    """Remembers the calls that have ended: they stay as they are."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ended: dict[str, Summary] = {}
        self._agents: set[str] = set()
        self._lock = threading.Lock()

    def listed(self, wanted: Filter, limit: int) -> CallList:
        """The newest ``limit`` calls of those that are wanted.

        Raises:
            SourceError: The calls cannot be read.
        """
        with closing(self._place.open()) as source:
            # One more than is shown: then there are older ones.
            found = list(islice(self._all(source, wanted), limit + 1))
        return CallList(tuple(found[:limit]), len(found) > limit, tuple(sorted(self._agents)))

    def _all(self, source: Source, wanted: Filter) -> Iterator[Summary]:
        """All that are wanted, newest first."""
        said = source.saying(wanted.words) if wanted.words else set()
        for listed in source.listing():
            call = self._ended.get(listed.id)
            if call is None:
                call = (kept(listed) or digest_of(source, listed.id)).summary
                with self._lock:
                    self._agents.add(call.agent)
                    if listed.status != "active":
                        self._ended[listed.id] = call
            if _is_wanted(call, wanted, said):
                yield call


def is_slow(call: Summary) -> bool:
    """Whether an answer or the pickup was over a budget, or an answer kept the caller waiting for
    ``SLOW_MS`` and more."""
    return bool(call.over_budget) or call.pickup_over_budget or (call.worst_ms or 0) >= SLOW_MS


def _is_wanted(call: Summary, wanted: Filter, said: set[str]) -> bool:
    words = wanted.words.casefold()
    names = (call.id, call.agent, call.room or "")
    return (
        (not words or call.id in said or any(words in name.casefold() for name in names))
        and (not wanted.agent or call.agent == wanted.agent)
        and (not wanted.errors or call.failed)
        and (not wanted.slow or is_slow(call))
        and (not wanted.interrupted or call.interrupted > 0)
    )
