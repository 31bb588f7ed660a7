"""Settings that cannot be used, as a user gets them wrong: in the environment of a real agent. Each
is one line that says what to do, once; the agent runs on, its call is kept, and ``doctor`` says it
too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prefactor_agent.journal.reader import Journal
from prefactor_agent.tracing import tracer
from support.prefactor_server import PrefactorServer
from support.waiting import PATIENCE, until
from view.commandline import run

from ..agent import warnings
from ..talk import talk

URL, TOKEN = "PREFACTOR_API_URL", "PREFACTOR_API_TOKEN"
AGENT, ENVIRONMENT = "PREFACTOR_AGENT_ID", "PREFACTOR_ENVIRONMENT_ID"


class Wrong(NamedTuple):
    """What is set; words of the line; and of ``doctor``\'s, if those are others."""

    environment: dict[str, str]
    says: tuple[str, ...]
    doctor: tuple[str, ...] | None = None


ACCOUNT = "pf-account-token"
BAD: dict[str, Wrong] = {
    "no scheme": Wrong({URL: "http//app"}, (URL, "must be like https://")),
    "no host": Wrong({URL: "https://"}, (URL, "must be like https://")),
    "a space": Wrong({URL: "https://app prefactorai.com"}, (URL, "must be like https://")),
    "a bad port": Wrong({URL: "https://app.prefactorai.com:port"}, (URL, "must be like https://")),
    "a password": Wrong({URL: "https://me:hunter2@app"}, (URL, "user name or a password")),
    "plain http": Wrong({URL: "http://prefactor.example"}, (URL, "unencrypted", "allow_http")),
    "a token of two lines": Wrong({TOKEN: "hunter2\nhunter2"}, (TOKEN, "line break", "copy it")),
    "a token with a space": Wrong({TOKEN: "Bearer hunter2"}, (TOKEN, "space", "copy it")),
    "a token that is not known": Wrong(
        {TOKEN: "hunter2"}, ("does not accept the token", "prefactor-agent push"), ("token", "401")
    ),
    "an unknown agent": Wrong(
        {TOKEN: ACCOUNT, AGENT: "nobody"}, ("agent not found", AGENT, "push --parked")
    ),
    "no agent": Wrong({TOKEN: ACCOUNT}, ("agent_id", AGENT, "push --parked")),
    "an unknown environment": Wrong(
        {TOKEN: ACCOUNT, AGENT: PrefactorServer.agent_id, ENVIRONMENT: "nowhere"},
        ("environment not found", ENVIRONMENT, "push --parked"),
    ),
    "an agent too many": Wrong(
        {AGENT: PrefactorServer.agent_id}, ("must be omitted", AGENT, "push --parked")
    ),
}


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, server: PrefactorServer, quick: None
) -> Iterator[None]:
    monkeypatch.setenv(URL, server.url)
    monkeypatch.setenv(TOKEN, server.token)
    for name in (AGENT, ENVIRONMENT):
        monkeypatch.delenv(name, raising=False)
    yield
    stop: Any = getattr(tracer._sink, "stop", None)
    if stop is not None:
        stop(PATIENCE)


async def two_calls(caplog: pytest.LogCaptureFixture) -> None:
    """Until they are kept, and there is a line of ours; and some time for a second one."""
    expected = await talk(traced=False)
    for _ in range(2):
        assert await talk() == expected
    await asyncio.to_thread(until, lambda: warnings(caplog))
    writer: Any = getattr(tracer._sink, "_writer", None)
    if writer is not None:
        assert await asyncio.to_thread(writer.flush, PATIENCE)
    await asyncio.to_thread(tracer.flush, 1.5)


def doctor() -> str:
    done = run("doctor")
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def calls_kept(tmp_path: Path) -> int:
    with contextlib.closing(Journal(tmp_path / "journal.db")) as journal:
        return len(journal.sessions())


@pytest.mark.parametrize("name", BAD)
async def test_a_wrong_setting_is_named_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    wrong = BAD[name]
    for variable, value in wrong.environment.items():
        monkeypatch.setenv(variable, value)
    await two_calls(caplog)
    [line] = warnings(caplog)
    assert all(words in line for words in wrong.says), line
    assert "\n" not in line
    assert calls_kept(tmp_path) == 2
    said = await asyncio.to_thread(doctor)
    assert all(words in said for words in wrong.doctor or wrong.says[:-1]), said
    assert "hunter2" not in caplog.text + said


async def test_a_page_of_a_proxy_is_named_in_one_line(
    server: PrefactorServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    server.fault("html", status=200)
    await two_calls(caplog)
    [line] = warnings(caplog)
    assert all(words in line for words in ("not Prefactor", "proxy", URL)), line
    assert calls_kept(tmp_path) == 2
    assert "a proxy stands between" in await asyncio.to_thread(doctor)


async def test_a_switch_that_is_neither_on_nor_off_turns_tracing_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is kept: it may be the one that says that nothing is to be."""
    monkeypatch.setenv("PREFACTOR_CAPTURE_CONTENT", "perhaps")
    await two_calls(caplog)
    [line] = warnings(caplog)
    assert all(words in line for words in ("PREFACTOR_CAPTURE_CONTENT", "true or false")), line
    assert "PREFACTOR_CAPTURE_CONTENT" in await asyncio.to_thread(doctor)
