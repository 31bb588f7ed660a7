"""The command line, as a user runs it."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest import mock

from prefactor_agent.cli import main

START = "import sys; from prefactor_agent.cli import main; main()"
"""What a process of its own runs."""


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path, journal: Path | None = None, **environment: str) -> Done:
    """The command with its output into a pipe; a traceback fails the test."""
    clean = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "NO_COLOR", "FORCE_COLOR"}}
    env = {**clean, "TZ": "UTC", **environment}
    if journal is not None:
        env["PREFACTOR_JOURNAL"] = str(journal)
    encoding = env.pop("PYTHONIOENCODING", "utf-8")
    out, err = BytesIO(), BytesIO()
    code = 0
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(sys, "argv", ["prefactor-agent", *map(str, arguments)]),
        TextIOWrapper(out, encoding=encoding) as stdout,
        TextIOWrapper(err, encoding=encoding) as stderr,
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        time.tzset()
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        stdout.flush()
        stderr.flush()
        return Done(code, out.getvalue().decode(), err.getvalue().decode())


def printed(*arguments: str | Path, journal: Path) -> Any:
    """What a command prints when all is well; with ``--json`` the object that it prints."""
    done = run(*arguments, journal=journal)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def assert_one_line(done: Done, *parts: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("prefactor-agent: ")
    for part in parts:
        assert part in done.stderr
