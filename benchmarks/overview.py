"""How long the overview of 50,000 calls takes: `PYTHONPATH=tests python -m benchmarks.overview
JOURNAL`.

`JOURNAL` has some different calls (`python -m benchmarks.varied_calls`). Their digests are parsed
again and again, as the reader of an archive parses them, and given other ids, other times over 30
days and other lengths, so that no two are the same. Then the page is drawn, and two versions are
compared."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from rich.console import Console
from rich.table import Table

from prefactor_agent.journal.reader import JournalPlace
from prefactor_agent.stored.source import ChangeSign, Source
from prefactor_agent.view.many.overview_calls import PeriodCalls
from prefactor_agent.view.model.digest import Digest, as_text, digests
from prefactor_agent.view.ui.overview import OverviewPages
from prefactor_agent.view.ui.question import Question
from prefactor_agent.view.ui.readings import Reading, Readings

CALLS, DAYS = 50_000, 30
TARGET_S = 1.0


class Elsewhere:
    """A place that is never read: what is drawn was read before."""

    name = "50,000 calls"

    def check(self) -> None:
        """There is nothing to be wrong."""

    def open(self) -> Source:
        raise AssertionError("the calls were read before")

    def changes(self) -> ChangeSign:
        raise AssertionError("nothing changes")


class Read(Readings):
    """Gives what was read before."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(Elsewhere(), lambda: 0)
        self._reading = reading

    def of(self, question: Question) -> Reading:
        return self._reading


def many(texts: list[str], count: int, until_us: int) -> Iterator[Digest]:
    """Different calls, the newest first."""
    chance = random.Random(3)
    for number in range(count):
        data: dict[str, Any] = from_json(texts[number % len(texts)])
        data["id"] = f"{number:032}"
        data["summary"]["started_us"] = until_us - number * DAYS * 86_400_000_000 // count
        turns = data["turns"]
        longer = [chance.lognormvariate(0, 0.2) for _ in turns["perceived_ms"]]
        for column in (turns["perceived_ms"], *turns["stages"].values()):
            for index, ms in enumerate(column):
                column[index] = ms and ms * longer[index]
        yield Digest(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="The overview of many calls.")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--calls", type=int, default=CALLS)
    arguments = parser.parse_args()
    with closing(JournalPlace(arguments.journal).open()) as source:
        texts = [as_text(digest) for digest in digests(source)]
    now_us = time.time_ns() // 1000
    rows: list[tuple[str, float, str]] = []

    def measure(what: str, target: float | None, work: Any) -> Any:
        started, cpu = time.perf_counter(), time.process_time()
        done = work()
        took = time.perf_counter() - started
        met = "" if target is None else f"{target} s, {'met' if took <= target else 'missed'}"
        rows.append((f"{what} ({time.process_time() - cpu:.2f} s of CPU)", took, met))
        return done

    listed = many(texts, arguments.calls, now_us)
    measure("parse the digests", None, lambda: sum(1 for _ in listed))
    calls = measure(
        "parse and gather them", None, lambda: PeriodCalls(many(texts, arguments.calls, now_us))
    )
    gathered = [one.gathered for one in calls.of()]
    reading = Reading(0, calls, now_us - DAYS * 86_400_000_000, None, now_us, 0, 0.0, 0.0)
    pages = OverviewPages(Elsewhere(), Read(reading))
    question = Question(period="30d")
    page = measure("draw the page", TARGET_S, lambda: pages.render(question))[0]
    older, newer = calls.versions()[1:3]
    asked = Question(period="30d", version=newer, against=older)
    measure("draw it with two versions compared", TARGET_S, lambda: pages.render(asked))
    sure = Question(period="30d", version=newer, against=older, sure=True)
    measure("the same with intervals", None, lambda: pages.render(sure))
    turns = sum(one.turns for one in gathered)
    peak = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    title = f"{calls.count:,} calls, {turns:,} turns, a page of {len(page) // 1024} KiB; {peak}"
    table = Table("what", "time", "target", title=title)
    for what, took, met in rows:
        table.add_row(what, f"{took:.2f} s", met)
    Console().print(table)


if __name__ == "__main__":
    main()
