"""What each view says of the silences of a call, so that a test can compare them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from prefactor_agent.conversation import median
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model import numbers
from view.commandline import printed
from view.journals import write
from view.report.test_report import Page


class Said(NamedTuple):
    """In milliseconds; ``None``: there is none."""

    count: int
    median: float | None
    worst: float | None


def of(silences: Iterable[float]) -> Said:
    each = list(silences)
    return Said(len(each), round(median(each), 3), max(each)) if each else Said(0, None, None)


def views(spans: Sequence[StoredSpan], folder: Path) -> dict[str, Said]:
    """What each view says. The session span says something only once it has ended by itself."""
    journal = write(folder / "one-silence.db", spans)
    page = folder / "page.html"

    command = partial(printed, journal=journal)
    shown = command("show", "--json")
    listed = command("sessions", "--json")
    stats = command("stats", "--json")
    trace = json.loads(command("export", "--format", "chrome-trace"))
    command("report", "-o", page)
    of_turns = of(turn["silence_ms"] for turn in shown["turns"] if turn["silence_ms"] is not None)
    lines = {line["name"]: line for line in stats["stages"]}
    perceived = lines.get("perceived", {})
    found = {
        "the turns of show --json": of_turns,
        "the head of show --json": _head(shown, of_turns.count),
        "sessions --json": _head(listed, of_turns.count),
        "stats --json": Said(stats["turns"], perceived.get("median_ms"), perceived.get("worst_ms")),
        "the page": of(gap[2] for gap in Page(page.read_text()).data["gaps"]),
        "the chrome trace": of(
            event["dur"] / 1000 for event in trace["traceEvents"] if event["name"] == "dead air"
        ),
        "the head of show": _words(command("show", "--width", "200"), of_turns),
    }
    (session,) = (span for span in spans if span.parent_id is None)
    if session.finished_us is not None and "lost_end" not in session.result:
        latency = session.result.get("latency", {"turns": 0})
        found["the session span"] = Said(
            latency["turns"], latency.get("median_ms"), latency.get("worst_ms")
        )
    return found


def _head(call: Any, count: int) -> Said:
    return Said(count, call["silence_median_ms"], call["silence_worst_ms"])


def _words(text: str, expected: Said) -> Said:
    """``expected``, if this is what the head says in words."""
    worst = f"worst {numbers.length(expected.worst * 1000)}" if expected.worst is not None else ""
    middle = numbers.length(expected.median * 1000) if expected.median is not None else ""
    wanted = f"median {middle}, {worst}" if expected.count > 1 else worst
    (said,) = [line for line in text.splitlines() if "worst " in line] or [""]
    return expected if said.partition(": ")[2] == wanted else Said(-1, None, None)


def assert_one(spans: Sequence[StoredSpan], folder: Path) -> Said:
    """Every view says the same of a call's silences: this."""
    found = views(spans, folder)
    assert len(set(found.values())) == 1, found
    return found["sessions --json"]
