"""Some processes that write to one journal at once, of which one after the other is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = ["--writers=8", "--seconds=5", "--kill-every=0.5"]


def test_what_was_written_before_a_process_was_killed_is_kept_once_and_can_be_read() -> None:
    # In a process of its own: it forks the others, and pytest's has threads.
    measured = subprocess.run(
        [sys.executable, "-m", "benchmarks.many_writers", "--json", *SMALL],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(measured.stdout)
    assert found["killed"] >= 3
    assert found["spans"] >= 20
    assert found["readings"] >= 1
    assert found["lost"] == 0
    assert found["doubled"] == 0
    assert found["strangers"] == 0
    assert found["failed_readings"] == []
