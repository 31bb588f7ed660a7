from __future__ import annotations

from io import StringIO

from rich.console import Console, RenderableType

from prefactor_agent.view.many.stats import collect
from prefactor_agent.view.terminal.stats import table
from view.calls import session
from view.latencies import SPANS, latencies_of
from view.pickups import picked_up


def shown(drawn: RenderableType) -> str:
    console = Console(file=StringIO(), width=160, color_system=None)
    console.print(drawn)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_shows_them():
    text = shown(table(collect(latencies_of(SPANS))))
    assert "3 answered turns in 2 calls, 1 over budget" in text
    assert [line.split() for line in text.splitlines()][3] == [
        "dead", "air", "3", "900", "ms", "2,000", "ms", "2,000", "ms",
    ]  # fmt: skip
    assert "No answered turn" in shown(table(collect([])))


def test_pickups_have_a_table_of_their_own() -> None:
    calls = latencies_of([session(pickup=picked_up())])
    text = shown(table(collect(calls)))
    assert "Picked up 1 call" in text and "turns" not in text
    assert "process" in text and "800 ms" in text
    both = collect([*latencies_of(SPANS), *calls])
    assert "3 answered turns in 2 calls" in shown(table(both))
