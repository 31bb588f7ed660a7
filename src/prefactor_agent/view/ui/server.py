"""The server: the list of calls, the page of each, and word of what changes. It only reads, and
reads on threads."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from importlib.resources import files

from aiohttp import web
from jinja2 import Template

from ...config import ConfigurationError
from ...stored.source import Place, SourceError
from ..report.page import Served, colours, environment, render
from .calls import Calls, Filter, is_slow
from .guard import Guard, add_headers, policy_of, refused
from .overview import OverviewPages
from .readings import Readings
from .recording import Audio, page_sound
from .watch import Watch

PAGE = 50
"""Calls that are listed at first."""
MOST = 5_000
"""Calls that are listed at most."""
QUIET_S = 15.0
"""How long a connection stays without a word: a browser that is gone is noticed."""
_ID = r"[0-9A-Za-z_-]{1,64}"


def serve(place: Place, port: int, ready: Callable[[str], object]) -> None:
    """Show calls until Ctrl-C.

    Args:
        place: Where they are kept.
        port: 0: any free one.
        ready: Called with the address when it can be opened.

    Raises:
        SourceError: The calls cannot be read there.
        ConfigurationError: The port cannot be had.
    """
    place.check()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(place, port, ready))


async def _serve(place: Place, port: int, ready: Callable[[str], object]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows has KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    server = Server(place)
    runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        try:
            await site.start()
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error})"
            raise ConfigurationError(
                f"port {port} {why}: choose another with --port (0: any free one)"
            ) from None
        ready(server.guard.address(runner.addresses[0][1]))
        await stop.wait()
    finally:
        await runner.cleanup()


class Server:
    """The calls of one place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._calls = Calls(place)
        self._watch = Watch(place.changes())
        self._rendering = asyncio.Semaphore(2)
        self.guard = Guard()
        self.app = web.Application(middlewares=[self.guard.check])
        self.app.on_response_prepare.append(add_headers)
        self.app.on_shutdown.append(self._let_go)
        self.app.cleanup_ctx.append(self._watching)
        self.app.add_routes(
            [
                web.get("/", self._list),
                web.get(f"/calls/{{id:{_ID}}}", self._call),
                web.get(f"/calls/{{id:{_ID}}}/audio", Audio(place).answer),
                web.get("/events", self._events, allow_head=False),
                *OverviewPages(place, Readings(place, lambda: self._watch.version)).routes(),
            ]
        )

    async def _watching(self, _: web.Application):  # type: ignore[no-untyped-def]
        task = asyncio.create_task(self._watch.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await self._watch.close()

    async def _let_go(self, _: web.Application) -> None:
        self._watch.stop()

    async def _list(self, request: web.Request) -> web.Response:
        wanted, limit = _wanted(request), _limit(request)
        page, policy = await asyncio.to_thread(self._render_list, wanted, limit)
        return web.Response(
            text=page, content_type="text/html", headers={"Content-Security-Policy": policy}
        )

    def _render_list(self, wanted: Filter, limit: int) -> tuple[str, str]:
        """The page, and its policy."""
        version = self._watch.version  # of before, so that a change in the meantime is noticed
        listed, trouble = None, ""
        try:
            listed = self._calls.listed(wanted, limit)
        except SourceError as error:
            trouble = str(error)
        template, style, script = _parts()
        page = template.render(
            listed=listed,
            wanted=wanted,
            version=version,
            trouble=trouble,
            limit=limit,
            page=PAGE,
            is_slow=is_slow,
            place=self._place.name,
            style=style,
            script=script,
        )
        return page.encode("utf-8", "replace").decode(), policy_of(script, style)

    async def _call(self, request: web.Request) -> web.Response:
        async with self._rendering:
            try:
                page = await asyncio.to_thread(self._render_call, request.match_info["id"])
            except SourceError as error:
                return refused(404, str(error))
        # The page brings its own policy; who may frame it can be said here only.
        headers = {"Content-Security-Policy": "frame-ancestors 'none'"}
        return web.Response(text=page, content_type="text/html", headers=headers)

    def _render_call(self, session_id: str) -> str:
        with closing(self._place.open()) as source:
            spans = source.call(session_id)
            if not spans:
                raise SourceError(f"no call has the id {session_id}")
            alive, sound = source.alive(session_id), page_sound(source, session_id)
        served = Served(home="/", script=_live_script())
        return render(spans, alive=alive, served=served, sound=sound)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: ``change`` when there is something new, of one call or of all.
        ``since`` is what the page that asks was made from: what changed since is reported at
        once."""
        call = request.query.get("call")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        seen: str | None = request.query.get("since", "")
        with suppress(ConnectionResetError):
            await response.write(b"retry: 1000\n\n")
            while not self._watch.stopped:
                version = self._watch.version
                state = await self._state(call, version)
                if state != seen:
                    seen = state
                    await response.write(f"event: change\ndata: {state}\n\n".encode())
                if await self._watch.changed(version, QUIET_S) == version:
                    await response.write(b": still here\n\n")
        return response

    async def _state(self, call: str | None, version: int) -> str:
        """What is another one when a call, or any of them, has changed."""
        return str(version) if call is None else await asyncio.to_thread(self._state_of, call)

    def _state_of(self, call: str) -> str:
        try:
            with closing(self._place.open()) as source:
                begun, ended = source.progress(call)
        except SourceError:
            return ""
        return f"{begun}.{ended}"


def _wanted(request: web.Request) -> Filter:
    query = request.query
    only = query.getall("only", [])
    return Filter(
        words=query.get("q", "").strip()[:200],
        agent=query.get("agent", ""),
        errors="errors" in only,
        slow="slow" in only,
        interrupted="interrupted" in only,
    )


def _limit(request: web.Request) -> int:
    asked = request.query.get("n", "")
    limit = min(int(asked), MOST) if asked.isdecimal() and len(asked) < 6 else PAGE
    return max(limit, 1)


@cache
def _parts() -> tuple[Template, str, str]:
    """The template of the list, its style sheet and its script."""
    names = ("list.html.j2", "base.css", "list.css", "list.js")
    template, base, style, script = ((files(__package__) / n).read_text("utf-8") for n in names)
    return environment().from_string(template), colours() + base + style, script


@cache
def _live_script() -> str:
    return (files(__package__) / "live.js").read_text("utf-8")
