"""The digest of a call is kept when the call has ended, and never says what the call does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from prefactor_agent import figures as figures_module
from prefactor_agent.config import Settings
from prefactor_agent.core.clock import now_ns
from prefactor_agent.core.span import Span, Status
from prefactor_agent.figures import figures
from prefactor_agent.journal import schema
from prefactor_agent.journal.reader import Journal
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.stored.source import Source
from prefactor_agent.view.model.digest import Digest, digest_text, digests, kept
from view.calls import SESSION, session, spoken_call
from view.journals import renamed, write


def kept_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT session_id FROM digests")]


def said(digest: Digest) -> tuple[object, ...]:
    return digest.summary, digest.turns, digest.tools, digest.errors


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    path = write(tmp_path / "journal.db", spoken_call(), renamed(spoken_call(), "another"))
    with closing(Journal(path)) as opened:
        yield opened


def test_a_call_that_has_ended_has_a_digest(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    writer = JournalWriter(Settings(journal=path), digest_text)
    root = Span("a" * 32, "a" * 32, None, "livekit:session", "session", now_ns(), {})
    writer.put(root)
    assert writer.flush(5)
    assert kept_in(path) == []
    root.finished_ns, root.result, root.status = now_ns(), {}, Status.COMPLETE
    writer.put(root)
    assert writer.flush(5)
    assert kept_in(path) == [root.id]


def test_a_digest_that_fails_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(source: Source, session_id: str) -> str:
        raise ValueError("no digest")

    path = tmp_path / "journal.db"
    writer = JournalWriter(Settings(journal=path), fail)
    root = Span("a" * 32, "a" * 32, None, "livekit:session", "session", now_ns(), {})
    root.finished_ns, root.result, root.status = now_ns(), {}, Status.COMPLETE
    writer.put(root)
    assert writer.flush(5)
    assert "journal.digest failed" in caplog.text
    with closing(Journal(path)) as opened:
        assert [call.id for call in opened.listing()] == [root.id]


def test_who_lists_calls_keeps_what_was_missing(journal: Journal) -> None:
    first = [said(digest) for digest in digests(journal)]
    assert sorted(kept_in(journal.path)) == sorted([SESSION, "another"])
    found = [kept(listed) for listed in journal.listing()]
    assert [said(digest) for digest in found if digest is not None] == first


def test_a_call_that_runs_has_none(tmp_path: Path) -> None:
    with closing(Journal(write(tmp_path / "j.db", [session(ended=None)]))) as opened:
        assert len(list(digests(opened))) == 1
    assert kept_in(tmp_path / "j.db") == []


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO spans SELECT 'late', session_id, parent_id, type, name, status, started_us, "
        "finished_us, payload, result FROM spans WHERE parent_id IS NOT NULL LIMIT 1",
        "UPDATE spans SET result = '{}' WHERE parent_id IS NULL",
    ],
)
def test_a_later_span_removes_it(tmp_path: Path, change: str) -> None:
    path = write(tmp_path / "journal.db", spoken_call())
    with closing(Journal(path)) as opened:
        list(digests(opened))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change)
    assert kept_in(path) == []


def test_a_digest_of_fewer_spans_than_there_are_is_not_kept(journal: Journal) -> None:
    text = digest_text(journal, SESSION)
    with closing(sqlite3.connect(journal.path)) as connection, connection:
        connection.execute(
            "INSERT INTO spans SELECT 'late', session_id, parent_id, type, name, status, "
            "started_us, finished_us, payload, result FROM spans WHERE parent_id = ? LIMIT 1",
            (SESSION,),
        )
    journal.keep({SESSION: text})
    assert kept_in(journal.path) == []


def test_a_damaged_digest_is_worked_out_again(journal: Journal) -> None:
    wanted = [said(digest) for digest in digests(journal)]
    with closing(sqlite3.connect(journal.path)) as connection, connection:
        connection.execute("UPDATE digests SET digest = '{'")
    assert [said(digest) for digest in digests(journal)] == wanted


def test_a_journal_of_an_older_version_is_listed_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {version: step for version, step in schema._STEPS.items() if version < 5}
    with monkeypatch.context() as older:
        older.setattr(schema, "_STEPS", steps)
        older.setattr(schema, "VERSION", 4)
        path = write(tmp_path / "journal.db", spoken_call())
    with closing(Journal(path)) as opened:
        assert [digest.id for digest in digests(opened)] == [SESSION]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)


def test_the_figures_of_a_call_are_the_same_kept_and_worked_out(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_out = figures(journal.path, SESSION)
    assert worked_out["turns"] > 0
    list(digests(journal))
    monkeypatch.setattr(figures_module, "digest_of", None)
    assert figures(journal.path, SESSION) == worked_out
