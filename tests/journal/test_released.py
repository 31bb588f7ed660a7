"""Journals of every version that the tables have had: each is read, migrated and delivered.

`released/` holds them as they were written at the time: one call of two turns, with a tool that
answers and one that fails. A new version of the tables adds the last file of the version before."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from prefactor_agent.journal import schema
from prefactor_agent.journal.outbox import Outbox
from support.prefactor_server import PrefactorServer
from view import commandline

RELEASED = sorted((Path(__file__).parent / "released").glob("v*.db.gz"))


@pytest.fixture(params=RELEASED, ids=lambda path: path.name.partition(".")[0])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    path.write_bytes(gzip.decompress(request.param.read_bytes()))
    path.chmod(0o600)
    return path


def run(*arguments: str, journal: Path, **settings: str) -> str:
    done = commandline.run(*arguments, "--journal", journal, COLUMNS="140", **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return found


def assert_it_is_the_call(path: Path) -> None:
    shown = run("show", "last", journal=path)
    assert "What is the kettle?" in shown and "It is thirty euros." in shown
    spans = [json.loads(line) for line in run("export", "last", journal=path).splitlines()]
    types = [span.get("type") for span in spans]
    assert types.count("livekit:tool:price") == types.count("livekit:tool:charge") == 1
    assert types.count("livekit:assistant_turn") == 2
    (failed,) = (span for span in spans if span.get("type") == "livekit:tool:charge")
    assert "the bank does not answer" in json.dumps(spans) and failed["status"] == "failed"
    assert "Clerk" in run("sessions", journal=path)
    run("stats", journal=path)


def test_there_is_one_of_every_version() -> None:
    versions = [int(path.name.removeprefix("v").removesuffix(".db.gz")) for path in RELEASED]
    assert versions == list(range(1, schema.VERSION)), "add the version before the newest"


def test_it_is_read_as_it_is(old: Path) -> None:
    before = version(old)
    assert_it_is_the_call(old)
    assert version(old) == before, "looking does not write"


def test_it_is_migrated_and_nothing_is_lost(old: Path) -> None:
    Outbox(old).close()
    assert version(old) == schema.VERSION
    assert_it_is_the_call(old)
    fresh = old.with_name("fresh.db")
    Outbox(fresh).close()
    assert tables(old) == tables(fresh), "a migrated journal has the tables of a new one"


def tables(path: Path) -> set[tuple[str, str, str]]:
    connection = sqlite3.connect(path)
    found = {
        (kind, name, " ".join((sql or "").split()))
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master")
    }
    connection.close()
    return found


def test_it_is_delivered(old: Path, server: PrefactorServer) -> None:
    settings = {"PREFACTOR_API_URL": server.url, "PREFACTOR_API_TOKEN": server.token}
    run("push", journal=old, **settings)
    delivered = server.spans()
    assert {span.status for span in delivered} <= {"complete", "failed", "cancelled"}
    exported = run("export", "last", journal=old)
    ids = [line for line in map(json.loads, exported.splitlines()) if "type" in line]
    assert len(delivered) == len(ids)


def test_a_copy_that_nobody_may_write_can_be_read(old: Path, tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    copy = Path(shutil.copy(old, folder))
    copy.chmod(0o400)
    assert "What is the kettle?" in run("show", "last", journal=copy)
