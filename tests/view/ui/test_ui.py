"""``prefactor-agent ui`` as a browser, another page and an attacker see it: over HTTP."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from prefactor_agent.journal.process import this_process
from prefactor_agent.stored.span import StoredSpan
from support.waiting import PATIENCE
from view.calls import over_budget_call, session, spoken_call, task_call, unanswered_call
from view.commandline import START, run
from view.journals import renamed, set_process, write
from view.report.report_calls import HOSTILE
from view.ui.ui_server import Ui


def fill(path: Path, *calls: Sequence[StoredSpan]) -> None:
    write(path, *calls)


async def listed(ui: Ui, query: str = "") -> list[str]:
    """The calls that the list has, in its order."""
    page = await ui.text("/" + query)
    return re.findall(r'<a class="row[^>]*data-call="([^"]*)"', page)


async def test_the_list_is_there_before_the_first_call(ui: Ui) -> None:
    assert "no call has been traced yet" in await ui.text("/")
    fill(ui.journal, spoken_call())
    assert await listed(ui) == [spoken_call()[0].id]


async def test_newest_first_with_what_matters(ui: Ui) -> None:
    older = [
        replace(span, started_us=span.started_us - 10**9) for span in renamed(spoken_call(), "old")
    ]
    fill(ui.journal, older, spoken_call())
    assert await listed(ui) == [spoken_call()[0].id, "old"]
    page = await ui.text("/")
    for said in ("Concierge", "lobby", "10.0 s", "2,400\u202fms", "ended"):
        assert said in page


async def test_the_list_shows_only_the_calls_that_are_asked_for(ui: Ui) -> None:
    calm = renamed([session(), *spoken_call()[1:3]], "calm")
    calm[0] = replace(calm[0], payload={"agent_class": "Other", "room": {"name": "attic_1"}})
    failing = renamed([session(), replace(spoken_call()[5], status="failed")], "failing")
    fill(ui.journal, calm, failing, spoken_call())
    spoken = spoken_call()[0].id
    assert await listed(ui, "?only=errors") == ["failing"]
    assert await listed(ui, "?only=interrupted") == [spoken]
    assert await listed(ui, "?only=slow") == [spoken]
    assert await listed(ui, "?only=slow&only=errors") == []
    assert await listed(ui, "?agent=Other") == ["calm"]
    assert await listed(ui, "?q=ATTIC_1") == ["calm"]
    assert await listed(ui, "?q=ships+on+friday") == [spoken], "what was said is found"
    assert await listed(ui, "?q=100%25") == [], "and is no pattern"
    assert await listed(ui, "?q=calm&agent=Concierge") == []
    assert len(await listed(ui, "?n=1")) == 1
    assert "Older calls" in await ui.text("/?n=1")
    assert "Older calls" not in await ui.text("/?n=3")
    assert await ui.text("/?n=" + "9" * 400)


async def test_a_lost_call_counts_as_an_error_and_one_over_budget_as_slow(ui: Ui) -> None:
    quick = renamed(over_budget_call(), "over")
    quick[3].result["latency"]["perceived_ms"] = 1600.0
    fill(ui.journal, quick, renamed(unanswered_call(), "lost"), renamed(task_call(), "calm"))
    assert await listed(ui, "?only=slow") == ["over"], "a budget counts, however short it is"
    assert await listed(ui, "?only=errors") == ["lost"], "a call that has no end went wrong"


async def test_a_call_has_its_page(ui: Ui) -> None:
    fill(ui.journal, spoken_call())
    page = await ui.text(f"/calls/{spoken_call()[0].id}")
    assert "2,400\u202fms of dead air" in page
    assert 'href="/"' in page
    assert "This call is running" not in page


@pytest.mark.parametrize(
    "calls", [[session()], [session(None)], spoken_call()[:1] + spoken_call()[4:]]
)
async def test_a_call_that_is_not_whole_has_a_page(ui: Ui, calls: list[StoredSpan]) -> None:
    fill(ui.journal, calls)
    assert "</html>" in await ui.text(f"/calls/{calls[0].id}")
    assert len(await listed(ui)) == 1


async def test_words_of_strangers_are_words(ui: Ui) -> None:
    call = spoken_call()
    hostile = HOSTILE.replace("\ud800", "")
    call[0] = replace(call[0], payload={"agent_class": hostile, "room": {"name": hostile}})
    fill(ui.journal, call)
    page = await ui.text("/")
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert "\u202e" not in page
    assert await listed(ui, "?q=%3Cscript%3E%22%5C%25_") == []
    assert "<script>alert" not in await ui.text("/?q=%22%3E%3Cscript%3Ealert(1)")


@pytest.mark.parametrize(
    "path",
    [
        "/calls/none",
        "/calls/",
        "/calls/..%2f..%2fetc%2fpasswd",
        "/calls/%2e%2e/%2e%2e/etc/passwd",
        "/../../etc/passwd",
        "/calls/a%00b",
        "/calls/" + "a" * 65,
        "/list.css",
        "/calls/x'%20OR%201=1--",
    ],
)
async def test_there_is_nothing_else_to_get(ui: Ui, path: str) -> None:
    fill(ui.journal, spoken_call())
    status, text, _ = await ui.get(path, raw=True)
    assert status == 404
    assert "Traceback" not in text
    assert "root:" not in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "[::1]:{port}", ""]
)
async def test_another_name_for_this_machine_gets_nothing(ui: Ui, host: str) -> None:
    status, text, _ = await ui.get("/", headers={"Host": host.format(port=ui.port)})
    assert status in (400, 403)
    assert "Concierge" not in text


async def test_without_the_key_there_is_nothing(ui: Ui) -> None:
    fill(ui.journal, spoken_call())
    for path in ("/", f"/calls/{spoken_call()[0].id}", "/events", "/?key=wrong", "/?key="):
        async with aiohttp.ClientSession() as stranger, stranger.get(ui.base + path) as answer:
            assert answer.status == 403, path
            assert "Concierge" not in await answer.text()


async def test_a_cookie_of_any_bytes_is_refused(ui: Ui) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ui.port)
    host = f"Host: 127.0.0.1:{ui.port}".encode()
    cookie = f"Cookie: prefactor_ui_{ui.port}=".encode() + b"\xff\xfe"
    writer.write(b"\r\n".join([b"GET / HTTP/1.1", host, cookie, b"", b""]))
    assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
    writer.close()


async def test_the_key_does_not_stay_in_the_address(ui: Ui) -> None:
    async with aiohttp.ClientSession() as browser:
        link = f"{ui.base}/calls/x?key={ui.key}&n=3"
        async with browser.get(link, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/calls/x?n=3")
            cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    odd = f"{ui.base}//evil.example/?key={ui.key}"
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(odd, allow_redirects=False) as answer,
    ):
        assert not answer.headers.get("Location", "").startswith("//")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_can_be_changed(ui: Ui, method: str) -> None:
    async with ui.client.request(method, ui.base + "/") as answer:
        assert answer.status == 405
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_answers_forbid_a_browser_to_share_frame_or_keep_them(ui: Ui) -> None:
    fill(ui.journal, spoken_call())
    for path in ("/", f"/calls/{spoken_call()[0].id}", "/none"):
        _, text, headers = await ui.get(path)
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "unsafe" not in headers["Content-Security-Policy"]
        if path == "/":
            assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src")
        assert ui.key not in text


async def events(ui: Ui, query: str = "") -> Callable[..., Any]:
    """The stream of changes; what is given back waits for the next one."""
    answer = await ui.client.get(f"{ui.base}/events{query}")
    ui.streams.append(answer)
    assert answer.content_type == "text/event-stream"
    assert await answer.content.readline() == b"retry: 1000\n"

    async def next_(seconds: float = PATIENCE) -> bool:
        async def look() -> bool:
            while line := await answer.content.readline():
                if line == b"event: change\n":
                    return True
            return False

        try:
            return await asyncio.wait_for(look(), seconds)
        except TimeoutError:
            return False

    return next_


def begin(path: Path, call: str, id_: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO spans VALUES (?, ?, ?, 'livekit:user_turn', 'user_turn', 'active', "
            "1795242672000000, NULL, '{}', NULL)",
            (id_, call, call),
        )
    connection.close()


async def test_what_changed_while_the_page_was_on_its_way_is_reported(ui: Ui) -> None:
    fill(ui.journal, unanswered_call())
    id_ = unanswered_call()[0].id
    assert not await (await events(ui, f"?call={id_}&since=5.2"))(1)
    assert await (await events(ui, f"?call={id_}&since=4.2"))()
    assert await (await events(ui, "?since=another"))()


async def test_changes_are_reported_as_they_come(ui: Ui) -> None:
    changed = await events(ui, "?since=0")
    fill(ui.journal, unanswered_call())
    assert await changed()
    begin(ui.journal, unanswered_call()[0].id, "u9")
    assert await changed()
    ui.journal.rename(ui.journal.with_suffix(".aside"))
    assert await changed(), "set aside as damaged"


async def test_a_calls_page_hears_of_that_call_only(ui: Ui) -> None:
    fill(ui.journal, unanswered_call(), renamed(unanswered_call(), "other"))
    id_ = unanswered_call()[0].id
    changed, all_ = await events(ui, f"?call={id_}"), await events(ui)
    assert await changed()
    assert await all_()
    begin(ui.journal, "other", "o9")
    assert await all_()
    assert not await changed(1.2)
    begin(ui.journal, id_, "u9")
    assert await changed()


async def test_a_call_that_runs_says_so(ui: Ui) -> None:
    fill(ui.journal, unanswered_call())
    set_process(ui.journal, this_process())
    page = await ui.text(f"/calls/{unanswered_call()[0].id}")
    assert "This call is running" in page
    assert "EventSource" in page
    assert "connect-src &#39;self&#39;" in page
    assert "data-running" in await ui.text("/")


async def test_a_damaged_journal_is_one_line(ui: Ui) -> None:
    ui.journal.write_bytes(b"this is no database at all" * 400)
    assert "is no journal" in await ui.text("/")
    status, text, _ = await ui.get("/calls/x")
    assert status == 404
    assert "is no journal" in text


# As a user runs it


def started(*arguments: str | Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", START, "ui", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        said += line
    return process, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_stops(tmp_path: Path, number: int) -> None:
    write(tmp_path / "j.db", spoken_call())
    process, said = started("--journal", tmp_path / "j.db", "--port", "0")
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?key=\S+", said)
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1]))) as open_:
            key = found[0].partition("?")[2]
            request = f"GET /events?{key} HTTP/1.1\r\nHost: 127.0.0.1:{found[1]}\r\n\r\n"
            open_.sendall(request.encode())
            assert b"303" in open_.recv(4000)
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("ui", "--port", str(port), journal=tmp_path / "j.db")
    assert done.returncode == 1
    assert done.stderr == (
        f"prefactor-agent: port {port} is in use: choose another with --port (0: any free one)\n"
    )


def test_a_newer_journal_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "j.db", spoken_call())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    done = run("ui", "--port", "0", journal=path)
    assert done.returncode == 1
    assert "newer prefactor-agent" in done.stderr
    assert len(done.stderr.splitlines()) == 1
