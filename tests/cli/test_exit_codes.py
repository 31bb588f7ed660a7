"""The exit codes that `docs/commands.md` promises, of each command."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from release.commands import PAGE, commands, page

from prefactor_agent.journal.reader import Journal
from view.calls import spoken_call
from view.commandline import START, run
from view.journals import write

CASES = [
    # In braces: files that the test makes, or lacks.
    (0, "sessions --journal {journal}"),
    (0, "sessions --journal {journal} --at 04:01"),
    (1, "sessions --journal {nothing}"),
    (1, "sessions --journal {text}"),
    (0, "show --journal {journal}"),
    (1, "show --journal {journal} zzz"),
    (0, "export --journal {journal} -o {new}"),
    (1, "export --journal {journal} zzz"),
    (0, "report --journal {journal} -o {new}"),
    (1, "report --journal {journal} zzz -o {new}"),
    (1, "report --journal {journal} -o {nothing}/page.html"),
    (1, "ui --journal {text} --port 0"),
    (1, "ui --journal {journal} --port {taken}"),
    (0, "stats --journal {journal}"),
    (0, "stats --journal {journal} --agent nobody"),
    (1, "stats --journal {nothing}"),
    (1, "stats --journal {journal} --compare 1 2"),
    (0, "push --journal {journal} --dry-run"),
    (1, "push --journal {journal}"),
    (1, "push --journal {nothing}"),
    (0, "doctor --journal {journal}"),
    (1, "doctor --journal {text}"),
    (0, "tail --journal {journal} --for 0"),
    (1, "tail --journal {text} --for 0"),
    (0, "metrics --journal {journal}"),
    (1, "metrics --journal {nothing}"),
    (0, "prune --journal {journal} --days 100000"),
    (1, "prune --journal {journal} zzz"),
    (0, "evals-pack --journal {journal}"),
    (1, "evals-pack --journal {journal} zzz"),
    (1, "demo --out {text}/below"),  # 0 and 130: demo/test_command.py
    (0, "init {agent}"),
    (0, "init --write {agent}"),
    (1, "init {text}"),
    (1, "init {nothing}"),
    (0, "completion bash"),
    (0, "archive push --journal {journal} {archive}"),
    (1, "archive push --journal {journal}"),
    (1, "archive push --journal {nothing} {archive}"),
    (0, "archive compact {kept}"),
    (1, "archive compact"),
    (0, "archive ls {kept}"),
    (1, "archive ls"),
]
NAMES = [name for name, _ in commands()]


@pytest.fixture
def taken() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def files(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("This is no journal (and no Python).")
    (tmp_path / "agent.py").write_text("from livekit.agents import Agent\nAgent(instructions='')\n")
    journal = write(tmp_path / "journal.db", spoken_call())
    journal.chmod(0o600)
    return {
        "journal": journal,
        "nothing": tmp_path / "nothing",
        "text": tmp_path / "text",
        "new": tmp_path / "new",
        "agent": tmp_path / "agent.py",
        "archive": tmp_path / "archive",
        "kept": tmp_path / "kept",
        "taken": taken,
    }


@pytest.mark.parametrize(("code", "line"), CASES)
def test_a_command_ends_with(code: int, line: str, files: dict[str, object]) -> None:
    if "{kept}" in line:
        run("archive", "push", "--journal", str(files["journal"]), str(files["kept"]))
    done = run(*(word.format(**files) for word in line.split()))
    assert done.returncode == code, done.stdout + done.stderr
    if code:
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == (line.split()[0] != "doctor"), done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_command_line_is_2(name: str) -> None:
    done = run(*name.split(), "--no-such-option")
    assert done.returncode == 2
    assert "--no-such-option" in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_command_is_2() -> None:
    assert run("sesions").returncode == 2
    assert run("completion", "tcsh").returncode == 2


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "__init__", interrupted)
    done = run("show", "--journal", write(tmp_path / "journal.db", spoken_call()))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_is_how_tail_is_meant_to_be_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So is ui: view/ui/test_ui.py."""

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    done = run("tail", "--journal", write(tmp_path / "journal.db", spoken_call()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_reader_that_goes_away_gets_nothing_more(tmp_path: Path) -> None:
    """``prefactor-agent export | head``."""
    journal = write(tmp_path / "journal.db", spoken_call())
    with subprocess.Popen(
        [sys.executable, "-c", START, "export", "--journal", journal],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as export:
        assert export.stdout is not None and export.stderr is not None
        export.stdout.close()
        assert (export.wait(60), export.stderr.read()) == (1, b"")


def test_the_page_says_what_is_tested() -> None:
    text = PAGE.read_text()
    rows = re.findall(r"^\| `([\w -]+)` \|(.*)\|(.*)\|$", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == NAMES
    tested = {(code, name) for name in NAMES for code, line in CASES if line.startswith(name)}
    tested |= {(0, "ui"), (0, "demo")}
    assert {(n, row[0]) for row in rows for n in (0, 1) if row[n + 1].strip()} == tested


def test_the_reference_is_that_of_the_program() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "make commands"


def test_each_command_has_examples() -> None:
    shown = page("").split("### ")[1:]
    assert len(shown) == len(NAMES)
    for name, entry in zip(NAMES, shown, strict=True):
        assert "\n  Examples:\n" in entry and f" {name}" in entry.partition("Examples:")[2]
