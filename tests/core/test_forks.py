"""A process that is forked while its threads write to the journal."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from prefactor_agent.config import Settings
from prefactor_agent.core import forks
from prefactor_agent.core.span import Status
from prefactor_agent.journal.reader import Journal
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.record.spans.tree import SpanTree
from support.waiting import PATIENCE

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def a_call(writer: JournalWriter) -> bool:
    call = SpanTree(writer)
    call.announce({})
    call.end(call.root, Status.COMPLETE, {})
    return writer.flush(PATIENCE)


def forked(writer: JournalWriter) -> bool:
    """Whether a child can write to the journal that its parent writes to."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if a_call(writer) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork waits for a transaction, however long the disk takes."""
    monkeypatch.setattr(forks, "_LONGEST_S", PATIENCE)


@pytest.fixture
def writer(tmp_path: Path) -> JournalWriter:
    return JournalWriter(Settings(journal=tmp_path / "journal.db", flush_interval=0.001))


class Watched:
    """The lock that a fork takes, and whether one has asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.asked = threading.Event()

    def acquire(self, timeout: float) -> bool:
        self.asked.set()
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_fork_waits_for_a_transaction(
    writer: JournalWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert a_call(writer)
    monkeypatch.setattr(forks, "_transaction", lock := Watched())
    begun = threading.Event()

    def write() -> None:
        connection = sqlite3.connect(
            tmp_path / "journal.db", isolation_level=None, check_same_thread=False
        )
        with forks.fork_safe():
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE calls SET wanted = 0")
            begun.set()
            lock.asked.wait(10)
            connection.execute("COMMIT")
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(PATIENCE)
    assert forked(writer)
    assert lock.asked.is_set()
    thread.join()
    assert a_call(writer), "and the parent can go on"
    assert len(Journal(tmp_path / "journal.db").sessions()) == 3


def test_forks_at_any_moment(writer: JournalWriter, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        call = SpanTree(writer)
        call.announce({})
        while not stop.is_set():
            turn = call.begin("livekit:user_turn", "t", None, {"pad": "x" * 5_000})
            call.end(turn, Status.COMPLETE, {})
            time.sleep(0.001)
        call.end(call.root, Status.COMPLETE, {})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert all(forked(writer) for _ in range(8))
    finally:
        stop.set()
        thread.join()
    assert writer.flush(PATIENCE)
    assert len(Journal(tmp_path / "journal.db").sessions()) == 9
