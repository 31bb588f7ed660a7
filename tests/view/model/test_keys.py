from __future__ import annotations

from typing import Any

import pytest

from prefactor_agent.view.export.outline import outline
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.keys import inputs
from view.calls import us
from view.tool_calls import key, keys_call

ANNA = {"participant": "anna"}
SENT = {"direction": "sent"}


def said(*keys: dict[str, Any], **result: Any) -> list[str]:
    return [one.words for one in inputs(build(keys_call(*keys, **result)))]


def test_keys_pressed_one_after_the_other_are_one_input() -> None:
    call = build(keys_call(key(3000, "7", **ANNA), key(3400, "9", **ANNA)))
    (one,) = inputs(call)
    assert (one.started_us, one.ended_us) == (us(3000), us(3400))
    assert one.words == "keys 7 9 pressed by anna"


@pytest.mark.parametrize(
    "second",
    [
        key(4900, "9", **SENT),
        key(4900, "9", participant="bob"),
        key(8100, "9", **ANNA),
        key(5100, "9", **ANNA),
    ],
)
def test_another_side_a_pause_and_a_new_turn_begin_another_input(second: dict[str, Any]) -> None:
    assert len(said(key(3000, "7", **ANNA), second)) == 2


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([key(3000, "#")], "key # pressed"),
        ([key(3000, "1", **SENT), key(3100, "2", **SENT)], "keys 1 2 sent by the agent"),
        ([key(3000, "1", **SENT, failed=True)], "key 1 could not be sent by the agent"),
        ([key(3000, "<1 characters>", participant="<4 characters>")], "1 key pressed"),
        (
            [key(3000, "[redacted]", **ANNA), key(3100, "[redacted]", **ANNA)],
            "2 keys pressed by anna",
        ),
    ],
)
def test_it_says_who_did_what_with_which_keys(keys: list[dict[str, Any]], words: str) -> None:
    assert said(*keys) == [words]


def test_what_the_trace_does_not_hold_is_counted() -> None:
    assert said(key(3000, "1"), dtmf_total=3) == ["key 1 pressed, and 2 more keys after that"]


@pytest.mark.parametrize("dtmf", ["[redacted]", ["x", {"digit": "1"}, {"at_us": "<int>"}], 7])
def test_what_was_redacted_is_no_key(dtmf: object) -> None:
    spans = keys_call()
    spans[0].result["dtmf"] = dtmf
    assert inputs(build(spans)) == ()


def test_programs_get_each_key() -> None:
    keys = outline(keys_call(key(3000, "7", **ANNA), key(3400, "1", **SENT, failed=True)))["dtmf"]
    assert keys == [
        {
            "at_ms": 3000.0,
            "direction": "received",
            "digit": "7",
            "participant": "anna",
            "failed": False,
        },
        {"at_ms": 3400.0, "direction": "sent", "digit": "1", "participant": None, "failed": True},
    ]
