"""The table in docs/metrics.md is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

from prefactor_agent.metrics.series import CLOSED_LABELS, MOST_VALUES, SERIES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
ROWS = re.findall(r"^\| `(prefactor_\w+)` \| (\w+)(.*?) \|(.*)\|$", DOCUMENT, flags=re.MULTILINE)


def test_the_table_has_each_series_with_its_type_and_labels() -> None:
    written = [(name, kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels, _ in ROWS]
    assert written == [(one.name, one.kind, [*one.labels]) for one in SERIES.values()]


def test_the_table_names_the_outcomes() -> None:
    about = {name: text for name, _, _, text in ROWS}
    for name in ("prefactor_calls_total", "prefactor_tool_calls_total"):
        assert all(f"`{outcome}`" in about[name] for outcome in CLOSED_LABELS["outcome"])
    assert all(f"`{role}`" in about["prefactor_turns_total"] for role in CLOSED_LABELS["role"])
    assert f"takes {MOST_VALUES} values" in DOCUMENT
