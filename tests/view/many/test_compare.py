"""Two versions side by side, with numbers worked out by hand."""

from __future__ import annotations

from typing import Any

from prefactor_agent.view.many.compare import Comparison, Row, compare
from prefactor_agent.view.model.digest import Digest
from view.digests import digest_of
from view.versions import call


def digests(version: str, *turns_ms: list[float], **more: Any) -> list[Digest]:
    found = []
    for index, turns in enumerate(turns_ms):
        found.append(digest_of(call(f"{version}-{index}", version, turns, **more)))
    return found


def row(found: Comparison, group: str, name: str, statistic: str) -> Row:
    [one] = (
        row
        for row in found.rows
        if (row.group, row.name, row.statistic) == (group, name, statistic)
    )
    return one


def test_each_figure_has_both_values_and_their_difference() -> None:
    old = digests("v1", [800, 1200], [1000], tool_ms=100, failed=True)
    new = digests("v2", [700, 900, 650], tool_ms=40, cut=True)
    found = compare(("v1", old), ("v2", new))
    assert (found.before.calls, found.before.turns) == (2, 3)
    assert (found.after.calls, found.after.turns) == (1, 3)
    dead_air = row(found, "dead air", "perceived", "median_ms")
    assert (dead_air.before, dead_air.after, dead_air.difference) == (1000, 700, -300)
    assert (dead_air.counts, dead_air.calls, dead_air.sure) == ((3, 3), (2, 1), None)
    assert row(found, "dead air", "perceived", "p95_ms").difference == 900 - 1200
    # Half of each silence is the end-of-speech detection's.
    assert row(found, "dead air", "vad", "median_ms").difference == -150
    assert row(found, "pickup", "pickup", "median_ms").counts == (2, 1)
    assert row(found, "tools", "look_up", "share").difference == -1
    assert row(found, "tools", "look_up", "median_ms").difference == -60
    interrupted = row(found, "turns", "interrupted", "share")
    assert (interrupted.before, interrupted.after) == (0, 1 / 3)


def test_enough_calls_have_an_interval() -> None:
    old = digests("v1", *([900 + 10 * index] * 2 for index in range(12)))
    new = digests("v2", *([690 + 10 * index] * 2 for index in range(12)))
    p95 = row(compare(("v1", old), ("v2", new)), "dead air", "perceived", "p95_ms")
    assert p95.difference == -210
    assert p95.sure is not None and p95.sure.certain
    assert p95.sure.low <= -210 <= p95.sure.high < 0
    assert p95.as_json()["interval"] == [p95.sure.low, p95.sure.high]


def test_what_only_one_side_has_has_no_difference() -> None:
    found = compare(("v1", digests("v1", [800])), ("v2", digests("v2", [800], tool_ms=5)))
    tool = row(found, "tools", "look_up", "median_ms")
    assert (tool.before, tool.after, tool.difference, tool.counts) == (None, 5, None, (0, 1))
    assert tool.as_json()["before"] is None
