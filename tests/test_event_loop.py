"""What the README promises of the event loop: no disk and no network of ours on it."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession

import prefactor_agent
from prefactor_agent import TracedAgent, configure, traced_tool
from prefactor_agent.journal import process
from prefactor_agent.tracing import tracer
from support.scripted import ScriptedLLM, Use

OURS = str(Path(prefactor_agent.__file__).parent)
WAITS = ("open", "os.", "shutil.", "socket.", "sqlite3.", "subprocess.", "time.sleep")
"""The audit events of Python's of what can wait for a disk, a network or time."""


class Watch:
    """Notes what our code, or what it calls, does of that: on this thread and on others."""

    def __init__(self) -> None:
        self.here: list[str] = []
        self.elsewhere: list[str] = []
        self._thread = threading.get_ident()

    def note(self, event: str) -> None:
        frame: Any = sys._getframe(2)
        while frame is not None and not frame.f_code.co_filename.startswith(OURS):
            frame = frame.f_back
        if frame is not None:
            noted = self.here if threading.get_ident() == self._thread else self.elsewhere
            noted.append(f"{event} in {frame.f_code.co_qualname}")


_watches: list[Watch] = []


def _hook(event: str, _args: tuple[Any, ...]) -> None:
    if _watches and event.startswith(WAITS):
        _watches[-1].note(event)


@pytest.fixture(scope="module", autouse=True)
def hooked() -> None:
    sys.addaudithook(_hook)  # there is no way to remove one


@pytest.fixture
def watch() -> Iterator[Watch]:
    _watches.append(Watch())
    yield _watches[-1]
    _watches.clear()


class Clerk(TracedAgent):
    @traced_tool
    async def price(self, item: str) -> str:
        """What an item costs."""
        return f"{item}: 3"


@pytest.mark.real_time
@pytest.mark.parametrize("token", [None, "a-token"])
async def test_the_disk_and_the_network_are_other_threads_affairs(
    token: str | None, watch: Watch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    configure(api_token=token, api_url=url, flush_timeout=0.1)
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("price", {"item": "tea"})], ["It is ", "three."])
    )
    await session.start(Clerk(instructions="help"))
    await session.run(user_input="tea?")
    await session.aclose()
    await asyncio.to_thread(tracer.flush, 1)
    assert watch.here == []
    told = {noted.split(" in ")[0] for noted in watch.elsewhere}
    assert "sqlite3.connect" in told
    assert ("socket.connect" in told) == (token is not None)


def test_the_watch_sees_what_it_looks_for(watch: Watch) -> None:
    assert process.alive(process.this_process())
    assert "open in born" in watch.here
