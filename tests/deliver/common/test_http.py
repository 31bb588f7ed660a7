"""Requests of both targets: through a proxy, and while the program ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from prefactor_agent.deliver.common.http import exchange, proxy_for
from prefactor_agent.journal.outbox import Outbox


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[str]:
    """Where a proxy is that answers itself, with the address that it was asked for and the
    password that it was given."""

    async def answer(request: web.BaseRequest) -> web.Response:
        password = request.headers.get("Proxy-Authorization", "none")
        return web.Response(text=f"{request.message.path} {password}")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def asked(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        return (await exchange(session, "GET", url, {}, proxy=proxy_for(url))).body.decode()


async def test_the_proxy_of_the_environment_is_used_with_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{proxy}")
    url = "http://somewhere.invalid:4318/v1/traces"
    assert await asked(url) == f"{url} Basic bWU6c2VjcmV0"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    assert await asked(url) == f"{url} none"


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "https://app.test", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://app.test/x", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "http://app.test", None),
        ({"ALL_PROXY": "http://p:1"}, "http://app.test", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "app.test"}, "https://app.test", None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": ".test,x"}, "https://app.test", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "localhost"}, "http://localhost:1", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://app.test", None),
    ],
)
def test_the_environment_says_for_which_hosts(
    environment: dict[str, str],
    url: str,
    expected: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(url)
    assert (str(found).rstrip("/") if found else None) == expected


PROGRAM = """
import asyncio
from livekit.agents import AgentSession
from prefactor_agent import TracedAgent
class Greeter(TracedAgent):
    def llm_node(self, *args):
        return "hello"
async def main():
    session = AgentSession()
    await session.start(Greeter(instructions=""))
    await session.say("hello")
    await session.aclose()
asyncio.run(main())
"""


def test_a_program_that_ends_at_once_leaves_its_call_to_be_delivered_later(tmp_path: Path) -> None:
    """While a program ends, names can no longer be looked up: that says nothing of the call."""
    journal = tmp_path / "journal.db"
    environment = {
        "PREFACTOR_JOURNAL": str(journal),
        "PREFACTOR_API_TOKEN": "a-token",
        "PREFACTOR_API_URL": "https://prefactor.invalid",
        "PYTHONPATH": ":".join(sys.path),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "push --parked" not in done.stderr
    outbox = Outbox(journal)
    backlog = outbox.backlog()
    outbox.close()
    assert (backlog["calls"], backlog["parked_calls"], backlog["parked"]) == (1, 0, 0)
