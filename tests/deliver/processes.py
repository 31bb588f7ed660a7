"""Processes that have a call, and what they leave."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from .talk import Outcome, as_outcome

TESTS = Path(__file__).parents[1]


class Put(NamedTuple):
    """A span as the tracer handed it to the journal."""

    at_ns: int
    session_id: str
    span_id: str
    status: str


class Child(NamedTuple):
    pid: int
    notes: Path

    def puts(self) -> list[Put]:
        return [Put(*json.loads(line)) for line in self._lines("puts")]

    def writes(self) -> list[int]:
        """When each write of the journal began: monotonic nanoseconds."""
        return [int(line) for line in self._lines("writes")]

    def outcome(self) -> Outcome:
        return as_outcome(json.loads(self._read("outcome")))

    def log(self) -> list[str]:
        return self._read("log").splitlines()

    def _lines(self, name: str) -> list[str]:
        # While it runs, the last one may be there in part only.
        return self._read(name).split("\n")[:-1]

    def _read(self, name: str) -> str:
        path = self.notes / name
        return path.read_text() if path.exists() else ""


class Zygote:
    """Forks processes that have a call; see the module ``zygote``, which it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._running: set[int] = set()
        paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deliver.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self._answer()

    def fork(
        self,
        journal: Path,
        url: str,
        token: str | None,
        *,
        otlp: str | None = None,
        turns: int = 3,
        pause: float = 0.015,
        waits: bool = False,
        trouble: str | None = None,
    ) -> Child:
        """A process that has a call. What the arguments mean is said at ``zygote.have_a_call``."""
        notes = self._folder / str(next(self._numbers))
        plan = {
            "notes": str(notes),
            "journal": str(journal),
            "url": url,
            "token": token,
            "otlp": otlp,
            "turns": turns,
            "pause": pause,
            "waits": waits,
            "trouble": trouble,
        }
        child = Child(self._ask(fork=plan), notes)
        self._running.add(child.pid)
        return child

    def kill(self, child: Child) -> int:
        """With -9. Returns when: monotonic nanoseconds."""
        self._running.discard(child.pid)
        return int(self._ask(kill=child.pid))

    def join(self, child: Child) -> None:
        """Wait until it has ended, by itself and well."""
        code = self._ask(join=child.pid)
        self._running.discard(child.pid)
        assert code == 0, child.log()

    def close(self) -> None:
        for pid in self._running:  # left by a test that failed
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, **what: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote has ended"
        return json.loads(line)
