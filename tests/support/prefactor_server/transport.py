"""The wire: reads calls, lets fault plans spoil them, and writes answers."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

from aiohttp import web

from . import rules
from .errors import Json
from .faults import AFTER, BEFORE, Fault, Faults
from .routes import Api, Call

HTML = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Proxy</body></html>"


class Transport:
    def __init__(self, api: Api, faults: Faults) -> None:
        self._api = api
        self._faults = faults

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await request.content.read()
        arrived = time.time()
        record: Json = {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "sdk": request.headers.get("X-Prefactor-SDK"),
            "items": 0,
            "bytes": len(raw),
            "time": arrived,
            "status": None,
            "fault": None,
            "ms": 0.0,
        }
        if time.monotonic() < self._faults.not_before:
            self._api.note("retry_after", f"{request.path} before Retry-After was over")
        fault = self._faults.take(BEFORE, request.path)
        if fault is not None:
            record["fault"] = fault.kind
            if fault.kind == "delay":
                await asyncio.sleep(fault.option("delay", 0.2))
            else:
                return await self._instead(request, fault, record)
        call = Call(request.method, request.path, request.query, request.headers, raw, record)
        status, body = self._api.handle(call)
        fault = self._faults.take(AFTER, request.path)
        record["status"] = status
        record["ms"] = round((time.time() - arrived) * 1000, 3)
        if fault is not None:
            record["fault"] = fault.kind
        self._write_down(record)
        if record["fault"] == "bulk_cut":
            return _reset(request)
        payload = rules.to_text(body)
        if fault is not None:
            return await self._spoiled(request, fault, status, payload)
        return web.Response(body=payload, status=status, content_type="application/json")

    def _write_down(self, record: Json) -> None:
        self._api.state.put({"t": "request", "v": record})
        self._api.state.flush()

    async def _instead(
        self, request: web.BaseRequest, fault: Fault, record: Json
    ) -> web.StreamResponse:
        """The call is spoiled before it reaches the service: no effect."""
        answer: web.StreamResponse
        if fault.kind in ("hang", "reset"):
            self._write_down(record)
            if fault.kind == "hang":
                await _hang(request, fault)
            return _reset(request)
        if fault.kind == "html":
            answer = _page(fault)
        elif fault.kind == "rate_limit":
            after = fault.option("retry_after", 1)
            self._faults.not_before = time.monotonic() + after - 0.05
            answer = _error(429, "too_many_requests", {"Retry-After": str(after)})
        else:
            answer = _error(fault.option("status", 500), "internal_server_error", {})
        record["status"] = answer.status
        self._write_down(record)
        return answer

    async def _spoiled(
        self, request: web.BaseRequest, fault: Fault, status: int, payload: bytes
    ) -> web.StreamResponse:
        """The effect is there; the answer does not arrive as it should."""
        if fault.kind == "html_after":
            return _page(fault)
        if fault.kind == "hang_after":
            await _hang(request, fault)
        if fault.kind in ("hang_after", "reset_after"):
            return _reset(request)
        answer = web.StreamResponse(status=status)
        answer.content_type = "application/json"
        answer.content_length = len(payload)
        await answer.prepare(request)
        if fault.kind == "truncated":
            await answer.write(payload[: len(payload) // 2])
            if request.transport is not None:
                request.transport.close()
            return answer
        step = fault.option("chunk", 16)
        for start in range(0, len(payload), step):
            await answer.write(payload[start : start + step])
            await asyncio.sleep(0 if fault.cleared else fault.option("interval", 0.05))
        await answer.write_eof()
        return answer


def _error(status: int, code: str, headers: dict[str, str]) -> web.Response:
    body = {"status": "error", "code": code, "message": f"HTTP {status}"}
    return web.json_response(body, status=status, headers=headers)


def _page(fault: Fault) -> web.Response:
    """What a proxy or a captive portal answers."""
    return web.Response(
        text=fault.option("body", HTML),
        status=fault.option("status", 200),
        content_type="text/html",
    )


async def _hang(request: web.BaseRequest, fault: Fault) -> None:
    """Until the client gives up or the plan is cleared."""
    started = time.monotonic()
    limit = fault.option("limit", 3600.0)
    while not fault.cleared and time.monotonic() - started < limit:
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(0.02)


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """The connection dies with a RST, not with an orderly end."""
    if request.transport is not None:
        abort(request.transport)
    return web.Response(status=500)


def abort(transport: asyncio.BaseTransport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.Transport):
        transport.abort()
