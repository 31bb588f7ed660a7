"""A real Prometheus that scrapes workers on this machine."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest
from samples.offline.processes import Program, free_port

from support.waiting import PATIENCE

GRAFANA = Path(__file__).parents[2] / "samples" / "grafana"


def dashboard_queries() -> list[str]:
    """What the panels of the dashboard ask, with Grafana's variables filled in."""
    panels = json.loads((GRAFANA / "dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    for variable, value in (("$__rate_interval", "5m"), ("$__range", "6h"), ("$agent", ".*")):
        queries = [query.replace(variable, value) for query in queries]
    return queries


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``; without it the test is skipped, or fails where it
    is required."""
    found = shutil.which(name)
    if found is None:
        why = f"there is no {name} (Debian: apt-get install prometheus)"
        if os.environ.get("PREFACTOR_TEST_PROMETHEUS") == "required":
            pytest.fail(why)
        pytest.skip(why)
    return found


class Prometheus:
    """Scrapes once a second, in a process of its own.

    Args:
        folder: For its data and its log.
        ports: Where the workers serve their metrics.
    """

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        folder.mkdir()
        self._port = free_port()
        targets = [f"127.0.0.1:{port}" for port in ports]
        job = {
            "job_name": "agents",
            "scrape_interval": "1s",
            "static_configs": [{"targets": targets}],
        }
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({"scrape_configs": [job]}))  # JSON is YAML
        self.process = Program(
            "prometheus",
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            folder / "prometheus.log",
            {},
        )

    def __enter__(self) -> Prometheus:
        self.process.start()
        self.process.wait_for("Server is ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.end()

    def ask(self, query: str) -> dict[str, float]:
        """The values that a query finds now, each by the values of its labels: ``a,b``, in the
        order of the labels' names."""
        told = urllib.parse.urlencode({"query": query})
        url = f"http://127.0.0.1:{self._port}/api/v1/query?{told}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return {
            ",".join(value for _, value in sorted(one["metric"].items())): float(one["value"][1])
            for one in found
        }

    def until(self, query: str, wanted: dict[str, float], timeout: float = PATIENCE) -> None:
        """Wait until a query finds exactly these values.

        Raises:
            AssertionError: Within so many seconds it does not.
        """
        deadline = time.monotonic() + timeout
        while (found := self.ask(query)) != wanted:
            assert time.monotonic() < deadline, f"{query} is {found}, not {wanted}"
            time.sleep(0.2)
