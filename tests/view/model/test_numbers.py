from __future__ import annotations

import pytest

from prefactor_agent.view.model import numbers
from prefactor_agent.view.model.handoffs import handoff_of
from view.calls import span


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0.0 ms"),
        (9.94, "9.9 ms"),
        (9.96, "10 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (9_994, "9.99 s"),
        (9_996, "10.0 s"),
        (99_900, "99.9 s"),
        (99_960, "1:40"),
        (3_599_400, "59:59"),
        (3_599_600, "1:00:00"),
    ],
)
def test_a_length_has_three_figures(ms: float, said: str) -> None:
    assert numbers.length(ms * 1000) == said


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"cause": "tool", "tool_name": "transfer"}, "by transfer"),
        ({"cause": "tool"}, "by a tool"),
        ({"cause": "hook"}, "by a hook"),
        ({"cause": "program"}, "by the program"),
        ({"cause": "task_completed", "tool_name": "book"}, "back to book"),
        ({"cause": "task_completed"}, "the task is done"),
        ({"cause": "task_failed"}, "the task failed"),
        ({"cause": "task_cancelled", "tool_name": "book"}, "back to book, the task was cancelled"),
        ({}, ""),
    ],
)
def test_a_handoff_says_why(told: dict[str, str], why: str) -> None:
    handed = span("h", "handoff", 0, 1, payload={"from": "clerk", "to": "boss", **told})
    assert handoff_of(handed)[:3] == ("clerk", "boss", why)
