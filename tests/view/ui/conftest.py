from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.waiting import PATIENCE
from view.ui.ui_server import Ui, ui_server


@pytest.fixture
async def ui(tmp_path: Path) -> AsyncIterator[Ui]:
    async with ui_server(tmp_path / "j.db") as server:
        yield server


@pytest.fixture
def ui_beside(tmp_path: Path) -> Iterator[Ui]:
    """The server on a thread: the test itself waits for the browser."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = ui_server(tmp_path / "j.db")
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(PATIENCE)
        ends = serving.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(ends, loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
