"""The calls of a period as the overview needs them: gathered once, version by version, so that what
of them is looked at can be chosen without reading them again."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...core.json import JSON
from ...core.values import number, text
from ...pricing import ModelCost
from ..model.costs import Spending, cost_of_digest
from ..model.digest import Digest, Failure
from ..model.latencies import TurnLatency
from .gathered import Gathered

WORST = 20
"""So many turns are kept of each version, those with the longest dead air."""


UNITS = (
    "input_tokens",
    "input_cached_tokens",
    "output_tokens",
    "characters_count",
    "audio_duration",
)
"""What is added up of the usage of models, by LiveKit's names; the last one in seconds."""


class Model(NamedTuple):
    """A model, as its usage is counted."""

    kind: str
    """``llm`` (a realtime model too), ``stt``, ``tts``, or another that LiveKit counts."""
    name: str
    """``provider/model``, as in what it cost."""


class WorstTurn(NamedTuple):
    """One of the turns with the longest dead air. In their order: of two that are as long, the one
    of the newer call comes last."""

    ms: float
    age: int
    """The number of its call, less than zero."""
    latency: TurnLatency
    agent: str
    version: str | None

    @property
    def slowest(self) -> tuple[str, float] | None:
        """The stage that most of it was spent on, and how long that took."""
        return max(self.latency.stages.items(), key=lambda stage: stage[1], default=None)


class VersionCalls:
    """The calls of one version of an agent."""

    def __init__(self, agent: str, names: frozenset[str], version: str | None) -> None:
        self.agent = agent
        """The name that the lists show."""
        self.names = names
        """All names that the agent is known by."""
        self.version = version
        self.gathered = Gathered()
        self.statuses: Counter[str] = Counter()
        """How many calls there are of each status (:class:`.summary.Summary`)."""
        self.errors: Counter[Failure] = Counter()
        self.calls_with: Counter[Failure] = Counter()
        """In how many calls an error of this kind was recorded."""
        self.usage: dict[Model, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        """What each model used of :data:`UNITS`, and ``calls``: in how many calls."""
        self.spent = Spending()
        self.worst: list[WorstTurn] = []

    def add(self, call: int, digest: Digest) -> None:
        """Add a call, the one with this number."""
        self.gathered.add(call, digest)
        self.statuses[digest.summary.status] += 1
        self.errors.update(digest.errors)
        self.calls_with.update(set(digest.errors))
        longest = max(digest.latencies.perceived_ms, default=-1.0)
        if len(self.worst) < WORST or longest >= self.worst[0].ms:
            self._keep_worst(call, digest)
        self.spent.add(cost_of_digest(digest))
        for usage in digest.usage:
            used = self.usage[_model(usage)]
            used["calls"] += 1
            for unit in UNITS:
                if (much := number(usage.get(unit))) is not None:
                    used[unit] += much

    def _keep_worst(self, call: int, digest: Digest) -> None:
        for turn in digest.turns:
            one = WorstTurn(turn.perceived_ms, -call, turn, self.agent, self.version)
            heapq.heappush(self.worst, one)
            if len(self.worst) > WORST:
                heapq.heappop(self.worst)


def _model(usage: JSON) -> Model:
    kind = text(usage.get("type")).removesuffix("_usage")
    named = ModelCost(kind, text(usage.get("provider")), text(usage.get("model")), None)
    return Model(kind, named.name)


class PeriodCalls:
    """The calls of a period.

    Args:
        calls: Newest first. Each is forgotten once it has been counted.
    """

    def __init__(self, calls: Iterable[Digest]) -> None:
        self._versions: dict[tuple[str, frozenset[str], str | None], VersionCalls] = {}
        self.count = 0
        for call in calls:
            key = call.summary.agent, frozenset(call.agents), call.version
            found = self._versions.get(key)
            if found is None:
                found = self._versions[key] = VersionCalls(*key)
            found.add(self.count, call)
            self.count += 1

    def of(self, agent: str = "", version: str = "") -> list[VersionCalls]:
        """Those of an agent that is known by this name, and of this version of it; empty: of any.
        Those of the version with the newest call come first."""
        return [
            one
            for one in self._versions.values()
            if (not agent or agent in one.names) and (not version or version == one.version)
        ]

    @property
    def agents(self) -> list[str]:
        """The names that the lists show."""
        return sorted({one.agent for one in self._versions.values()})

    def versions(self, agent: str = "") -> list[str]:
        """The versions of an agent, or of all: the one with the newest call first."""
        each = (one.version for one in self.of(agent))
        return list(dict.fromkeys(version for version in each if version is not None))


def worst_turns(versions: Iterable[VersionCalls]) -> list[WorstTurn]:
    """The turns with the longest dead air, the worst one first."""
    return heapq.nlargest(WORST, _worst(versions))


def _worst(versions: Iterable[VersionCalls]) -> Iterator[WorstTurn]:
    for version in versions:
        yield from version.worst
