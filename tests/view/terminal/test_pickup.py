"""The pickup above the turns of a call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from prefactor_agent.view.terminal.glyphs import ASCII, UNICODE, Glyphs
from prefactor_agent.view.terminal.waterfall import waterfall
from view.calls import session, spoken_call, us
from view.pickups import picked_up


def drawn(
    width: int = 80, glyphs: Glyphs = UNICODE, at: int | None = None, **more: Any
) -> list[str]:
    first, *rest = spoken_call()
    payload = {**first.payload, "budgets": {"pickup": 1.5}}
    root = replace(first, payload=payload, result={**first.result, "pickup": picked_up(**more)})
    lines = waterfall([root, *rest], width, glyphs, now_us=us(20_000), at_us=at)
    return [line.plain for line in lines]


def test_it_stands_before_the_first_turn_with_a_row_for_each_stage() -> None:
    lines = drawn()
    heading = next(i for i, line in enumerate(lines) if "pickup" in line)
    assert heading < next(i for i, line in enumerate(lines) if "turn 1" in line)
    assert lines[heading].startswith("── pickup ──")
    assert lines[heading].endswith(
        "─ 2.00 s until the first sound, 800 ms of it waiting for a process"
    )
    rows = lines[heading + 2 : heading + 7]
    assert [row.split()[0] for row in rows] == [
        "dispatch", "process", "connect", "llm", "tts",
    ]  # fmt: skip
    # 43 columns of bars are 2 s: 200 ms are four of them, and the process follows.
    assert rows[0].rstrip().endswith("200 ms") and rows[0].count("█") == 4
    assert rows[1].index("█") == 16 + 4 and rows[1].count("█") == 17
    assert "and accept 2.0 ms" in lines[heading + 7]


def test_a_caller_who_spoke_first_and_a_clock_that_is_off() -> None:
    lines = drawn(until="caller", basis={"clocks_apart_ms": 2000.0}, width=100)
    (heading,) = [line for line in lines if line.startswith("── pickup")]
    assert "the server's clock is off" in heading
    assert "2.00 s until the caller spoke first" in "\n".join(lines)


def test_a_pickup_over_its_budget_says_so() -> None:
    assert any(
        line.strip() == "over budget   pickup 2.00 s of 1.50 s"
        for line in drawn(over_budget={"pickup": 2.0})
    )


def test_only_about_the_time_that_was_asked_for() -> None:
    assert any("── pickup" in line for line in drawn(at=us(0)))
    assert not any("── pickup" in line for line in drawn(at=us(3_600_000)))


def test_a_call_without_one() -> None:
    assert not any("pickup" in line.plain for line in waterfall([session()], now_us=us(20_000)))


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_line_fits(width: int, glyphs: Glyphs) -> None:
    assert all(cell_len(line) <= width for line in drawn(width, glyphs))
