"""Other programs, as long as they are needed: each ends with us, and takes all of its own along."""

import atexit
import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self


class StartError(Exception):
    """A program ended, or said nothing, before it was ready. The message has its last words."""


class Program:
    """A program in a process group of its own, which writes to a log file.

    In a group of its own, so that ending it also ends the processes that it started, and a Ctrl-C
    in the terminal is ours to handle first.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0
        _programs.add(self)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise StartError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        self._from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment},
                start_new_session=True,
            )
        return self

    def start_until(self, ready: Callable[[], bool], timeout: float = 60.0) -> Self:
        """Start it, and wait until it is ready.

        Raises:
            StartError: It ended first, or the time (seconds) is over.
        """
        self.start()
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running or time.monotonic() > deadline:
                raise StartError(f"{self.name} did not start:\n{self.said()[-2000:]}")
            time.sleep(0.05)
        return self

    def said(self) -> str:
        """What it has written since it was last started."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    def wait_for(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """Wait until what it writes matches.

        Raises:
            StartError: It ended first, or the time (seconds) is over.
        """
        deadline = time.monotonic() + timeout
        while True:
            running = self.running
            if found := re.search(pattern, self.said(), re.MULTILINE):
                return found
            if not running or time.monotonic() > deadline:
                what = "did not say" if running else "ended before it said"
                last = "\n".join(self.said().splitlines()[-20:])
                raise StartError(f"{self.name} {what} {pattern!r}:\n{last}")
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, as a supervisor would."""
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Wait for its end, and give its exit code.

        Raises:
            subprocess.TimeoutExpired: It has not ended within so many seconds.
        """
        assert self._process is not None
        return self._process.wait(timeout)

    def kill(self) -> None:
        """End the whole group with -9."""
        self._signal_group(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def end(self, patience: float = 5.0) -> None:
        """End the program and all that it started: in an orderly way, as far as there is time."""
        if self._process is None:
            return
        self._signal_group(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self.kill()
        self._process = None

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.end()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of loopback that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether this port of loopback is free now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Server(ABC):
    """A program that other programs talk to. It keeps its ports when it is started again."""

    program: Program

    @abstractmethod
    def answers(self) -> bool:
        """Whether it can be talked to now."""

    def start(self, timeout: float = 60.0) -> None:
        """
        Raises:
            StartError: It did not answer within so many seconds.
        """
        self.program.start_until(self.answers, timeout)

    def kill(self) -> None:
        """As when its machine dies."""
        self.program.kill()

    def end(self) -> None:
        self.program.end()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


_programs: weakref.WeakSet[Program] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for program in list(_programs):
        program.kill()
