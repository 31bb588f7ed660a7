"""The values of many calls, gathered call by call in little memory: what comparisons and the
overview are worked out of."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from ...conversation.stages import PERCEIVED, PICKUP
from ..model.digest import Digest
from .bootstrap import Counts, Floats, Sample


class Values:
    """The values of one figure, and of which call each is. The calls are numbered in the order in
    which they were listed, so that the same calls are drawn for an interval whoever asks."""

    __slots__ = ("calls", "values")

    def __init__(self) -> None:
        self.values = array("d")
        self.calls = array("l")

    def add(self, call: int, value: float) -> None:
        self.values.append(value)
        self.calls.append(call)

    def extend(self, call: int, values: Iterable[float | None]) -> None:
        """Add the values of one call; ``None``: it was not measured."""
        known = [value for value in values if value is not None]
        self.values.extend(known)
        self.calls.extend([call] * len(known))


class Gathered:
    """What some calls have to say."""

    def __init__(self) -> None:
        self.calls = array("l")
        """Their numbers."""
        self.started_us = array("q")
        """When each began, in microseconds since the Unix epoch."""
        self.answered_calls = 0
        """Those with a dead air."""
        self.turns = 0
        """Answered turns."""
        self.over_budget = 0
        self.dead_air: dict[str, Values] = defaultdict(Values)
        """Of each turn as a whole (``perceived``), and by stage; in milliseconds, as all times."""
        self.gaps = Values()
        """The longest silence inside each answer that had one."""
        self.pickup: dict[str, Values] = defaultdict(Values)
        """Of each call as a whole (``pickup``), and by stage."""
        self.interrupted = Values()
        """1 or 0, of each turn."""
        self.unanswered = Values()
        """The same, in the calls of which it is known: whether nobody answered it."""
        self.unanswered_count: int | None = None
        """All of them; ``None``: it is known of no call."""
        self.tool_ms: dict[str, Values] = defaultdict(Values)
        """By the tool's name, of each call of it whose time is known."""
        self.tool_failed: dict[str, Values] = defaultdict(Values)
        """1 or 0, of each call of a tool that has ended."""

    def add(self, call: int, digest: Digest) -> None:
        """Add a call, the one with this number."""
        self.calls.append(call)
        self.started_us.append(digest.summary.started_us)
        latencies = digest.latencies
        if latencies.perceived_ms:
            self.answered_calls += 1
            self.turns += len(latencies.perceived_ms)
            self.dead_air[PERCEIVED].extend(call, latencies.perceived_ms)
            for name, column in latencies.stages.items():
                self.dead_air[name].extend(call, column)
            self.over_budget += sum(latencies.over_budget)
            self.gaps.extend(call, latencies.gap_ms)
        pickup = latencies.pickup
        if pickup is not None:
            self.pickup[PICKUP].add(call, pickup.ms)
            for name, ms in pickup.stages.items():
                self.pickup[name].add(call, ms)
        for tool in digest.tools:
            if tool.ms is not None:
                self.tool_ms[tool.name].add(call, tool.ms)
            if tool.status != "active":
                self.tool_failed[tool.name].add(call, float(tool.status == "failed"))
        summary = digest.summary
        turns = range(summary.turns)
        self.interrupted.extend(call, [float(index < summary.interrupted) for index in turns])
        if (left := summary.unanswered) is not None:
            self.unanswered_count = (self.unanswered_count or 0) + left
            self.unanswered.extend(call, [float(index < left) for index in turns])


Several = Sequence[Gathered]
"""Calls that were gathered apart, of several versions for instance, taken together."""


def gather(calls: Iterable[Digest]) -> Gathered:
    """Gather calls, numbered as they come."""
    gathered = Gathered()
    for number, call in enumerate(calls):
        gathered.add(number, call)
    return gathered


def by_name(each: Iterable[Mapping[str, Values]]) -> Iterator[tuple[str, list[Values]]]:
    """What the parts have under each name that has a value."""
    parts = list(each)
    for name in dict.fromkeys(name for part in parts for name, of in part.items() if of.values):
        yield name, [part[name] for part in parts if name in part]


def joined(parts: Sequence[Values]) -> tuple[Floats, Counts]:
    """The values of several parts, and the number of the call that each is of."""
    values = [np.frombuffer(part.values, np.float64) for part in parts if part.values]
    calls = [np.frombuffer(part.calls, np.dtype("l")) for part in parts if part.values]
    if not values:
        return np.empty(0), np.empty(0, np.int64)
    return np.concatenate(values), np.concatenate(calls).astype(np.int64)


def sample(parts: Sequence[Values]) -> Sample:
    """The values as an interval is drawn from them."""
    return Sample.of(*joined(parts))


def ascending(parts: Sequence[Values]) -> list[float]:
    """The values from the least to the greatest."""
    ordered: list[float] = np.sort(joined(parts)[0]).tolist()
    return ordered
