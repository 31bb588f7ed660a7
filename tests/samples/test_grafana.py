"""The dashboard and the alert rules: Prometheus takes them, and they ask for series that exist."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from prefactor_agent.metrics.series import SERIES, Kind
from support.prometheus import GRAFANA, dashboard_queries, program

PANELS = json.loads((GRAFANA / "dashboard.json").read_text())["panels"]
QUERIES = dashboard_queries()
RULES = (GRAFANA / "alerts.yml").read_text()


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", "--lint-fatal", GRAFANA / "alerts.yml")


def test_the_rules_say_what_they_should_of_made_up_series() -> None:
    promtool("test", "rules", GRAFANA / "alerts_test.yml")


def test_prometheus_takes_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(QUERIES)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


@pytest.mark.parametrize("where", ["dashboard", "rules"])
def test_all_series_that_are_asked_for_exist(where: str) -> None:
    known = {one.name for one in SERIES.values() if one.kind is not Kind.HISTOGRAM} | {
        f"{one.name}_{part}"
        for one in SERIES.values()
        if one.kind is Kind.HISTOGRAM
        for part in ("bucket", "sum", "count")
    }
    asked = set(re.findall(r"prefactor_\w+", "\n".join(QUERIES) if where == "dashboard" else RULES))
    assert asked <= known
    assert asked


def test_the_dashboard_shows_all_series() -> None:
    shown = "\n".join(QUERIES)
    assert [name for name in SERIES if name not in shown] == []


def test_no_two_panels_lie_on_each_other() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    cells = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
