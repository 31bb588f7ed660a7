"""Sends spans in requests of OTLP over HTTP, and reads what the answer means."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import aiohttp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic_core import from_json

from ...core.values import mapping
from ..common.http import (
    Answer,
    LaterError,
    NotAcceptedError,
    exchange,
    named,
    proxy_for,
    version_of,
)
from .endpoint import Endpoint
from .mapping import request

KEEP_ALIVE_S = 4.0
"""Servers close a connection that is not used (uvicorn, and so Phoenix, after 5 s). A request that
meets the close would count as an outage."""
_WAIT = {408, 429, 502, 503, 504}
"""The specification: retryable; 408 besides."""
_ELSEWHERE = {404, 405, 406, 415, *range(300, 400)}
"""What answers does not take OTLP at this address."""
_MOST_WORDS = 200
_COMPRESS = {"none": lambda body: body, "gzip": gzip.compress, "deflate": zlib.compress}


class RefusedError(Exception):
    """The backend refuses the request because of what is in it."""


class Rejected(NamedTuple):
    """What a backend says that takes a request: it need not keep all of it."""

    spans: int
    why: str


class Sender:
    """Sends to one endpoint. Used as an async context manager.

    Raises (:meth:`send`):
        LaterError: Nobody knows whether the spans arrived, or they are to be sent later.
        RefusedError: They are not taken.
        NotAcceptedError: The headers are not accepted.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None
        self._version = version_of("prefactor-agent")
        self._proxy = proxy_for(endpoint.url)
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": named("prefactor-agent").replace("@", "/"),
            **endpoint.headers,
        }
        if endpoint.compression != "none":
            self._headers["Content-Encoding"] = endpoint.compression

    async def __aenter__(self) -> Sender:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._endpoint.tls, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(
                total=self._endpoint.timeout_s, connect=min(5.0, self._endpoint.timeout_s)
            ),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def send(self, spans: Iterable[Span] = ()) -> Rejected:
        """Send spans in one request. Without any, it says whether the endpoint answers."""
        assert self._session is not None
        body = request(spans, self._endpoint.resource, self._version).SerializeToString()
        answer = await exchange(
            self._session,
            "POST",
            self._endpoint.url,
            self._headers,
            data=_COMPRESS[self._endpoint.compression](body),
            proxy=self._proxy,
        )
        return read(answer)


def read(answer: Answer) -> Rejected:
    """What an answer means. Raises what :class:`Sender` raises."""
    status = answer.status
    if 200 <= status < 300 and not answer.is_page:
        return _partial_success(answer)
    if status in (401, 403):
        raise NotAcceptedError(f"HTTP {status}")
    if status in _WAIT or status >= 500:
        raise LaterError(f"HTTP {status}", after=answer.retry_after, failed=status not in _WAIT)
    if status in _ELSEWHERE or answer.is_page:
        raise LaterError(
            f"what answers takes no OTLP over HTTP at this address (HTTP {status}): check "
            "OTEL_EXPORTER_OTLP_ENDPOINT"
        )
    raise RefusedError(f"HTTP {status}: {_words(answer)}".removesuffix(": "))


def _partial_success(answer: Answer) -> Rejected:
    """Some backends answer in JSON or with a word, whatever they were sent: that is a success."""
    try:
        if _is_json(answer.headers):
            reported = mapping(mapping(from_json(answer.body)).get("partialSuccess"))
            spans, why = reported.get("rejectedSpans"), reported.get("errorMessage", "")
            return Rejected(int(spans or 0), str(why))
        partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
        return Rejected(partial.rejected_spans, partial.error_message)
    except Exception:  # protobuf's own errors, and numbers that are none
        return Rejected(0, "")


def _words(answer: Answer) -> str:
    """What a refusal says: a ``google.rpc.Status``, JSON or text."""
    try:
        from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

        if "protobuf" in answer.headers.get("Content-Type", ""):
            return str(Status.FromString(answer.body).message)[:_MOST_WORDS]
    except Exception:  # it is not installed, or the answer is something else
        return ""
    text = answer.body.decode(errors="replace")
    if _is_json(answer.headers):
        with contextlib.suppress(ValueError):
            text = str(mapping(from_json(answer.body)).get("message") or text)
    return " ".join(text.split())[:_MOST_WORDS]


def _is_json(headers: Mapping[str, str]) -> bool:
    return "json" in headers.get("Content-Type", "")
