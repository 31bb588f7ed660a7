"""Chunks as sums and a few events."""

from __future__ import annotations

import json

import pytest

from prefactor_agent.deliver.otlp.streams import MOST_EVENTS, chunk_events, sums, turn_events


def columns(*offsets: int, n: list[int] | None = None) -> str:
    made = {"offset_us": [*offsets], "size": [3] * len(offsets)}
    return json.dumps({**made, "n": n} if n else made)


def test_first_last_and_the_pauses_are_events() -> None:
    found = chunk_events(1_000, {"output": [columns(10, 20), columns(500_020, 500_030)]}, 16)
    assert [(one.at_us, one.name) for one in found] == [
        (1_010, "output.first_chunk"),
        (1_020, "output.gap"),
        (501_030, "output.last_chunk"),
    ]
    assert found[1].attributes == {"prefactor.gap": 0.5}


@pytest.mark.parametrize("streams", [1, 2, 5, 20])
def test_there_are_never_more_than_there_is_room_for(streams: int) -> None:
    columns_ = [columns(*range(0, 10_000_000_000, 1_000_000))]
    found = chunk_events(0, {str(name): columns_ for name in range(streams)}, MOST_EVENTS)
    assert len(found) <= MOST_EVENTS
    assert streams > 8 or found


def test_the_longest_pauses_are_told() -> None:
    offsets = [sum(range(0, n * 100_000, 100_000)) for n in range(40)]
    found = chunk_events(0, {"output": [columns(*offsets)]}, 5)
    gaps = [one.attributes["prefactor.gap"] for one in found if one.name == "output.gap"]
    assert gaps == [3.6, 3.7, 3.8]


def test_in_rows_of_several_chunks_no_pause_is_guessed() -> None:
    found = chunk_events(0, {"output": [columns(0, 900_000, 1_800_000, n=[2, 1, 1])]}, 16)
    assert [one.at_us for one in found if one.name == "output.gap"] == [900_000]


def test_damaged_columns_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="no columns"):
        chunk_events(0, {"output": ["{}"]}, 16)


def test_sums_are_in_seconds_and_only_what_is_known() -> None:
    told = {"output": {"kind": "text", "count": 2, "first_us": 1_500_000}, "other": "[redacted]"}
    assert sums(told) == {
        "prefactor.stream.output.count": 2,
        "prefactor.stream.output.first": 1.5,
    }


def test_moments_count_from_the_beginning_of_the_call() -> None:
    result = {
        "moments_us": {"created": 5, "user_committed": 1, "broken": "[redacted]"},
        "gaps": [{"at_us": 7, "ms": 250, "cause": "llm"}],
        "pauses": [{"at_us": 6, "state": "paused"}],
    }
    found = turn_events(100, result)
    assert [(one.at_us, one.name) for one in found] == [
        (105, "created"),
        (106, "paused"),
        (107, "gap"),
    ]
    assert found[2].attributes == {"prefactor.gap": 0.25, "prefactor.cause": "llm"}
    assert turn_events(None, result) == []
