"""The recordings beside a journal are counted, and removed, with their calls."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest

from prefactor_agent.journal import retention
from prefactor_agent.journal.reader import Journal
from prefactor_agent.stored import recording
from view import calls, journals
from view.commandline import run

OLD, YOUNG, LOST = "01old", "01young", "01lost"
SIZE = 5_000_000
HOUR = 3_600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of two calls, each with a recording, and one more of a call that it does not
    have."""
    path = tmp_path / "journal.db"
    whole = calls.spoken_call()
    journals.write(path, journals.renamed(whole, OLD), journals.renamed(whole, YOUNG))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE spans SET started_us = started_us + 9 WHERE id = ?", (YOUNG,))
    recording.folder(path).mkdir()
    for id_ in (OLD, YOUNG, LOST):
        recording.path_of(path, id_).write_bytes(bytes(SIZE))
    (recording.folder(path) / "notes.txt").write_text("the user's own")
    return path


def left(path: Path) -> set[str]:
    return {one.name for one in recording.folder(path).iterdir()} - {"notes.txt"}


def called(path: Path) -> set[str]:
    journal = Journal(path)
    ids = {session.session_id for session in journal.sessions()}
    journal.close()
    return ids


prune = partial(retention.prune, days=36_500)


def test_they_count_as_bytes_of_the_journal(path: Path) -> None:
    assert retention.size(path) > 3 * SIZE
    assert retention.is_due(path, days=36_500, limit=3 * SIZE)
    done = prune(path, limit=1 << 30)
    assert done.bytes_before > 3 * SIZE and done.calls == 0


def test_above_the_limit_the_oldest_calls_go_with_theirs(path: Path) -> None:
    done = prune(path, limit=2 * SIZE + 1_000_000)
    assert done.calls == 1
    assert called(path) == {YOUNG}
    assert left(path) == {f"{YOUNG}.ogg", f"{LOST}.ogg"}
    assert done.bytes_after < done.bytes_before - SIZE


def test_one_call_goes_with_its_own(path: Path) -> None:
    done = run("prune", OLD, journal=path)
    assert done.returncode == 0, done.stderr
    assert called(path) == {YOUNG}
    assert left(path) == {f"{YOUNG}.ogg", f"{LOST}.ogg"}


def test_what_would_go_stays(path: Path) -> None:
    assert prune(path, days=0, limit=0, dry_run=True).calls == 2
    assert left(path) == {f"{OLD}.ogg", f"{YOUNG}.ogg", f"{LOST}.ogg"}


def test_that_of_a_call_which_the_journal_does_not_have_goes_by_its_age(path: Path) -> None:
    lost = recording.path_of(path, LOST)
    prune(path, limit=SIZE)
    assert left(path) == {f"{LOST}.ogg"}, "it may be of a call that runs"
    os.utime(lost, (time.time() - 2 * HOUR,) * 2)
    prune(path, limit=1 << 30)
    assert left(path) == {f"{LOST}.ogg"}, "there is room"
    prune(path, limit=SIZE)
    assert left(path) == set()
    lost.write_bytes(bytes(SIZE))
    os.utime(lost, (time.time() - 48 * HOUR,) * 2)
    prune(path, days=1, limit=1 << 30)
    assert left(path) == set()
    assert (recording.folder(path) / "notes.txt").exists()


def test_a_journal_without_recordings_is_pruned_as_ever(path: Path, tmp_path: Path) -> None:
    other = journals.write(tmp_path / "other.db", journals.renamed(calls.spoken_call(), OLD))
    assert retention.size(other) > 0
    assert retention.prune(other, days=0, limit=0).calls == 1
