"""Completion as a user has it: Tab is pressed in a real shell, in a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.waiting import PATIENCE
from view.calls import spoken_call
from view.commandline import START
from view.journals import write

SHELLS = {
    "bash": (["--norc", "--noprofile"], "source <(prefactor-agent completion bash)"),
    "zsh": (
        ["-f"],
        "autoload -Uz compinit; compinit -D -u; source <(prefactor-agent completion zsh)",
    ),
    "fish": (["--no-config"], "prefactor-agent completion fish | source"),
}
PROGRAM = f"""#!/bin/sh
if [ -n "$_PREFACTOR_AGENT_COMPLETE" ] || [ "$1" = completion ]; then
  exec {shlex.quote(sys.executable)} -c {shlex.quote(START)} "$@"
fi
echo "[$@]"
"""
"""The program where it completes; elsewhere it prints what it was given."""


class Terminal:
    """A shell in a terminal, with the program on its PATH."""

    def __init__(self, shell: str, folder: Path, journal: Path) -> None:
        program = folder / "prefactor-agent"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        options, self._setup = SHELLS[shell]
        ours, theirs = pty.openpty()
        self._file = ours
        self._read = ""
        environment = {
            **os.environ,
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "PREFACTOR_JOURNAL": str(journal),
            "PS1": "> ",
            "HOME": str(folder),
            "TERM": "xterm",
        }
        self._shell = subprocess.Popen(
            [shell, *options, "-i"],
            env=environment,
            cwd=folder,
            preexec_fn=lambda: os.login_tty(theirs),
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        self.types(f"{self._setup}\n")
        self.types("prefactor-agent it is ready\n")
        self.given("it is ready")
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        os.close(self._file)

    def types(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    def given(self, words: str) -> None:
        """Wait until the program was given these words."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(rf"\[{words} ?\]", self._read):
            readable, _, _ = select.select([self._file], [], [], deadline - time.monotonic())
            assert readable, self._read
            self._read += os.read(self._file, 4096).decode(errors="replace")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write(tmp_path / "journal.db", spoken_call())


@pytest.fixture(params=SHELLS)
def terminal(request: pytest.FixtureRequest, tmp_path: Path, journal: Path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    with Terminal(request.param, tmp_path, journal) as terminal:
        yield terminal


def test_commands_options_and_calls_are_completed(terminal: Terminal) -> None:
    terminal.types("prefactor-agent sess\t\n")
    terminal.given("sessions")
    terminal.types("prefactor-agent export --format ch\t\n")
    terminal.given("export --format chrome-trace")
    wanted = spoken_call()[0].id
    terminal.types(f"prefactor-agent show {wanted[:9]}\t\n")
    terminal.given(rf"show {wanted[:10]}\w*")
    terminal.types("prefactor-agent archive pu\t\n")
    terminal.given("archive push")
