"""Runs the programs that `make dist` needs, and ends it with what they said if one fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn


def environment(**more: str) -> dict[str, str]:
    """This one's environment, without what would bring the checkout or its journal along."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PREFACTOR"))}
    return kept | more


def run(*command: object, cwd: Path | str, **more: str) -> str:
    """Run a program; if it fails, end this one with what it said.

    Args:
        more: Variables of its environment.

    Returns:
        What it printed.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        fail(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def fail(why: str) -> NoReturn:
    sys.exit(f"make dist: {why}")
