"""A program that traces a call in a process of its own, to the end of that process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prefactor_agent.journal.reader import Journal

from .waiting import PATIENCE


def run_to_its_end(program: str, path: Path, code: int, **fields: object) -> tuple[Journal, str]:
    """Run a program with its journal at ``path``; gives the journal, and what it said on its
    standard error.

    Args:
        program: In it, ``{path!r}`` is this process's ``sys.path``, and ``fields`` have their
            places.

    Raises:
        AssertionError: It ended with another code.
    """
    done = subprocess.run(
        [sys.executable, "-c", program.format(path=[one for one in sys.path if one], **fields)],
        env={**os.environ, "PREFACTOR_JOURNAL": str(path)},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return Journal(path), done.stderr
