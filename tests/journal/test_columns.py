"""Chunks as they are kept, and a file in which they are something else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_agent.journal.columns import joined, read

WHOLE = {"offset_us": [1, 2], "size": [3, 4], "text": ["one", "four"]}


def test_columns_of_every_kind_are_read() -> None:
    for kept in (
        WHOLE,
        {"offset_us": [0], "size": [240], "dbfs": [-127], "n": [8]},
        {"offset_us": [-5], "size": [0], "event": [{"type": "final_transcript"}]},
        {"offset_us": [], "size": [], "text": []},
    ):
        assert read(json.dumps(kept)) == kept


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "[]",
        "{}",
        {**WHOLE, "size": [3]},
        {**WHOLE, "size": None},
        {**WHOLE, "offset_us": [1, None]},
        {**WHOLE, "offset_us": [1, True]},
        {**WHOLE, "offset_us": [1, 2.5]},
        {**WHOLE, "offset_us": [1, 2**60]},
        {**WHOLE, "text": ["one", 4]},
        {**WHOLE, "dbfs": [-20, 3]},
        {**WHOLE, "event": [{}, "final"]},
        {**WHOLE, "more": [1, 2]},
        {"offset_us": "ab", "size": "cd"},
    ],
)
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError):
        read(wrong if isinstance(wrong, str) else json.dumps(wrong))


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)


@given(st.dictionaries(st.sampled_from([*WHOLE, "n", "dbfs", "event", "other"]), _ANY))
def test_what_is_read_can_be_joined(columns: dict[str, Any]) -> None:
    try:
        part = read(json.dumps(columns))
    except ValueError:
        return
    twice = joined([part, part])
    assert {len(values) for values in twice.values()} <= {2 * len(part["size"])}


def test_merged_rows_and_single_ones_are_counted_alike() -> None:
    single = {"offset_us": [1], "size": [3]}
    merged = {"offset_us": [2], "size": [9], "n": [4]}
    assert joined([single, merged, single])["n"] == [1, 4, 1]
