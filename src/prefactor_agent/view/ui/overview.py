"""The overview: all calls of a period at a glance, and two sets of them side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from aiohttp import web
from jinja2 import Template

from ...stored.source import Place, SourceError
from ..many import differences
from ..many.bootstrap import CONFIDENCE
from ..many.compare import Comparison, NotWantedError, compare_gathered
from ..many.gathered import Several
from ..many.overview import overview
from ..many.overview_calls import VersionCalls
from ..many.overview_time import Bucket, over_time, spans_of
from ..model import costs, numbers, stagenames
from ..report import safe
from ..report.page import colours, environment
from ..report.view import stage_styles
from . import charts
from .guard import policy_of
from .question import AGES, BEFORE, PERIODS, Question
from .readings import Reading, Readings

COMPARED = 8
"""So many comparisons are kept; the oldest is forgotten first."""

SEEN_MS = 0.5
"""A stage that takes less of the mean dead air is not seen in a bar."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two sets of calls side by side."""

    comparison: Comparison
    sure: bool
    """Whether the intervals are in it."""


class Sides(NamedTuple):
    """What is compared."""

    readings: tuple[int, int]
    """The numbers of the readings that it is from."""
    before: tuple[str, Several]
    after: tuple[str, Several]


class OverviewPages:
    """Answers questions about the calls of one place.

    Args:
        place: Where they are kept.
        readings: Of the same place.
    """

    def __init__(self, place: Place, readings: Readings) -> None:
        self._place = place
        self._readings = readings
        self._compared: dict[tuple[object, ...], Comparison] = {}
        # One of each at a time: they would only make each other slower, and hold all threads.
        self._reading, self._comparing = asyncio.Semaphore(1), asyncio.Semaphore(1)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/overview", self._page)]

    async def _page(self, request: web.Request) -> web.Response:
        question = Question.of(request.query)
        turn = self._comparing if question.sure else self._reading

        def wanted() -> bool:
            return request.transport is not None and not request.transport.is_closing()

        try:
            async with turn:
                page, policy = await asyncio.to_thread(self.render, question, wanted)
        except NotWantedError:
            return web.Response(status=499)
        headers = {"Content-Security-Policy": policy}
        return web.Response(text=page, content_type="text/html", headers=headers)

    def render(
        self, question: Question, wanted: Callable[[], bool] = lambda: True
    ) -> tuple[str, str]:
        """The page, and its policy.

        Args:
            wanted: Whether somebody still waits for it.

        Raises:
            NotWantedError: Nobody does.
        """
        template, style, script = _parts()
        shown: dict[str, Any] = {"reading": None, "trouble": "", "compared": None}
        try:
            reading = self._readings.of(question)
            shown |= self._answer(question, reading, wanted)
        except SourceError as error:
            shown["trouble"] = str(error)
        page = template.render(
            question=question,
            periods=PERIODS,
            before=BEFORE,
            place=self._place.name,
            charts=charts,
            options=_options,
            confidence=CONFIDENCE,
            style=style,
            script=script,
            **shown,
        )
        return safe.encodable(page), policy_of(script, style)

    def _answer(
        self, question: Question, reading: Reading, wanted: Callable[[], bool]
    ) -> dict[str, Any]:
        """What the template shows of the calls."""
        chosen = reading.calls.of(question.agent, question.version)
        found = overview(chosen)
        buckets = _buckets(question, reading, chosen)
        compared = self._compare(question, reading, wanted)
        seen = {n for one in found.versions for n, ms in one.figures.parts.items() if ms >= SEEN_MS}
        every = [*seen, *(name for turn in found.worst for name in turn.latency.stages)]
        styles = stage_styles(sorted(dict.fromkeys(every), key=stagenames.place))
        return {
            "reading": reading,
            "agents": reading.calls.agents,
            "versions": reading.calls.versions(question.agent),
            "found": found,
            "top_ms": max((one.figures.mean_ms for one in found.versions), default=0.0) or 1.0,
            "styles": styles,
            "legend": [name for name in styles if name in seen],
            "releases": charts.releases(buckets, found.versions) if buckets else [],
            "dead_air": charts.chart(buckets, lambda one: one.dead_air, "turn"),
            "pickup": charts.chart(buckets, lambda one: one.pickup, "call"),
            "unpriced": costs.without_price(sorted(found.whole.spent.unpriced)),
            "compared": compared,
            "forest": charts.forest(compared.comparison.rows) if compared else [],
            "notes": list(differences.notes(compared.comparison)) if compared else [],
        }

    def _compare(
        self, question: Question, reading: Reading, wanted: Callable[[], bool]
    ) -> Compared | None:
        """``None``: nothing is compared, or one side of it has no call."""
        sides = self._sides(question, reading)
        if sides is None:
            return None
        key = (sides.readings, question.agent, question.version, question.against)
        if key in self._compared:
            return Compared(self._compared[key], sure=True)
        found = compare_gathered(sides.before, sides.after, sure=question.sure, wanted=wanted)
        if question.sure:
            self._compared[key] = found
            while len(self._compared) > COMPARED:
                del self._compared[next(iter(self._compared))]
        return Compared(found, sure=question.sure)

    def _sides(self, question: Question, reading: Reading) -> Sides | None:
        """Both sides of the comparison that is asked for, if there is any."""
        calls, agent, against = reading.calls, question.agent, question.against
        earlier: Reading | None = reading
        if against == BEFORE:
            earlier = self._readings.before(reading, question)
            names = against, "this period"
            versions = question.version, question.version
        else:
            others = [one for one in calls.versions(agent) if one != against]
            newer = question.version if question.version in others else next(iter(others), "")
            names = versions = against, newer
        if not all(names) or earlier is None:
            return None
        before, after = earlier.calls.of(agent, versions[0]), calls.of(agent, versions[1])
        if not before or not after:
            return None
        return Sides(
            (earlier.number, reading.number),
            (names[0], [one.gathered for one in before]),
            (names[1], [one.gathered for one in after]),
        )


def _buckets(
    question: Question, reading: Reading, chosen: Sequence[VersionCalls]
) -> Sequence[Bucket]:
    """The period in parts; one without an end, or without a beginning, from the first call to the
    last."""
    calls = [one.gathered for one in chosen]
    started = [moment for one in calls for moment in one.started_us]
    if not started:
        return []
    first, last = reading.begin_us, max(started)
    if question.period in AGES:
        last = max(last, reading.now_us)
    elif reading.end_us is not None:
        last = min(reading.end_us - 1, max(last, reading.now_us))
    return over_time(calls, spans_of(min(started) if first is None else first, last))


def _options(names: Sequence[str], chosen: str) -> list[str]:
    """What can be chosen, and what was, though it may not be there any more."""
    return [*names, *([chosen] if chosen and chosen not in names else [])]


@cache
def _parts() -> tuple[Template, str, str]:
    """The template, the style sheet and the script."""
    names = ("overview.html.j2", "base.css", "overview.css", "overview.js")
    template, base, style, script = ((files(__package__) / n).read_text("utf-8") for n in names)
    jinja = environment()
    jinja.filters |= {
        "dollars": costs.dollars,
        "counted": numbers.count,
        "amount": lambda much: f"{much:,.0f}",
        "share": lambda value: f"{value:.1%}",
        "label_of": lambda row: differences.label_of(row, stagenames.label),
        "statistic_of": differences.statistic_of,
        "value_of": differences.value_of,
        "change_of": differences.change_of,
        "interval_of": differences.interval_of,
        "counts_of": differences.counts_of,
    }
    return jinja.from_string(template), colours() + base + style, script
