"""What other programs make of the archive and of the manifest: ClickHouse (as chdb), and the
schemas of Kubernetes. `make test-fleet` installs both; else these tests are skipped."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from archive.hosts import calls, journal, push, say

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("PREFACTOR_TEST_FLEET")
ASK = "import chdb, sys; print(chdb.query(sys.argv[1], 'JSONCompact'))"
pytestmark = pytest.mark.skipif(PYTHON is None, reason="make test-fleet runs these")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    for number, of in enumerate([calls("Shop", 0, 14), calls("front/desk=1", 14, 14)]):
        push(journal(folder / f"{number}.db", *of), str(folder / "archive"))
    return folder / "archive"


def asked(sql: str, archive: Path) -> list[list[object]]:
    """What ClickHouse answers to a query of docs/fleet.md, over a folder."""
    local = re.sub(r"s3\('[^']*?/agents/", f"file('{archive}/", sql).rstrip().rstrip(";")
    local = local.replace("today() - 30", "'2026-01-01'")  # the calls have fixed dates
    done = subprocess.run(
        [PYTHON or "", "-c", ASK, local], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows: list[list[object]] = json.loads(done.stdout)["data"]
    return rows


def queries() -> list[str]:
    text = (ROOT / "docs" / "fleet.md").read_text()
    return re.findall(r"-- ClickHouse: [^\n]*\n(.*?;)", text, re.S)


@pytest.mark.parametrize("compacted", [False, True])
def test_clickhouse_says_what_stats_says(archive: Path, compacted: bool) -> None:
    if compacted:
        say("archive", "compact", str(archive))
    stats = json.loads(say("stats", "--json", "--from", str(archive)))
    by_day, by_stage, by_tool = (asked(sql, archive) for sql in queries())
    assert {row[0] for row in by_day} == {"Shop", "front%2Fdesk%3D1"}
    assert sum(int(str(row[2])) for row in by_day) == stats["turns"]
    counted = {row[0]: int(str(row[1])) for row in by_stage}
    stages = {line["name"]: line for line in stats["stages"]}
    del stages["perceived"]
    assert counted == {name: line["count"] for name, line in stages.items()}
    assert {row[0]: [int(str(n)) for n in row[1:3]] for row in by_tool}["find"] == [4, 4]


def test_the_manifest_is_valid() -> None:
    program = Path(PYTHON or "").with_name("kubernetes-validate")
    manifest = ROOT / "samples" / "fleet" / "kubernetes.yaml"
    done = subprocess.run(
        [program, "--strict", manifest], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(" passed ") == 3
