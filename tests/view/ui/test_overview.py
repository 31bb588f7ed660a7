"""The overview over HTTP: its numbers are those of ``stats``, over a journal and an archive."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from prefactor_agent.archive.writer import push_all
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.many import compare as compared
from prefactor_agent.view.model.digest import digest_text
from view.calls import session
from view.commandline import run
from view.costs import LLM, TTS, priced_session
from view.journals import write
from view.report.report_calls import HOSTILE
from view.ui.overview_page import OverviewPage
from view.ui.ui_server import Ui, ui_server
from view.versions import call

OLD = [
    call(f"{i:02}a", "v1", [900 + 10 * i, 1000 + i], tool_ms=100, failed=i % 3 == 0, day=i)
    for i in range(12)
]
NEW = [
    call(f"{i:02}b", "v2", [690 + 10 * i, 790 + i], cut=i % 2 == 0, tool_ms=60 + i, day=20 + i)
    for i in range(12)
]
RATES = {"gpt-4o": {"input": 2.5, "output": 10.0}, "sonic-3": {"characters": 35.0}}


def priced(spans: list[StoredSpan]) -> list[StoredSpan]:
    told = priced_session([LLM, TTS], RATES)
    root = spans[0]
    return [
        replace(
            root, payload={**root.payload, **told.payload}, result={**root.result, **told.result}
        ),
        *spans[1:],
    ]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("overview") / "j.db"
    return write(path, *OLD[:11], priced(OLD[11]), *NEW)


@pytest.fixture(scope="module")
def archive(journal: Path) -> str:
    push_all(journal, address := str(journal.with_name("archive")), digest_text)
    return address


@pytest.fixture(params=["journal", "archive"])
async def ui(request: Any) -> AsyncIterator[Ui]:
    """The same calls from a journal, and from an archive."""
    async with ui_server(request.getfixturevalue(request.param)) as server:
        yield server


def say(ui: Ui, *arguments: str) -> Any:
    archived = () if isinstance(ui.journal, Path) else ("--from", ui.journal)
    journal = ui.journal if isinstance(ui.journal, Path) else None
    done = run("stats", *arguments, "--json", *archived, journal=journal)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def page(ui: Ui, query: str) -> OverviewPage:
    return OverviewPage(await ui.text(f"/overview?{query}"))


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ("period=all", ()),
        ("period=all&version=v2&agent=Shop", ("--version", "v2", "--agent", "Shop")),
        ("period=dates&begin=2026-12-01T06:00", ("--since", "2026-12-01T06:00")),
    ],
)
async def test_it_says_what_stats_says(ui: Ui, query: str, arguments: tuple[str, ...]) -> None:
    told, seen = say(ui, *arguments), await page(ui, query)
    lines = [*told["stages"], *([told["gaps"]] if told["gaps"] else []), *told["pickup"]]
    assert list(seen.lines()) == [
        {name: value for name, value in line.items() if name != "name"} for line in lines
    ]
    [median] = seen.figures["Dead air, median"]
    [p95] = seen.figures["Dead air, p95"]
    assert (median, p95) == (lines[0]["median_ms"], lines[0]["p95_ms"])
    assert seen.figures["Pickup, median"] == [told["pickup"][0]["median_ms"]]
    usd = seen.figures["Cost"]
    assert [round(one, 6) for one in usd] == ([told["cost"]["usd"]] if told["cost"]["usd"] else [])
    rows = seen.tables["models-table"]
    priced = {row[0]: round(row[-1], 6) for row in rows if isinstance(row[-1], float)}
    assert priced == told["cost"]["models"]


@pytest.mark.parametrize(
    ("query", "sides"),
    [
        ("period=all&against=v1&version=v2", ("v1", "v2")),
        ("period=all&against=v1", ("v1", "v2")),  # the newest other one
        (
            "period=dates&begin=2026-12-11T00:00&end=2026-12-31T00:00&against=period+before",
            ("2026-11-21..2026-12-11", "2026-12-11..2026-12-31"),
        ),
    ],
)
async def test_it_compares_as_stats_does(ui: Ui, query: str, sides: tuple[str, str]) -> None:
    rows = say(ui, "--compare", *sides)["rows"]
    expected = {
        f"{row['group']}/{row['name']}/{row['statistic']}": [
            row["before"], row["after"], row["difference"], *(row["interval"] or (None, None))
        ]
        for row in rows
    }  # fmt: skip
    assert expected["dead air/perceived/p95_ms"][2:3] == [-210]
    quick, sure = await page(ui, query), await page(ui, f"{query}&sure=1")
    assert _rounded(sure.differences) == expected
    assert _rounded(quick.differences) == {
        name: [*values[:3], None, None] for name, values in expected.items()
    }
    assert (quick.waits, sure.waits) == (True, False)


def _rounded(found: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    return {
        name: [round(value, 4) if value is not None else None for value in values]
        for name, values in found.items()
    }


async def test_the_worst_turns_lead_to_their_place_in_their_calls(ui: Ui) -> None:
    seen = await page(ui, "period=all")
    worst = [link for link in seen.links if link.startswith("/calls/")]
    assert worst[0] == "/calls/11a#11a-a1"  # 1011 ms
    path, _, place = worst[0].partition("#")
    assert f'id="{place}"' in await ui.text(path)


async def test_parts_of_the_time_and_versions_are_links(ui: Ui) -> None:
    seen = await page(ui, "period=all&agent=Shop")
    part = next(link for link in seen.links if "period=dates" in link)
    narrowed = OverviewPage(await ui.text(part))
    assert narrowed.figures["Calls"] == [1]
    version = next(link for link in seen.links if "version=v2" in link)
    assert OverviewPage(await ui.text(version)).figures["Calls"] == [12]


async def test_the_list_leads_to_it_and_back(journal: Path) -> None:
    async with ui_server(journal) as ui:
        assert 'href="/overview"' in await ui.text("/")
        assert 'href="/"' in await ui.text("/overview")


@pytest.mark.parametrize(
    ("calls", "answers"),
    [
        ([], {"period=all": ["no call has been traced yet"]}),
        (
            [OLD[0]],
            {
                "begin=1990-01-01&end=1990-02-01": ["No call began in this period."],
                "period=all&against=v1": [
                    "All of this is of one call",
                    "All of these calls are of one version.",
                    "There is no other version, or no call before",
                ],
                "period=all&version=v9": ["No call of this period is of this agent and version."],
            },
        ),
        (
            [[session()]],
            {
                "period=all": [
                    "there is no dead air to measure",
                    "No pickup was measured",
                    "No tool was called.",
                    "No error was recorded.",
                    "No model has reported what it used",
                ]
            },
        ),
    ],
)
async def test_what_there_is_not_is_said_in_a_line(
    tmp_path: Path, calls: list[list[StoredSpan]], answers: dict[str, list[str]]
) -> None:
    path = write(tmp_path / "j.db", *calls) if calls else tmp_path / "j.db"
    async with ui_server(path) as ui:
        for query, says in answers.items():
            text = await ui.text(f"/overview?{query}")
            assert [line for line in says if line not in text] == []


async def test_a_damaged_journal_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(b"this is no database at all" * 400)
    async with ui_server(path) as ui:
        assert "is no journal" in await ui.text("/overview")


async def test_any_question_has_an_answer(journal: Path) -> None:
    async with ui_server(journal) as ui:
        for query in (
            "period=nonsense&agent=%00&version=" + "9" * 900,
            "period=dates&begin=0001-01-01T00:00&end=9999-12-31T23:59",
            "period=dates&begin=today&end=&against=period+before",
            "period=dates&begin=2027-01-01T00:00&end=2026-01-01T00:00&against=period+before",
            "period=all&sure=1&reading=" + "9" * 90,
        ):
            assert "</html>" in await ui.text(f"/overview?{query}")


async def test_words_of_strangers_are_words(tmp_path: Path) -> None:
    hostile = HOSTILE.replace("\ud800", "")
    spans = call("x", hostile, [900, 1000], tool_ms=5)
    spans[0] = replace(spans[0], payload={**spans[0].payload, "agent_class": hostile})
    spans[-1] = replace(spans[-1], name=hostile, type=f"livekit:tool:{hostile}")
    async with ui_server(write(tmp_path / "j.db", spans, *NEW)) as ui:
        seen = await ui.text("/overview?period=all&against=v2")
        assert seen.count("<script>") == 1
        assert "<img" not in seen
        assert "\u202e" not in seen
        _, asked, headers = await ui.get("/overview?agent=%22%3E%3Cscript%3Ealert(1)&period=all")
        assert "<script>alert" not in asked
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src") and "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"


async def test_intervals_keep_nobody_else_waiting(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    whole = compared.interval

    def slow(*of: Any) -> Any:
        begun.set()
        go_on.wait(20)
        return whole(*of)

    monkeypatch.setattr(compared, "interval", slow)
    async with ui_server(journal) as ui:
        asked = asyncio.create_task(page(ui, "period=all&against=v1&sure=1"))
        await asyncio.to_thread(begun.wait, 20)
        assert (await page(ui, "period=all&against=v1")).waits
        assert not asked.done()
        go_on.set()
        assert not (await asked).waits


async def test_intervals_end_when_the_page_was_left(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    whole, drawn = compared.interval, []

    def slow(*of: Any) -> Any:
        drawn.append(of)
        begun.set()
        go_on.wait(20)
        return whole(*of)

    monkeypatch.setattr(compared, "interval", slow)
    async with ui_server(journal) as ui:
        _, writer = await asyncio.open_connection("127.0.0.1", ui.port)
        [cookie] = ui.client.cookie_jar.filter_cookies(URL(ui.base)).values()
        writer.write(
            f"GET /overview?period=all&against=v1&sure=1 HTTP/1.1\r\nHost: 127.0.0.1:{ui.port}\r\n"
            f"Cookie: {cookie.key}={cookie.value}\r\n\r\n".encode()
        )
        await asyncio.to_thread(begun.wait, 20)
        writer.close()
        await writer.wait_closed()
        assert (await page(ui, "period=all")).figures["Calls"] == [24]  # the server has noticed
        go_on.set()
        left = await page(ui, "period=all&against=v2&sure=1")
        assert len(drawn) <= len(left.differences) + 2
