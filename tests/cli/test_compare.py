"""``stats --compare``, over a journal and an archive with two versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefactor_agent.archive.writer import push_all
from prefactor_agent.view.model.digest import digest_text
from view.commandline import assert_one_line, run
from view.journals import write
from view.versions import call

OLD = [call(f"{i:02}a", "v1", [900 + 10 * i, 1000 + i], tool_ms=100, day=i) for i in range(12)]
NEW = [call(f"{i:02}b", "v2", [690 + 10 * i, 790 + i], cut=True, day=20 + i) for i in range(12)]

LESS = "\N{MINUS SIGN}"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write(tmp_path / "j.db", *OLD, *NEW)


def test_two_versions_stand_side_by_side(journal: Path) -> None:
    done = run("stats", "--compare", "v1", "v2", journal=journal, COLUMNS="140")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:2] == ["v1: 24 answered turns in 12 calls", "v2: 24 answered turns in 12 calls"]
    [at] = (number for number, line in enumerate(lines) if line.startswith("dead air"))
    assert lines[at].startswith(f"dead air median 1,001 ms 791 ms {LESS}210 ms {LESS}")
    assert lines[at].endswith("24 and 24 turns")
    assert lines[at + 1].startswith(f"p95 1,010 ms 800 ms {LESS}210 ms {LESS}")
    [cut] = (line for line in lines if line.startswith("interrupted"))
    assert cut.startswith("interrupted share 0.0% 50.0% +50.0 pp +50.0 pp to +50.0 pp")
    [tool] = (line for line in lines if line.startswith("tool look_up"))
    assert tool == "tool look_up failed 0.0% 12 and 0 tool calls"


def test_it_prints_json_and_says_the_same_of_an_archive(journal: Path, tmp_path: Path) -> None:
    done = run("stats", "--compare", "v1", "v2", "--json", journal=journal)
    [line] = done.stdout.splitlines()
    told = json.loads(line)
    assert told["before"] == {"name": "v1", "calls": 12, "turns": 24}
    p95 = next(row for row in told["rows"] if row["statistic"] == "p95_ms")
    assert (p95["group"], p95["name"], p95["difference"]) == ("dead air", "perceived", -210)
    low, high = p95["interval"]
    assert low <= -210 <= high < 0
    assert (p95["of"], p95["counts"], p95["calls"]) == ("turns", [24, 24], [12, 12])
    archive = tmp_path / "archive"
    push_all(journal, str(archive), digest_text)
    again = run("stats", "--compare", "v1", "v2", "--json", "--from", str(archive))
    assert again.stdout == done.stdout


def test_two_periods_stand_side_by_side(journal: Path) -> None:
    began = "2026-11-21"  # of the first call
    done = run(
        "stats", "--compare", f"{began}..2026-12-05", "2026-12-05..", "--json", journal=journal
    )
    told = json.loads(done.stdout)
    assert [told[side]["calls"] for side in ("before", "after")] == [12, 12]
    assert told["rows"][0]["difference"] == -210


def test_few_calls_say_so(tmp_path: Path) -> None:
    path = write(tmp_path / "few.db", *OLD[:3], *NEW[:4])
    done = run("stats", "--compare", "v1", "v2", journal=path, COLUMNS="140")
    dead_air = next(line for line in done.stdout.splitlines() if line.startswith("dead air"))
    assert "too few" in dead_air and "6 and 8 turns" in dead_air
    assert "an interval needs 10 calls" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("v1", "v9"), ("no such call is of the version v9", "v1, v2")),
        (("v1", "2020-01-01..2020-01-02"), ("no such call began in 2020-01-01..2020-01-02",)),
        (("v1", "yesterday..today"), ("--compare takes a time",)),
        (("v1", "v2", "--version", "v1"), ("leave --version out",)),
        (("7d..3d", "3d..", "--since", "1d"), ("leave --since out",)),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    journal: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_one_line(run("stats", "--compare", *arguments, journal=journal), *parts)
