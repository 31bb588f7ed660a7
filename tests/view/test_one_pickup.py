"""One pickup, and one number for it, whoever tells it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from prefactor_agent.testing.trace import _pickup
from prefactor_agent.view.model.calltree import build
from view.calls import spoken_call
from view.commandline import printed
from view.journals import write
from view.pickups import TOOK, picked_up
from view.report.test_report import Page

MS = sum(TOOK.values())


def test_every_view_gives_the_same_number(tmp_path: Path) -> None:
    first, *rest = spoken_call()
    first.result["pickup"] = picked_up()
    journal = write(tmp_path / "one.db", [first, *rest])
    page = tmp_path / "page.html"

    command = partial(printed, journal=journal)
    shown, listed, stats = (command(one, "--json") for one in ("show", "sessions", "stats"))
    assert shown["pickup_ms"] == shown["pickup"]["ms"] == listed["pickup_ms"] == MS
    assert {one["name"]: one["worst_ms"] for one in stats["pickup"]} == {"pickup": MS, **TOOK}
    assert "2.00 s until the first sound" in command("show")
    assert "2.00 s" in command("sessions")
    assert "2,000 ms" in command("stats")
    command("report", "-o", page)
    assert "2,000 ms from the caller's arrival" in Page(page.read_text()).text.replace(
        "\u202f", " "
    )
    (line,) = [json.loads(one) for one in command("export").splitlines() if "session" in one][:1]
    assert line["result"]["pickup"]["ms"] == MS
    told = _pickup(build([first, *rest]))
    assert told is not None and (told.ms, dict(told.stages)) == (MS, TOOK)
