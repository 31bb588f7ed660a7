"""Cuts a stretch of time into stages, by what was waited for in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

UNATTRIBUTED = "unattributed"
"""The stage of the time between two moments that no step spans."""

Length = TypeVar("Length", int, float)


class Step(NamedTuple):
    """Something that the answer waited for. Moments in nanoseconds."""

    name: str
    begin: int | None
    """``None``: from the end of whatever came before it."""
    end: int | None
    """``None``: it did not happen."""


class Stage(NamedTuple):
    """A part of the silence."""

    name: str
    us: int
    """How long it was, in microseconds."""


def split(start_ns: int, end_ns: int, steps: Iterable[Step]) -> list[Stage]:
    """Cut the time from start to end into stages, in order. Stages of no length are left out.

    They sum to ``end_ns // 1000 - start_ns // 1000`` exactly, and none is negative."""
    end = end_ns // 1000
    cursor = start_ns // 1000
    stages: list[Stage] = []

    def advance(name: str, to_ns: int) -> None:
        nonlocal cursor
        to = min(to_ns // 1000, end)
        if to > cursor:
            before = stages.pop().us if stages and stages[-1].name == name else 0
            stages.append(Stage(name, before + to - cursor))
            cursor = to

    for name, begin, finish in steps:
        if finish is None:
            continue
        if begin is not None:
            advance(UNATTRIBUTED, min(begin, finish))
        advance(name, finish)
    advance(UNATTRIBUTED, end_ns)
    return stages


def so_far(steps: Sequence[Step], now: int) -> list[Step]:
    """The steps of a stretch of time that goes on: what comes after the last thing that happened is
    what is waited for now (in nanoseconds)."""
    waiting = list(steps)
    done = max((i for i, step in enumerate(waiting) if step.end is not None), default=-1)
    if done + 1 < len(waiting):
        waiting[done + 1] = waiting[done + 1]._replace(end=now)
    return waiting


def totals(stages: Iterable[tuple[str, Length]]) -> dict[str, Length]:
    """How long each stage took, in the unit that is given; one that came more than once with its
    sum."""
    sums: dict[str, Length] = {}
    for name, length in stages:
        sums[name] = sums[name] + length if name in sums else length
    return sums
