"""A process that has imported everything, and forks one that has a call, as often as it is told.

Importing LiveKit takes seconds, a call tenths of one: so a test can kill a hundred processes in the
middle of a real call. Lines in: ``fork``; ``kill <pid>``. Lines out: the pid; when the process was
killed (monotonic nanoseconds).

A child writes down each span that the tracer hands to the journal, at the moment when it does, in a
file ``<pid>.puts``: what the test then expects to find in the journal."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from prefactor_agent.config import Settings
from prefactor_agent.deliver import deliverer  # what Pipeline would import in each child
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.record.span import Span
from prefactor_agent.tracing import tracer

from .talk import talk

TURNS = 5
PAUSE_S = 0.015


class Watched(Pipeline):
    """The pipeline of every traced process; it notes what it is given."""

    def __init__(self, settings: Settings, file: Path) -> None:
        super().__init__(settings, lambda session_id, reason: None)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def put(self, span: Span) -> None:
        noted: list[Any] = [time.monotonic_ns(), span.session_id, span.id, str(span.status)]
        os.write(self._file, json.dumps(noted).encode() + b"\n")  # in the kernel: survives us
        super().put(span)


def have_a_call(settings: Settings, folder: Path) -> None:
    tracer.send_to(Watched(settings, folder / f"{os.getpid()}.puts"))
    asyncio.run(talk(turns=TURNS, pause=PAUSE_S))
    time.sleep(60)  # until it is killed


def main() -> None:
    journal, url, token, folder = sys.argv[1:]
    settings = Settings(journal=Path(journal), api_url=url, api_token=SecretStr(token))
    deliverer.INTERVAL_S = 0.1
    # One call that is not traced: whatever is made at first use is made before the first fork.
    asyncio.run(talk(traced=False, turns=1))
    gc.freeze()  # the children share what is here, instead of each copying it to count references
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["fork"]:
                pid = os.fork()
                if pid == 0:
                    try:
                        have_a_call(settings, Path(folder))
                    finally:
                        os._exit(1)
                print(pid, flush=True)
            case ["kill", pid_text]:
                killed = time.monotonic_ns()
                os.kill(int(pid_text), signal.SIGKILL)
                _, status = os.waitpid(int(pid_text), 0)
                if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
                    raise SystemExit(f"a child ended by itself: {status}")
                print(killed, flush=True)


if __name__ == "__main__":
    main()
