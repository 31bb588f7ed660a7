"""A receiver of OTLP over HTTP, on a real port, that keeps what it takes and does what it is told.

It decodes each request as a backend would. What goes wrong is planned:
see :class:`Fault`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .waiting import PATIENCE

PATH = "/v1/traces"


@dataclass
class Fault:
    """What goes wrong with the next requests that have spans in them.

    Args:
        kind: ``status`` and ``reset``: before the effect; ``reset_after`` and ``drip``: the effect
            is there; ``partial``: it takes the request, and says that it dropped some spans.
        times: With so many requests; ``None``: with all.
        span: Only if this name is among the request's spans.
    """

    kind: str
    times: int | None = None
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    span: str | None = None
    rejected: int = 1
    message: str = "quota"
    hits: int = 0

    def concerns(self, spans: list[Span]) -> bool:
        spent = self.times is not None and self.hits >= self.times
        return not spent and (self.span is None or any(one.name == self.span for one in spans))


class Taken(NamedTuple):
    """A request that had its effect."""

    headers: dict[str, str]
    body: bytes
    """Without compression."""
    message: ExportTraceServiceRequest


class OtlpReceiver:
    """Runs on a thread of its own between :meth:`start` and :meth:`stop`, on the same port each
    time."""

    def __init__(self) -> None:
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.taken: list[Taken] = []
        self.answers: list[int | str] = []
        """The status of each answer, or the fault that came in its place; of requests with
        spans."""
        self.faults: list[Fault] = []
        self._reserve()

    def _reserve(self) -> None:
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(PATIENCE)

    def stop(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop = self._thread = None

    def _run(self, ready: threading.Event) -> None:
        loop = self._loop = asyncio.new_event_loop()
        application = web.Application(client_max_size=1 << 30)
        application.router.add_post(PATH, self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True)
        loop.run_until_complete(site.start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    def plan(self, kind: str, **how: Any) -> Fault:
        self.faults.append(fault := Fault(kind, **how))
        return fault

    # What it has

    @property
    def spans(self) -> list[Span]:
        """In the order of arrival; one that was sent twice is here twice."""
        return [span for taken in self.taken for span in spans_of(taken.message)]

    @property
    def times(self) -> Counter[str]:
        """How often each span arrived, by its id in hexadecimal digits."""
        return Counter(span.span_id.hex() for span in self.spans)

    @property
    def bytes(self) -> bytes:
        """All that arrived, headers included."""
        return b"".join(repr(taken.headers).encode() + taken.body for taken in self.taken)

    # On its thread

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.content.read()  # aiohttp has decompressed it
        assert request.content_type == "application/x-protobuf"
        message = ExportTraceServiceRequest.FromString(body)
        spans = spans_of(message)
        fault = next((one for one in self.faults if one.concerns(spans)), None) if spans else None
        if fault is not None:
            fault.hits += 1
        if fault is not None and fault.kind in ("status", "reset"):
            self.answers.append(fault.status if fault.kind == "status" else "reset")
            if fault.kind == "reset":
                return _reset(request)
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        if spans:
            self.answers.append(fault.kind if fault else 200)
            self.taken.append(Taken(dict(request.headers), body, message))
        answer = ExportTraceServiceResponse()
        if fault is not None and fault.kind == "partial":
            answer.partial_success.CopyFrom(
                ExportTracePartialSuccess(
                    rejected_spans=fault.rejected, error_message=fault.message
                )
            )
        if fault is not None and fault.kind == "reset_after":
            return _reset(request)
        if fault is not None and fault.kind == "drip":
            return await _drip(request)
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")


def plain(value: AnyValue) -> Any:
    """A value of an attribute as Python's own."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(part) for part in value.array_value.values]
    return getattr(value, kind) if kind else None


def spans_of(message: ExportTraceServiceRequest) -> list[Span]:
    return [
        span
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _reset(request: web.Request) -> web.StreamResponse:
    transport = request.transport
    assert isinstance(transport, asyncio.Transport)
    # Closed with what was not sent discarded: the other side sees a reset.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    return web.Response()


async def _drip(request: web.Request) -> web.StreamResponse:
    """Answers a byte at a time, for longer than anybody waits."""
    answer = web.StreamResponse(headers={"Content-Type": "application/x-protobuf"})
    answer.content_length = 1000
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        for _ in range(1000):
            await answer.write(b"\n")
            await asyncio.sleep(0.05)
    return answer


@contextlib.contextmanager
def receiving() -> Iterator[OtlpReceiver]:
    """A receiver that is up."""
    receiver = OtlpReceiver()
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
