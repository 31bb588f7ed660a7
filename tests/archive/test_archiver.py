"""An agent with an archive writes its calls there, and is not disturbed by it."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest

import prefactor_agent
from archive.hosts import archived, calls, journal, say
from prefactor_agent import TracedAgent
from prefactor_agent.archive import archiver as archiver_module
from prefactor_agent.archive import writer as writer_module
from prefactor_agent.archive.archiver import Archiver
from prefactor_agent.config import Settings, settings
from prefactor_agent.view.model.digest import digest_text
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT
from support.waiting import PATIENCE


def line() -> Line:
    return Line(hears=ScriptedSTT("one", "two"), thinks=ScriptedLLM("An answer.", "Another."))


async def hold_call(of: Line) -> None:
    async with of.to(TracedAgent(instructions="x")):
        for count in (1, 2):
            await of.says()
            await of.answers(count)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The archive of the agents of a test."""
    prefactor_agent.configure(archive=tmp_path / "archive")
    return tmp_path / "archive"


def archiver(path: Path, folder: Path) -> Archiver:
    return Archiver(Settings(journal=path, archive=str(folder)), digest_text)


async def test_a_call_is_in_the_archive_when_it_has_ended(folder: Path) -> None:
    await hold_call(line())
    assert await asyncio.to_thread(prefactor_agent.flush, PATIENCE)
    [path] = folder.rglob("*.parquet")
    assert path.parent.name.startswith("date=") and path.parent.parent.name == "agent=TracedAgent"
    for command in (["export"], ["show", "--json"], ["stats", "--json"]):
        expected = say(*command, "--journal", str(settings().journal))
        assert say(*command, "--from", str(folder)) == expected
    assert "An answer." in expected or "An answer." in say("export", "--from", str(folder))


async def test_what_is_redacted_is_not_in_the_archive(folder: Path) -> None:
    prefactor_agent.configure(redact_patterns=["answer"])
    await hold_call(line())
    assert await asyncio.to_thread(prefactor_agent.flush, PATIENCE)
    assert "An answer" not in say("export", "--from", str(folder))


@pytest.mark.real_time
async def test_a_long_call_is_written_as_far_as_it_has_come(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "PART_S", 0.0)
    monkeypatch.setattr(archiver_module, "LOOK_S", 0.05)
    of = line()
    async with of.to(TracedAgent(instructions="x")):
        await of.says()
        await of.answers(1)
        async with asyncio.timeout(PATIENCE):
            while "An answer." not in archived(folder):
                await asyncio.sleep(0.05)
        [running] = folder.rglob("*.parquet")
        assert running.name.endswith(".running.parquet")
        assert '"status":"running"' in say("sessions", "--json", "--from", str(folder))
    assert await asyncio.to_thread(prefactor_agent.flush, PATIENCE)
    [ended] = folder.rglob("*.parquet")
    assert ended.name == running.name.replace(".running", "")


def test_calls_of_processes_that_are_gone_are_written(tmp_path: Path) -> None:
    path, folder = journal(tmp_path / "j.db", *calls("Shop", 0, 3)), tmp_path / "archive"
    want_all(path)
    one = archiver(path, folder)
    one.start()
    try:
        assert one.flush(PATIENCE)
        assert len(list(folder.rglob("*.parquet"))) == 3
    finally:
        one.stop()


def test_a_folder_that_cannot_be_written_costs_one_line_and_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = journal(tmp_path / "j.db", *calls("Shop", 0, 3))
    want_all(path)
    blocked = tmp_path / "archive"
    blocked.write_text("a file")
    one = archiver(path, blocked)
    one.start()
    try:
        assert not one.flush(0.5)
        one.wake()
        assert not one.flush(0.5)
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "the journal keeps the calls" in caplog.text
        blocked.unlink()
        one.stop()
        again = archiver(path, blocked)
        again.start()
        assert again.flush(PATIENCE)
        again.stop()
        assert len(list(blocked.rglob("*.parquet"))) == 3
    finally:
        one.stop()


@pytest.mark.parametrize("package", ["obstore", "duckdb"])
def test_a_missing_extra_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.store", None)
    path = journal(tmp_path / "j.db", *calls("Shop", 0, 1))
    want_all(path)
    one = archiver(path, tmp_path / "archive")
    one.start()
    try:
        assert not one.flush(PATIENCE)
        [record] = caplog.records
        assert record.getMessage().endswith("pip install 'prefactor-agent[fleet]'")
        assert one.off
    finally:
        one.stop()


def want_all(path: Path) -> None:
    from contextlib import closing

    from prefactor_agent.journal.archiving import ArchiveTodo

    with closing(ArchiveTodo(path, digest_text)) as todo:
        todo.want_all()
