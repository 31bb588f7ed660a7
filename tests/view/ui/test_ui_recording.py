"""The recordings that ``prefactor-agent ui`` serves, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from prefactor_agent.journal.process import this_process
from view.calls import SESSION, ZERO_US, spoken_call, unanswered_call
from view.journals import renamed, set_process, write
from view.report.recorded import record
from view.ui.ui_server import Ui


def recorded(journal: Path) -> bytes:
    """A call with a recording beside its journal; the bytes of that."""
    write(journal, spoken_call(), renamed(spoken_call(), "silent"))
    return record(journal, SESSION, ZERO_US).path.read_bytes()


async def fetch(ui: Ui, call: str, **headers: str) -> tuple[int, bytes, Any]:
    url = f"{ui.base}/calls/{call}/audio"
    async with ui.client.get(url, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_a_page_plays_the_recording_of_its_call(ui: Ui) -> None:
    whole = recorded(ui.journal)  # type: ignore[arg-type]
    page = await ui.text(f"/calls/{SESSION}")
    assert f'src="/calls/{SESSION}/audio"' in page
    assert "media-src &#39;self&#39;" in page or "media-src 'self'" in page
    status, body, headers = await fetch(ui, SESSION)
    assert (status, body) == (200, whole)
    assert headers["Content-Type"] == "audio/ogg"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_a_browser_gets_any_part_of_it(ui: Ui) -> None:
    whole = recorded(ui.journal)  # type: ignore[arg-type]
    status, body, headers = await fetch(ui, SESSION, Range="bytes=1000-1999")
    assert (status, body) == (206, whole[1000:2000])
    assert headers["Content-Range"] == f"bytes 1000-1999/{len(whole)}"
    assert headers["Content-Type"] == "audio/ogg"
    status, body, _ = await fetch(ui, SESSION, Range="bytes=-500")
    assert (status, body) == (206, whole[-500:])
    status, body, headers = await fetch(ui, SESSION, Range=f"bytes={len(whole)}-")
    assert status == 416


async def test_only_a_recording_is_served_and_only_to_who_knows_the_key(ui: Ui) -> None:
    recorded(ui.journal)  # type: ignore[arg-type]
    assert "<audio" not in await ui.text("/calls/silent")
    for call in ("silent", "nobody"):
        status, body, headers = await fetch(ui, call)
        assert (status, headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
        assert b"has no recording" in body
    assert isinstance(ui.journal, Path)
    (ui.journal.parent / "secret.ogg").write_bytes(b"OggS")
    for name in ("..%2fsecret", "%2e%2e/secret", ".", "..%5csecret", "secret%00", "x" * 65):
        status, text, _ = await ui.get(f"/calls/{name}/audio", raw=True)
        assert status == 404, text
    async with (
        aiohttp.ClientSession() as stranger,
        stranger.get(f"{ui.base}/calls/{SESSION}/audio") as answer,
    ):
        assert answer.status == 403
    status, _, _ = await fetch(ui, SESSION, Host="evil.example")
    assert status == 403


async def test_a_call_that_runs_can_be_heard_when_it_has_ended(ui: Ui) -> None:
    assert isinstance(ui.journal, Path)
    running = unanswered_call()
    write(ui.journal, running)
    set_process(ui.journal, this_process())
    address = f"/calls/{SESSION}"
    assert "can be heard" not in await ui.text(address)
    record(ui.journal, SESSION, ZERO_US)
    page = await ui.text(address)
    assert "It can be heard when it has ended." in page
    assert "<audio" not in page
    set_process(ui.journal, None)
    ended = [replace(one, finished_us=one.started_us + 10**7, status="complete") for one in running]
    ui.journal.unlink()
    write(ui.journal, ended)
    assert "<audio" in await ui.text(address)
