from __future__ import annotations

from typing import Any

import pytest

from prefactor_agent.view.model.end_of_turn import why_it_waited
from prefactor_agent.view.model.turns import Node
from prefactor_agent.view.report import render
from prefactor_agent.view.terminal.waterfall import waterfall
from view.calls import span, spoken_call, us

UNSURE = {"probability": 0.12, "threshold": 0.4, "delay_ms": 3000.0}


def said(*predictions: dict[str, Any]) -> list[str]:
    result = {"end_of_turn": {"detector": "eou", "predictions": list(predictions)}}
    return why_it_waited(Node(span("u", "user_turn", 0, 1, result=result)))


def test_what_a_detector_said_and_how_long_livekit_waited_for_that() -> None:
    sure = {"probability": 0.87, "threshold": 0.4, "delay_ms": 500.0}
    assert said({**UNSURE, "cut_short": True}, sure) == [
        "turn detector: 0.12 < 0.40, 3.00 s cut short",
        "turn detector: 0.87 >= 0.40, waited 500 ms",
    ]


def test_two_numbers_that_would_look_alike_have_more_digits() -> None:
    assert said({"probability": 0.3981, "threshold": 0.4012}) == ["turn detector: 0.3981 < 0.4012"]


@pytest.mark.parametrize("damaged", [{}, {"probability": "x"}, {"threshold": 0.4}])
def test_without_a_probability_nothing_is_said(damaged: dict[str, Any]) -> None:
    assert said(damaged) == []


def test_without_a_threshold() -> None:
    assert said({"probability": 0.5, "delay_ms": 500.0}) == ["turn detector: 0.50, waited 500 ms"]


def test_it_is_drawn_with_the_wait_and_stands_on_the_page() -> None:
    spans = spoken_call()
    (user,) = [one for one in spans if one.type == "livekit:user_turn"]
    user.result["end_of_turn"] = {"detector": "eou", "predictions": [UNSURE]}
    words = "turn detector: 0.12 < 0.40, waited 3.00 s"
    lines = [line.plain for line in waterfall(spans, 80, now_us=us(20_000))]
    (at,) = [i for i, line in enumerate(lines) if words in line]
    assert lines[at - 1].split()[0] == "endpointing"
    assert "turn detector: 0.12 &lt; 0.40, waited 3.00 s" in render(spans)
