"""Starts the server's process and talks to its control port: what tests hold in their hands."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from ..waiting import PATIENCE
from .errors import Json
from .serve import bound
from .settings import ACCOUNT_ID, AGENT_ID, ENVIRONMENT_ID, Settings


class ServerError(Exception):
    """The server process did not start, or did not take a command."""


@dataclass
class Span:
    """One span as the service holds it."""

    id: str
    instance_id: str
    parent_id: str | None
    type: str
    status: str
    payload: Json
    result: Json | None
    started_at: str
    finished_at: str | None
    # Calls that arrived for it, the refused and repeated ones too.
    creates: int
    finishes: int
    children: list[Span] = field(default_factory=list, repr=False)


@dataclass
class FaultHandle:
    """A plan that was switched on."""

    ident: int
    _command: Callable[..., Any] = field(repr=False)

    def clear(self) -> None:
        self._command("clear", ident=self.ident)

    def hits(self) -> int:
        found: int = self._command("hits", ident=self.ident)
        return found


class PrefactorServer:
    """A Prefactor on the loopback, in its own process.

    `fault` kinds and their options (all take `path`, a part of the path; `times`, how many calls;
    `seconds`, how long; `skip`, how many calls to leave alone first):

    - the port: `refuse`
    - before any effect: `hang`, `delay` (delay), `status` (status), `rate_limit` (retry_after),
      `reset`, `html` (status, body)
    - after the effect: `reset_after`, `hang_after`, `bulk_cut` (items: only so many of a
      bulk call took effect, and the connection is reset), `truncated`, `html_after` (status,
      body), `drip` (chunk, interval)
    - answers of the service: `revoke`, `forbid`, `no_custom_ids`, `no_bulk` (status), `no_marks`,
      `reject_type` (schema_name)
    """

    agent_id = AGENT_ID
    environment_id = ENVIRONMENT_ID
    account_id = ACCOUNT_ID

    def __init__(self, state: Path | None = None, *, port: int = 0, **settings: Any) -> None:
        """`settings` are the fields of `Settings`; without `state` a temporary file is used."""
        self.settings = Settings(**settings)
        self._changed = settings
        self._own = tempfile.TemporaryDirectory() if state is None else None
        self._state = Path(self._own.name) / "state.jsonl" if self._own else state
        self._wanted_port = port
        self._guard: Any = None
        self._process: subprocess.Popen[str] | None = None
        self._control = ""
        self.url = ""

    @property
    def token(self) -> str:
        """A deployment-scoped token."""
        return self.settings.deployment_token

    @property
    def account_token(self) -> str:
        return self.settings.account_token

    @property
    def admin_token(self) -> str:
        return self.settings.admin_token

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError("the server is not running")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> Self:
        if self._process is not None:
            raise ServerError("the server is running")
        if self._guard is None:
            # Held until `close`, so that the port stays ours while the process is down.
            self._guard = bound(self._wanted_port)
        port = self._guard.getsockname()[1]
        tests = str(Path(__file__).parents[2])
        paths = [tests, *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "-m", "support.prefactor_server", "--port", str(port)]
        command += ["--state", str(self._state), "--settings", json.dumps(self._changed)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            # A Ctrl-C in the terminal is for the tests, which then close the server.
            start_new_session=True,
        )
        self._process = process
        guard = threading.Timer(PATIENCE, process.kill)
        guard.start()
        try:
            line = process.stdout.readline() if process.stdout else ""
        finally:
            guard.cancel()
        if not line:
            self.kill()
            raise ServerError("the server process ended before it was ready")
        address = json.loads(line)
        self.url, self._control = address["url"], address["control"]
        return self

    def stop(self) -> None:
        """Ends the process in an orderly way. The state, the port and the address stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process with -9."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """A new process on the same port, with the state kept and no fault plans."""
        self.stop()
        return self.start()

    def reset(self) -> Self:
        """As new for the next test: no state, no fault plans. Much cheaper than a start."""
        if self._process is None:
            self.start()
        self._command("reset")
        return self

    def close(self) -> None:
        self.stop()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        if self._own is not None:
            self._own.cleanup()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    # Faults

    def fault(self, kind: str, **options: Any) -> FaultHandle:
        return FaultHandle(self._command("fault", kind=kind, **options), self._command)

    def clear_faults(self) -> None:
        self._command("clear")

    def terminate(self, instance_id: str | None = None, reason: str | None = None) -> list[str]:
        """The kill switch: of one instance, or of all that run."""
        done: list[str] = self._command("terminate", instance_id=instance_id, reason=reason)
        return done

    # Inspection

    def instances(self) -> list[Json]:
        """Every instance as the API shows it, and `registration`: what it was registered with."""
        found: list[Json] = self._command("instances")
        return found

    def spans(self, instance_id: str | None = None) -> list[Span]:
        """All spans in the order of their arrival, each with its children."""
        spans = [
            Span(
                id=row["id"],
                instance_id=row["agent_instance_id"],
                parent_id=row["parent_span_id"],
                type=row["schema_name"],
                status=row["status"],
                payload=row["payload"],
                result=row["result_payload"],
                started_at=row["started_at"],
                finished_at=row["finished_at"],
                creates=row["creates"],
                finishes=row["finishes"],
            )
            for row in self._command("spans", instance_id=instance_id)
        ]
        known = {span.id: span for span in spans}
        for span in spans:
            if span.parent_id is not None:
                known[span.parent_id].children.append(span)
        return spans

    def tree(self, instance_id: str | None = None) -> list[Span]:
        """The roots."""
        return [span for span in self.spans(instance_id) if span.parent_id is None]

    def requests(self) -> list[Json]:
        """Every call: method, path, query, sdk, items, bytes, time, status, fault, ms."""
        found: list[Json] = self._command("requests")
        return found

    def quality(self) -> list[Json]:
        """Every quality payload recorded: agent_instance_id, name, payload."""
        found: list[Json] = self._command("quality")
        return found

    def violations(self, *, ignore: tuple[str, ...] = ()) -> list[Json]:
        """Every rule a client broke: rule, message, status (None: let pass), method, path, time."""
        found: list[Json] = self._command("violations")
        return [violation for violation in found if violation["rule"] not in ignore]

    def wait_for_spans(self, count: int, timeout: float = PATIENCE) -> int:
        """Until so many spans are there, or the time is over; returns how many there are."""
        end = time.monotonic() + timeout
        while True:
            there: int = self._command("counts")["spans"]
            if there >= count or time.monotonic() > end:
                return there
            time.sleep(0.02)

    def _command(self, do: str, **arguments: Any) -> Any:
        if self._process is None:
            raise ServerError("the server is not running")
        connection = http.client.HTTPConnection(urlsplit(self._control).netloc, timeout=PATIENCE)
        try:
            connection.request("POST", "/", json.dumps({"do": do, **arguments}))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ServerError(f"{do}: {answer['error']}")
        return answer
