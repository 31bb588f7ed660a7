"""When a process began."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from prefactor_agent.core.clock import now_ns
from prefactor_agent.core.processes import began_ns, born

_CHILD = """
import time; time.sleep(0.3)
from prefactor_agent.core.clock import now_ns
from prefactor_agent.core.processes import began_ns
print(began_ns(), now_ns())
"""


def test_a_process_began_before_it_was_asked_and_after_its_parent() -> None:
    before = now_ns()
    child = subprocess.run(
        [sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True
    )
    began, asked = map(int, child.stdout.split())
    # The clock is the same in all processes of a machine; the kernel counts in hundredths.
    assert before - 20_000_000 <= began <= asked - 290_000_000
    assert asked <= now_ns()


def test_it_stays_the_same() -> None:
    first = began_ns()
    time.sleep(0.1)
    second = began_ns()
    assert first is not None and second is not None
    assert abs(second - first) < 20_000_000


def test_there_is_no_such_process() -> None:
    assert born(os.getpid()) == born(os.getpid())
    assert born(2**30) is None
