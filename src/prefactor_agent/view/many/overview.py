"""Many calls at a glance: every figure of the overview. It draws nothing, and reads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...conversation.stages import PERCEIVED
from ..model import stagenames
from ..model.costs import Spending
from ..model.digest import Failure
from .gathered import Several, Values, ascending, by_name, joined
from .overview_calls import Model, VersionCalls, WorstTurn, worst_turns
from .stats import Line, Stats, line_of

VERSIONS = 12
"""So many versions have figures of their own, those with the newest calls."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of something were something."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """From 0 to 1; ``None``: of none."""
        return self.count / self.of if self.of else None


class Tool(NamedTuple):
    """The calls of one tool."""

    name: str
    failed: Share
    """Of those that have ended."""
    took: Line | None
    """``None``: nobody knows of any how long it took."""


@dataclass(frozen=True, slots=True)
class Errors:
    """The errors of one kind."""

    kind: Failure
    count: int
    calls: int
    """In so many calls."""


class ModelUse(NamedTuple):
    """What one model used."""

    model: Model
    used: Mapping[str, float]
    """Of :data:`.overview_calls.UNITS`, and ``calls``: in how many calls."""
    usd: float | None
    """``None``: it has no price, or its cost stands with another use of the same model."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some calls, all or those of one version."""

    calls: int
    statuses: Mapping[str, int]
    """How many of them are of each status."""
    stats: Stats
    """Dead air and pickup: what ``stats`` says of these calls."""
    parts: Mapping[str, float]
    """What the dead air is made of: of each stage the mean over all answered turns, in
    milliseconds. They sum to the mean dead air."""
    interrupted: Share
    """Of the turns."""
    unanswered: Share
    """Of the turns of the calls of which it is known."""
    tools_failed: Share
    errors: int
    spent: Spending

    @property
    def mean_ms(self) -> float:
        """The mean dead air."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an agent."""

    agent: str
    version: str | None
    first_us: int
    """When its first call of these began, in microseconds since the Unix epoch."""
    figures: Figures


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that is said of the calls that were chosen."""

    whole: Figures
    versions: tuple[Version, ...]
    """At most :data:`VERSIONS`."""
    older_versions: int
    """How many there are besides."""
    tools: tuple[Tool, ...]
    """The one that was called most comes first."""
    errors: tuple[Errors, ...]
    """The most frequent kind comes first."""
    models: tuple[ModelUse, ...]
    worst: tuple[WorstTurn, ...]


def overview(chosen: Sequence[VersionCalls]) -> Overview:
    """All figures of these calls.

    Args:
        chosen: As :meth:`.overview_calls.PeriodCalls.of` gives them.
    """
    together: dict[tuple[str, str | None], list[VersionCalls]] = {}
    for one in chosen:  # an agent may have had other names besides the one that is shown
        together.setdefault((one.agent, one.version), []).append(one)
    shown = list(together.items())[:VERSIONS]
    whole = figures(chosen)
    return Overview(
        whole=whole,
        versions=tuple(
            Version(*name, _first_us(calls), figures(calls) if len(together) > 1 else whole)
            for name, calls in shown
        ),
        older_versions=len(together) - len(shown),
        tools=tuple(_tools([one.gathered for one in chosen])),
        errors=tuple(_errors(chosen)),
        models=tuple(_models(chosen, whole.spent)),
        worst=tuple(worst_turns(chosen)),
    )


def figures(chosen: Sequence[VersionCalls]) -> Figures:
    """The figures of these calls together."""
    gathered = [one.gathered for one in chosen]
    spent = Spending()
    for one in chosen:
        spent.include(one.spent)
    failed = [values for one in gathered for values in one.tool_failed.values()]
    return Figures(
        calls=sum(len(one.calls) for one in gathered),
        statuses=sum((one.statuses for one in chosen), Counter()),
        stats=stats_of(gathered),
        parts=_parts(gathered),
        interrupted=_share([one.interrupted for one in gathered]),
        unanswered=_share([one.unanswered for one in gathered]),
        tools_failed=_share(failed),
        errors=sum(one.errors.total() for one in chosen),
        spent=spent,
    )


def _first_us(calls: Sequence[VersionCalls]) -> int:
    return min(min(one.gathered.started_us) for one in calls)


def stats_of(calls: Several) -> Stats:
    """What :func:`.stats.collect` says of the same calls."""
    gaps = ascending([one.gaps for one in calls])
    return Stats(
        calls=sum(one.answered_calls for one in calls),
        turns=sum(one.turns for one in calls),
        over_budget=sum(one.over_budget for one in calls),
        unanswered=_unanswered(calls),
        lines=_lines([one.dead_air for one in calls]),
        gaps=line_of("gap", gaps) if gaps else None,
        pickup=_lines([one.pickup for one in calls]),
    )


def _lines(parts: Sequence[Mapping[str, Values]]) -> tuple[Line, ...]:
    lines = [line_of(name, ascending(values)) for name, values in by_name(parts)]
    return tuple(sorted(lines, key=lambda line: stagenames.place(line.name)))


def _parts(calls: Several) -> dict[str, float]:
    turns = sum(one.turns for one in calls)
    means = {
        name: float(joined(values)[0].sum()) / turns
        for name, values in by_name(one.dead_air for one in calls)
        if name != PERCEIVED
    }
    return {name: means[name] for name in sorted(means, key=stagenames.place)}


def _unanswered(calls: Several) -> int | None:
    counts = [one.unanswered_count for one in calls if one.unanswered_count is not None]
    return sum(counts) if counts else None


def _share(parts: Sequence[Values]) -> Share:
    values = joined(parts)[0]
    return Share(int(np.count_nonzero(values)), len(values))


def _tools(calls: Several) -> list[Tool]:
    took = dict(by_name(one.tool_ms for one in calls))
    found = [
        Tool(name, _share(failed), line_of(name, ascending(took[name])) if name in took else None)
        for name, failed in by_name(one.tool_failed for one in calls)
    ]
    return sorted(found, key=lambda tool: (-tool.failed.of, tool.name))


def _errors(chosen: Sequence[VersionCalls]) -> list[Errors]:
    counts = sum((one.errors for one in chosen), Counter())
    calls = sum((one.calls_with for one in chosen), Counter())
    found = [Errors(kind, count, calls[kind]) for kind, count in counts.items()]
    return sorted(found, key=lambda one: (-one.count, one.kind))


def _models(chosen: Sequence[VersionCalls], spent: Spending) -> list[ModelUse]:
    total: dict[Model, Counter[str]] = {}
    for one in chosen:
        for model, used in one.usage.items():
            total.setdefault(model, Counter()).update(used)
    priced = dict(spent.by_model)
    return [ModelUse(model, total[model], priced.pop(model.name, None)) for model in sorted(total)]
