"""A worker: `python agent.py dev`, in a process of its own."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from samples.offline.processes import Program

from support.waiting import PATIENCE

ROOT = Path(__file__).parents[3]


class Worker:
    """A LiveKit worker, which runs each call in a process of its own.

    Args:
        agent: The agent's file.
        mode: `dev` or `start`, as on the command line.
    """

    def __init__(
        self, agent: Path, folder: Path, environment: Mapping[str, str], *, mode: str = "dev"
    ) -> None:
        self.environment = dict(environment)
        self.journal = Path(environment["PREFACTOR_JOURNAL"])
        self.program = Program(
            f"{agent.name} {mode}",
            [sys.executable, str(agent), mode],
            folder / f"{agent.stem}-{mode}.log",
            environment,
        )

    def start(self) -> Self:
        self.program.start()
        self.program.wait_for("registered worker", timeout=PATIENCE)
        return self

    def registered_again(self, times: int, timeout: float = PATIENCE) -> None:
        """Wait until it has registered so often since its start."""
        self.program.wait_for("(?s)" + "registered worker.*?" * times, timeout)

    def job_process(self, room: str, timeout: float = PATIENCE) -> int:
        """The process id of the call in a room, once it has one; from the worker's log."""
        found = self.program.wait_for(
            rf'"pid": (\d+), "job_id": "\w+", "room": "{re.escape(room)}"', timeout
        )
        return int(found[1])

    def drain(self) -> None:
        """Ask it to end, as a supervisor does: in `start` mode it lets its calls finish first."""
        self.program.send(signal.SIGTERM)

    def end(self) -> None:
        self.program.end(patience=15.0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.end()
