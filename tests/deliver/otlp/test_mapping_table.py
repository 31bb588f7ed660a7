"""The table in docs/otlp.md says what the code does, of each type of span."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from prefactor_agent.core.span import SpanType
from prefactor_agent.deliver.otlp.mapping import TABLE
from prefactor_agent.deliver.otlp.reading import read
from prefactor_agent.schemas.types import BASE_TYPES

from .test_mapping import CALLS, row, rows, sent

DOCUMENT = (Path(__file__).parents[3] / "docs" / "otlp.md").read_text()
COMMON = re.findall(r"`([\w.]+)`", DOCUMENT[DOCUMENT.index("In every span") :].split("\n|")[0])
ROWS = {
    cells[0]: cells
    for line in re.findall(r"^\| (`livekit:.*) \|$", DOCUMENT, re.MULTILINE)
    if (cells := [cell.strip() for cell in re.split(r"(?<!\\) ?\| ?", line)])
}


def cells_of(type_: str) -> list[str]:
    (found,) = (cells for types, cells in ROWS.items() if f"`{type_}`" in types)
    return found


def documented(type_: str) -> set[str]:
    return set(re.findall(r"`([\w.*]+)`", cells_of(type_)[4]))


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(re.escape(one).replace(r"\*", ".+"), name) for one in patterns)


def test_every_type_is_in_the_table() -> None:
    assert TABLE.keys() == BASE_TYPES == {type_.value for type_ in SpanType}
    for type_ in TABLE:
        assert cells_of(type_)


@pytest.mark.parametrize("type_", TABLE)
def test_names_and_kinds_are_those_of_the_table(type_: str) -> None:
    mapped, cells = TABLE[type_], cells_of(type_)
    if mapped is None:
        assert cells[1].startswith("nothing")
        return
    kind = "CLIENT" if mapped.client else "INTERNAL"
    assert cells[1:4] == [f"`{mapped.name}`", kind, mapped.openinference]


@pytest.mark.parametrize("type_", [type_ for type_, mapped in TABLE.items() if mapped])
def test_the_attributes_are_those_of_the_table(type_: str) -> None:
    """Those that the code can give, and those that real calls have."""
    mapped = TABLE[type_]
    assert mapped is not None
    reading = read(row(type_.removeprefix("livekit:")), content=True, usage=True)
    possible = set(mapped.attributes(reading))
    seen = {
        name
        for call in CALLS
        for one in sent(rows(call))
        if one.row.type == type_ or (type_ == "livekit:tool" and one.row.type.startswith(type_))
        for name in one.attributes
        if name not in COMMON and not name.startswith("prefactor.stream.")
    }
    wanted = documented(type_)
    assert [name for name in possible | seen if not matches(name, wanted)] == []
    left = {one for one in wanted if not any(matches(name, [one]) for name in possible | seen)}
    # Made only where there is a value; nobody is picked up in these calls, which have no room.
    assert {one for one in left if not one.endswith((".value", ".mime_type"))} <= {
        "prefactor.pickup_stage.*"
    }


def test_what_every_span_has_is_named() -> None:
    common = [set(one.attributes) for call in CALLS for one in sent(rows(call))]
    assert set.intersection(*common) <= set(COMMON)
    assert {"session.id", "gen_ai.conversation.id", "prefactor.id"} <= set.intersection(*common)
