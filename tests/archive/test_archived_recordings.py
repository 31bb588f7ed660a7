"""The recordings of calls go into the archive where a setting says so, and are heard from there."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

import prefactor_agent
from archive.hosts import calls, journal, push, say
from prefactor_agent import TracedAgent
from prefactor_agent.archive import recordings as archived
from prefactor_agent.archive.reader import Archive
from prefactor_agent.archive.writer import push_all
from prefactor_agent.config import settings
from prefactor_agent.journal.reader import Journal
from prefactor_agent.stored.recording import Recording
from prefactor_agent.tracing import tracer
from prefactor_agent.view.model.digest import digest_text
from support import recordings
from support.line import Line
from support.recordings import Tone
from support.scripted import ScriptedLLM, ScriptedSTT
from support.waiting import PATIENCE


@pytest.fixture
def kept(tmp_path: Path) -> dict[str, Recording]:
    """Ten calls in a journal, all of them recorded."""
    made = calls("Shop", 0, 10)
    path = journal(tmp_path / "journal.db", *made)
    return {
        spans[0].session_id: recordings.write(
            path,
            spans[0].session_id,
            spans[0].started_us - 1_000 * number,
            1.0 + number / 10,
            caller=[Tone(0, 0.5)],
        )
        for number, spans in enumerate(made)
    }


def read(address: str, call: str) -> Recording | None:
    with closing(Archive(address)) as archive:
        return archive.recording(call)


def test_they_are_there_as_beside_the_journal(tmp_path: Path, kept: dict[str, Recording]) -> None:
    folder = tmp_path / "archive"
    said = say("archive", "push", str(folder), "--audio", "--journal", str(tmp_path / "journal.db"))
    assert said.startswith("10 calls written")
    for compacted in (False, True):
        if compacted:
            say("archive", "compact", str(folder))
            assert not [one for one in folder.rglob("*.parquet") if "day-" not in one.name]
        for call, here in kept.items():
            there = read(str(folder), call)
            assert there is not None
            assert there.path.read_bytes() == here.path.read_bytes()
            assert (there.begins_us, there.duration_s) == (here.begins_us, here.duration_s)
    file = tmp_path / "call.ogg"
    say("export", call, "--format", "ogg", "-o", str(file), "--from", str(folder))
    assert file.read_bytes() == here.path.read_bytes()
    assert read(str(folder), call[:-1] + ("0" if call[-1] != "0" else "1")) is None


def test_by_itself_it_gets_none(tmp_path: Path, kept: dict[str, Recording]) -> None:
    assert push(tmp_path / "journal.db", str(tmp_path / "archive")) == 10
    assert not list((tmp_path / "archive").rglob("*.ogg"))
    assert read(str(tmp_path / "archive"), next(iter(kept))) is None


def test_those_of_a_bucket_are_copied_once_and_few_are_kept(
    tmp_path: Path, kept: dict[str, Recording]
) -> None:
    folder = tmp_path / "archive"
    push_all(tmp_path / "journal.db", str(folder), digest_text, audio=True)
    bucket = f"file://{folder}"  # read as a bucket is: by its address
    paths = []
    for call, here in kept.items():
        first, second = read(bucket, call), read(bucket, call)
        assert first is not None and first == second
        assert first.path.read_bytes() == here.path.read_bytes()
        assert folder not in first.path.parents
        paths.append(first.path)
    assert [path.exists() for path in paths] == [False] * 2 + [True] * archived._KEPT
    assert paths[-1].parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("audio", [False, True])
async def test_an_agent_archives_what_it_recorded(tmp_path: Path, *, audio: bool) -> None:
    tracer.send_to(None)
    folder = tmp_path / "archive"
    prefactor_agent.configure(archive=folder, archive_audio=audio, keep_audio=True)
    line = Line(hears=ScriptedSTT("one"), thinks=ScriptedLLM("An answer."))
    async with line.to(TracedAgent(instructions="x")):
        await line.says()
        await line.answers(1)
    assert await asyncio.to_thread(prefactor_agent.flush, PATIENCE)
    with closing(Journal(settings().journal)) as source:
        call = source.find()
        here = source.recording(call)
    there = read(str(folder), call)
    assert here is not None
    assert (there is not None) == audio
    if there is not None:
        assert there.path.read_bytes() == here.path.read_bytes()
