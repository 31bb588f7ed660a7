"""A journal in which something else stands than what was written: each command says so in one line,
and looks at the other calls."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from view.calls import searching_call
from view.commandline import assert_one_line, run
from view.journals import write
from view.report.report_calls import small

LOOKING = [
    ["show"],
    ["report", "-o", "page.html"],
    ["export"],
    ["export", "--format", "chrome-trace"],
    ["export", "--format", "replay"],
]


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE chunks SET columns = '{\"offset_us\": [null]}'",
        "UPDATE chunks SET columns = substr(columns, 2)",
        "UPDATE spans SET payload = '[1]' WHERE parent_id IS NOT NULL",
        "UPDATE spans SET result = '7' WHERE parent_id IS NOT NULL",
        "UPDATE spans SET result = '{' WHERE parent_id IS NOT NULL",
    ],
)
def test_it_is_refused_in_one_line(
    command: list[str], change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = write(tmp_path / "journal.db", small())
    with sqlite3.connect(journal) as connection:
        assert connection.execute(change).rowcount > 0
    assert_one_line(run(*command, journal=journal), "is damaged at the span")


def test_counts_that_are_something_else_are_left_out(tmp_path: Path) -> None:
    """A program's ``redact`` may put anything in the place of anything."""
    journal = write(tmp_path / "journal.db", searching_call())
    with sqlite3.connect(journal) as connection:
        connection.execute(
            "UPDATE spans SET result = json_set(result, '$.streams', '[redacted]', '$.latency', 3)"
            " WHERE result IS NOT NULL"
        )
    for command in (["show"], ["report", "-o", tmp_path / "page.html"], ["export"], ["stats"]):
        done = run(*command, journal=journal)
        assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(run("show", "--json", journal=journal).stdout)["turns"]
