"""The server's process: the API on one port, its control on another that no fault touches."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from . import rules
from .errors import Json, RefusedError
from .faults import Faults
from .routes import Api
from .settings import Settings
from .state import State
from .transport import Transport, abort

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


class Listener:
    """A port that can be closed and opened again without ever being given away."""

    def __init__(self, handler: Handler, port: int) -> None:
        self._server = web.Server(handler, access_log=None)
        # Bound and not listening: connections are refused, and nobody else can take the port.
        self._guard = bound(port)
        self.port: int = self._guard.getsockname()[1]
        self._listening: asyncio.Server | None = None

    async def open(self) -> None:
        if self._listening is None:
            loop = asyncio.get_running_loop()
            self._listening = await loop.create_server(self._server, sock=bound(self.port))

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for connection in list(self._server.connections):
            if connection.transport is not None:
                abort(connection.transport)


class Service:
    def __init__(self, settings: Settings, path: Path | None, port: int) -> None:
        self.settings = settings
        self.faults = Faults()
        self.state = State(path)
        self.state.open()
        self.api = Api(self.state, settings, self.faults)
        self.listener = Listener(Transport(self.api, self.faults).handle, port)
        self._stop = asyncio.Event()
        self._reopening: asyncio.Task[None] | None = None

    async def run(self) -> None:
        control = Listener(self._control, 0)
        await control.open()
        await self.listener.open()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        address = {
            "url": f"http://127.0.0.1:{self.listener.port}",
            "control": f"http://127.0.0.1:{control.port}",
            "pid": os.getpid(),
        }
        print(json.dumps(address), flush=True)
        await self._stop.wait()
        self.listener.close()
        control.close()
        self.state.close()

    async def _control(self, request: web.BaseRequest) -> web.StreamResponse:
        command: Json = json.loads(await request.content.read())
        try:
            answer = await self._do(command.pop("do"), command)
        except (RefusedError, ValueError, TypeError, KeyError) as error:
            return web.json_response({"error": f"{error}"}, status=400)
        return web.Response(body=rules.to_text(answer), content_type="application/json")

    async def _do(self, what: str, command: Json) -> Any:
        state = self.state
        if what == "fault":
            return await self._fault(command)
        if what == "clear":
            self.faults.clear(command.get("ident"))
            if not self.faults.any_live("refuse"):
                await self.listener.open()
            return None
        if what == "reset":
            self.faults.clear()
            await self.listener.open()
            return state.reset()
        if what == "hits":
            return self.faults.plans[command["ident"]].hits
        if what == "terminate":
            done = self.api.terminate(command.get("instance_id"), command.get("reason"))
            state.flush()
            return done
        if what == "instances":
            return [
                {**known, "registration": state.registrations[ident]}
                for ident, known in state.instances.items()
            ]
        if what == "spans":
            chosen = command.get("instance_id")
            return [
                {**span, "creates": state.creates[ident], "finishes": state.finishes[ident]}
                for ident, span in state.spans.items()
                if chosen in (None, span["agent_instance_id"])
            ]
        if what in ("requests", "violations", "quality"):
            return getattr(state, what)
        if what == "counts":
            return {"spans": len(state.spans), "requests": len(state.requests)}
        raise ValueError(f"no command {what!r}")

    async def _fault(self, command: Json) -> int:
        seconds = command.get("seconds")
        fault = self.faults.add(**command)
        if fault.kind == "refuse":
            self.listener.close()
            if seconds is not None:
                self._reopening = asyncio.create_task(self._reopen(seconds))
        return fault.ident

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds + 0.01)
        if not self.faults.any_live("refuse"):
            await self.listener.open()


def run(settings: Settings, path: Path | None, port: int) -> None:
    async def main() -> None:
        await Service(settings, path, port).run()

    # The state only grows and holds no cycles: walking it again and again would cost more than
    # the calls do.
    gc.set_threshold(200_000, 50, 1000)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
    sys.exit(0)
