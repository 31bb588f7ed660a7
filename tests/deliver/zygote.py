"""A process that has imported everything, and forks one that has a call, as often as it is told.

Importing LiveKit takes seconds, a call tenths of one: so a test can kill a hundred processes in the
middle of a real call. What it is told and what it answers are lines of JSON: see
:class:`.processes.Zygote`.

Each child leaves notes in its folder: ``puts``, each span that the tracer hands to the journal at
the moment when it does; ``writes``, when each write of the journal began that came to its end;
``outcome``, what there was to see and hear of the call; ``log``."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from prefactor_agent.config import Settings
from prefactor_agent.core.guard import failures
from prefactor_agent.core.span import Span
from prefactor_agent.deliver.otlp import delivery as otlp_delivery  # noqa: F401  # the same
from prefactor_agent.deliver.otlp import target as otlp_target
from prefactor_agent.deliver.prefactor import target  # what Pipeline would import in each child
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.tracing import tracer
from support.waiting import PATIENCE, until

from .talk import talk

NOBODY = 65534
LITTLE_ROOM = 30_000
"""Bytes that a file may have on a full disk: less than a call takes."""


class Watched(Pipeline):
    """The pipeline of every traced process; it notes what it is given."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__(settings, lambda session_id, reason: None)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._puts, self._writes = (
            os.open(folder / name, flags, 0o600) for name in ("puts", "writes")
        )
        self._write_all = self._writer._write_all
        self._writer._write_all = self._write  # type: ignore[method-assign]

    def put(self, span: Span) -> None:
        noted: list[Any] = [time.monotonic_ns(), span.session_id, span.id, str(span.status)]
        os.write(self._puts, json.dumps(noted).encode() + b"\n")  # in the kernel: survives us
        super().put(span)

    def _write(self) -> bool:
        begun = time.monotonic_ns()
        busy = self._write_all()
        if busy and self._writer._retry is None:
            os.write(self._writes, f"{begun}\n".encode())
        return busy


def have_a_call(
    *,
    notes: str,
    journal: str,
    url: str,
    token: str | None,
    otlp: str | None,
    turns: int,
    pause: float,
    waits: bool,
    trouble: str | None,
) -> None:
    """
    Args:
        otlp: Address of an OpenTelemetry backend, if it is sent to one.
        waits: Until it is killed; otherwise it ends as an agent's process does.
        trouble: ``disk_full`` during the call, or ``unprivileged``: root may write anything.
    """
    folder = Path(notes)
    folder.mkdir()
    handler = logging.FileHandler(folder / "log")
    logging.getLogger("prefactor_agent").addHandler(handler)
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = otlp or ""
    settings = Settings(
        journal=Path(journal),
        api_url=url,
        api_token=SecretStr(token) if token else None,
        otlp=otlp is not None,
    )
    pipeline = Watched(settings, folder)
    (folder / "outcome").touch()
    outcome = os.open(folder / "outcome", os.O_WRONLY)
    if trouble == "unprivileged" and os.geteuid() == 0:
        os.setuid(NOBODY)
    tracer.send_to(pipeline)
    if trouble == "disk_full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LITTLE_ROOM, resource.RLIM_INFINITY))
    had = asyncio.run(talk(turns=turns, pause=pause))
    if trouble == "disk_full":
        until(lambda: failures["journal.write"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    os.write(outcome, json.dumps(had).encode())
    if waits:
        time.sleep(600)
    pipeline.flush(PATIENCE)


def fork(plan: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            have_a_call(**plan)
            code = 0
        finally:
            os._exit(code)
    return pid


def kill(pid: int) -> int:
    killed = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    if (code := join(pid)) != -signal.SIGKILL:
        raise SystemExit(f"a child ended by itself: {code}")
    return killed


def join(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    target.INTERVAL_S = otlp_target.INTERVAL_S = 0.1
    # One call that is not traced: whatever is made at first use is made before the first fork.
    asyncio.run(talk(traced=False, turns=1))
    gc.freeze()  # the children share what is here, instead of each copying it to count references
    print("null", flush=True)
    for line in sys.stdin:
        [(what, argument)] = json.loads(line).items()
        does: Any = {"fork": fork, "kill": kill, "join": join}[what]
        print(json.dumps(does(argument)), flush=True)


if __name__ == "__main__":
    main()
