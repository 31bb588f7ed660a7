"""A real S3 server over a folder, and what may happen on the way to it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from samples.fleet.versitygw_binary import VERSITYGW
from samples.offline.processes import free_port

KEY, SECRET, BUCKET = "a-key", "a-secret-of-some-length", "calls"
Fault = Literal["503", "no answer"]


@dataclass
class Bucket:
    """A bucket of a running server."""

    address: str
    folder: Path
    """What is in it, as files."""
    port: int
    faults: deque[tuple[str, Fault]] = field(default_factory=deque)
    """By method, what happens to the next requests."""
    requests: list[str] = field(default_factory=list)
    """The methods and paths that came."""

    def environment(self, secret: str = SECRET, port: int | None = None) -> dict[str, str]:
        """What a program finds it with."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ALLOW_HTTP": "true",
        }

    def objects(self) -> list[Path]:
        return sorted(self.folder.rglob("*.parquet"))


@contextmanager
def s3(folder: Path) -> Iterator[Bucket]:
    """A server with one empty bucket.

    Raises:
        UnavailableError: The program is not here.
    """
    program, port = VERSITYGW.find(), free_port()
    (folder / BUCKET).mkdir(parents=True)
    command = [str(program), "--port", f"127.0.0.1:{port}", "--access", KEY, "--secret", SECRET]
    with subprocess.Popen(
        [*command, "--quiet", "posix", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", "")},
    ) as process:
        try:
            _wait_for(port)
            yield Bucket(f"s3://{BUCKET}/agents", folder / BUCKET, port)
        finally:
            process.kill()


@contextmanager
def with_faults(bucket: Bucket) -> Iterator[Bucket]:
    """The same bucket behind what fails as its ``faults`` say."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _pass(self) -> None:
            bucket.requests.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = None
            if bucket.faults and bucket.faults[0][0] == self.command:
                fault = bucket.faults.popleft()[1]
            if fault == "503":
                self._answer(503, {}, b"")
                return
            upstream = http.client.HTTPConnection("127.0.0.1", bucket.port, timeout=30)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            data = answer.read()
            if fault == "no answer":
                self.close_connection = True
                self.connection.close()
                return
            self._answer(answer.status, dict(answer.getheaders()), data)

        def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", str(len(data)))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        port = server.server_address[1]
        behind = Bucket(bucket.address, bucket.folder, port, bucket.faults, bucket.requests)
        yield behind
    finally:
        server.shutdown()
        server.server_close()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
