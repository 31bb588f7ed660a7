"""The server of ``prefactor-agent ui`` in the test's own event loop, and a client that knows its
key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from prefactor_agent.archive.place import ArchivePlace
from prefactor_agent.journal.reader import JournalPlace
from prefactor_agent.view.ui.server import Server


@dataclass
class Ui:
    journal: Path | str
    address: str
    client: aiohttp.ClientSession
    streams: list[aiohttp.ClientResponse] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return URL(self.address).port or 0

    @property
    def key(self) -> str:
        return URL(self.address).query["key"]

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, raw: bool = False
    ) -> tuple[int, str, Mapping[str, str]]:
        url = URL(self.base + path, encoded=raw)
        async with self.client.get(url, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers

    async def text(self, path: str) -> str:
        status, text, _ = await self.get(path)
        assert status == 200, (status, text)
        return text


@asynccontextmanager
async def ui_server(journal: Path | str) -> AsyncIterator[Ui]:
    """Of a journal, or of an archive by its address."""
    place = JournalPlace(journal) if isinstance(journal, Path) else ArchivePlace(journal)
    server = Server(place)
    runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = server.guard.address(runner.addresses[0][1])
    jar = aiohttp.CookieJar(unsafe=True)  # cookies for an address that is a number
    try:
        async with aiohttp.ClientSession(cookie_jar=jar) as client:
            async with client.get(address) as answer:
                assert answer.status == 200
            ui = Ui(journal, address, client)
            yield ui
            for stream in ui.streams:
                stream.close()
    finally:
        await runner.cleanup()
