"""The journal: what is put is kept, whatever happens to the process or the disk."""

import contextlib
import json
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.config import Settings
from prefactor_agent.core import guard
from prefactor_agent.core.span import Span, Status
from prefactor_agent.journal import place, retention, schema, totals, writer
from prefactor_agent.journal.errors import UnusableJournalError
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.journal.reader import Journal, JournalError
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.metrics import series
from prefactor_agent.record.spans.stream import Stream
from prefactor_agent.record.spans.tree import SpanTree
from support.waiting import PATIENCE, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def begin(path: Path, **settings) -> tuple[JournalWriter, SpanTree]:
    kept = JournalWriter(Settings(journal=path, **settings))
    call = SpanTree(kept)
    call.announce({"name": "livekit-session"})
    return kept, call


def finish(call: SpanTree) -> None:
    call.end(call.root, Status.COMPLETE, {"status": "completed"})


def test_a_call_is_read_as_it_was_put(path: Path) -> None:
    kept, call = begin(path)
    turn = call.begin("livekit:assistant_turn", "assistant_turn", None, {"turn_index": 1})
    text = Stream(turn.started_ns)
    node = call.begin("livekit:llm", "llm", turn, {}, streams={"output": text})
    text.add("Hello")
    text.add(" you")
    call.end(node, Status.COMPLETE, lambda: {"text": "".join(text.text)})
    call.end(turn, Status.CANCELLED, {"status": "cancelled"})
    finish(call)
    assert kept.flush(PATIENCE)

    spans = Journal(path).call(call.root.id)
    assert [span.type for span in spans] == [
        "livekit:session",
        "livekit:assistant_turn",
        "livekit:llm",
    ]
    assert [span.status for span in spans] == ["complete", "cancelled", "complete"]
    assert spans[2].parent_id == spans[1].id
    assert spans[1].parent_id == spans[0].id == spans[0].session_id
    assert spans[2].result["text"] == "Hello you"
    stream = spans[2].stream("output")
    assert (stream["count"], stream["text"]) == (2, ["Hello", " you"])
    assert all((span.duration_us or 0) >= 0 for span in spans)


def test_a_span_ends_once(path: Path) -> None:
    kept, call = begin(path)
    turn = call.begin("livekit:user_turn", "user_turn", None, {})
    assert call.end(turn, Status.COMPLETE, {"first": True})
    assert not call.end(turn, Status.FAILED, {"second": True})
    assert kept.flush(PATIENCE)
    (_, span) = Journal(path).call(call.root.id)
    assert (span.status, span.result) == ("complete", {"first": True})


@pytest.mark.parametrize("written", [False, True], ids=["at once", "once it is written"])
def test_more_can_be_told_of_a_span_that_has_ended(path: Path, written: bool) -> None:
    kept, call = begin(path)
    text = Stream(call.root.started_ns)
    turn = call.begin("livekit:user_turn", "user_turn", None, {}, streams={"text": text})
    text.add("hello")
    call.amend(turn, {"too": "early"})  # it has not ended
    call.end(turn, Status.COMPLETE, {"transcript": "hello"})
    if written:
        assert kept.flush(PATIENCE)
    call.amend(turn, {"transcript": "hello", "declined": True})
    finish(call)
    assert kept.flush(PATIENCE)
    (_, span) = Journal(path).call(call.root.id)
    assert (span.status, span.result["declined"]) == ("complete", True)
    assert span.stream("text")["text"] == ["hello"]
    counts = totals.read(path).counts
    assert [amount for (name, _), amount in counts.items() if name == series.TURNS] == [1]


def test_an_end_that_was_written_before_it_was_put_stays(path: Path) -> None:
    """The thread may look between the moment when a span ends and the one when that is put."""
    kept = JournalWriter(Settings(journal=path))

    class Late:
        def put(self, span: Span) -> None:
            if not span.open:
                assert kept.flush(PATIENCE)
            kept.put(span)

        def flush(self, timeout: float) -> bool:
            return kept.flush(timeout)

    call = SpanTree(Late())
    call.announce({})
    turn = call.begin("livekit:user_turn", "user_turn", None, {})
    call.end(turn, Status.COMPLETE, {"transcript": "hello"})
    assert kept.flush(PATIENCE)
    (_, span) = Journal(path).call(call.root.id)
    assert (span.status, span.result) == ("complete", {"transcript": "hello"})


def test_what_is_open_is_there_while_it_runs(path: Path) -> None:
    kept, call = begin(path)
    text = Stream(call.root.started_ns)
    call.begin("livekit:tts", "tts", None, {}, streams={"text": text})
    text.add("so far")
    assert kept.flush(PATIENCE)
    until(lambda: Journal(path).call(call.root.id)[1].stream("text").get("text") == ["so far"])
    (_, span) = Journal(path).call(call.root.id)
    assert span.status == "active"
    assert span.finished_us is None


def test_the_file_is_the_owners_alone(path: Path) -> None:
    kept, _ = begin(path)
    assert kept.flush(PATIENCE)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_the_file_at_the_end_of_a_link_is_the_owners_alone(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "disk" / "calls.db"
    target.parent.mkdir()
    path.parent.mkdir()
    path.symlink_to(target)
    kept, _ = begin(path)
    assert kept.flush(PATIENCE)
    assert path.is_symlink()
    assert target.is_file()
    for file in target.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_span_whose_result_cannot_be_made_is_kept_all_the_same(path: Path) -> None:
    kept, call = begin(path)
    turn = call.begin("livekit:user_turn", "user_turn", None, {"odd": {object(): {1, 2}}})

    def broken():
        raise ZeroDivisionError

    call.end(turn, Status.COMPLETE, broken)
    assert kept.flush(PATIENCE)
    (_, span) = Journal(path).call(call.root.id)
    assert span.status == "complete"
    assert span.result == {"tracer_error": "ZeroDivisionError"}
    assert guard.failures["span.result"] >= 1


def test_a_number_that_is_none_becomes_null(path: Path) -> None:
    kept, call = begin(path)
    call.begin("livekit:user_turn", "user_turn", None, {"a": float("nan"), "b": float("inf")})
    assert kept.flush(PATIENCE)
    (_, span) = Journal(path).call(call.root.id)
    assert span.payload == {"a": None, "b": None}


def test_the_thread_ends_when_nothing_is_open(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.2)
    kept, call = begin(path)
    finish(call)
    assert kept.flush(PATIENCE)
    until(lambda: kept._thread is None)
    again = SpanTree(kept)
    again.announce({})
    assert kept.flush(PATIENCE)
    assert len(Journal(path).sessions()) == 2


SCRIPT = """
    import sys, time
    from pathlib import Path
    from prefactor_agent.config import Settings
    from prefactor_agent.journal.writer import JournalWriter
    from prefactor_agent.record.spans.tree import SpanTree
    from prefactor_agent.core.span import Status
    from prefactor_agent.record.spans.stream import Stream
    kept = JournalWriter(Settings(journal=Path(sys.argv[1])))
    call = SpanTree(kept)
    call.announce({"name": "livekit-session"})
"""


def run(path: Path, body: str) -> subprocess.Popen[str]:
    script = textwrap.dedent(SCRIPT) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_several_processes_share_one_file(path: Path) -> None:
    body = """
    for number in range(50):
        turn = call.begin("livekit:user_turn", "user_turn", None, {"n": number})
        call.end(turn, Status.COMPLETE, {})
        time.sleep(0.005)
    call.end(call.root, Status.COMPLETE, {})
    """
    processes = [run(path, body) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, errors) == (0, "")
    journal = Journal(path)
    sessions = journal.sessions()
    assert len(sessions) == 4
    for session in sessions:
        spans = journal.call(session.id)
        assert sorted(span.payload["n"] for span in spans[1:]) == list(range(50))


def test_the_end_of_a_process_is_waited_for(path: Path) -> None:
    """No sleep, no flush: what was put last is kept when the process just ends."""
    process = run(path, "call.end(call.root, Status.COMPLETE, {'last': True})")
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    (session,) = Journal(path).sessions()
    assert session.result == {"last": True}


def test_the_end_of_a_child_of_multiprocessing_is_waited_for(path: Path) -> None:
    """LiveKit's job processes leave through multiprocessing, which runs no atexit handlers."""
    body = """
    import multiprocessing
    def child():
        again = SpanTree(kept)
        again.announce({"child": True})
        again.end(again.root, Status.COMPLETE, {"last": True})
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    call.end(call.root, Status.COMPLETE, {"last": True})
    """
    process = run(path, body)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    sessions = Journal(path).sessions()
    assert len(sessions) == 2, "the child wrote its own call, and not its parent's again"
    assert all(session.result == {"last": True} for session in sessions)


def test_a_killed_process_leaves_a_call_that_can_be_read(path: Path) -> None:
    process = run(
        path,
        """
    turn = call.begin("livekit:assistant_turn", "assistant_turn", None, {})
    text = Stream(turn.started_ns)
    call.begin("livekit:llm", "llm", turn, {}, streams={"output": text})
    for number in range(100_000):
        text.add(f"{number} ")
        time.sleep(0.01)
    """,
    )

    def so_far() -> list[str]:
        with contextlib.suppress(JournalError, IndexError):
            return Journal(path).call(Journal(path).find("last"))[2].stream("output")["text"]
        return []

    # Nobody has it flush: what is recorded is kept while the process runs.
    until(lambda: len(so_far()) > 30)
    before = so_far()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    spans = Journal(path).call(Journal(path).find("last"))
    assert [span.status for span in spans] == ["active"] * 3
    kept = spans[2].stream("output")["text"]
    assert kept[: len(before)] == before
    assert kept == [f"{number} " for number in range(len(kept))]


def dealt_with(kept: JournalWriter) -> None:
    """The thread has taken all that was put, and done what it does with it."""
    until(lambda: not kept._queue)
    with kept._round:
        pass


def messages(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "prefactor_agent"]


def test_a_newer_file_is_refused_in_one_line(path: Path, caplog) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    kept, call = begin(path)
    assert not kept.flush(PATIENCE)
    finish(call)
    dealt_with(kept)
    (line,) = messages(caplog)
    assert "newer prefactor-agent" in line
    with pytest.raises(JournalError, match="newer prefactor-agent"):
        Journal(path)


@pytest.mark.parametrize("place", [0, 4096])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(path: Path, caplog, place: int) -> None:
    kept, call = begin(path)
    finish(call)
    assert kept.flush(PATIENCE)
    kept._close()
    damage = bytes(4096)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(damage)
    kept, call = begin(path)
    finish(call)
    assert kept.flush(PATIENCE)
    assert len(Journal(path).sessions()) == 1
    (aside,) = path.parent.glob("journal.db.corrupt-*")
    assert damage in aside.read_bytes()
    (line,) = messages(caplog)
    assert "set aside" in line


@pytest.mark.parametrize("suffixes", [("",), ("", "-wal", "-shm")])
def test_a_journal_that_is_removed_begins_anew(path: Path, caplog, suffixes: Any) -> None:
    kept, call = begin(path)
    turn = call.begin("livekit:user_turn", "user_turn", None, {})
    assert kept.flush(PATIENCE)
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink()
    call.end(turn, Status.COMPLETE, {"transcript": "hello"})
    assert kept.flush(PATIENCE)

    journal = Journal(path)
    assert journal.sessions() == [], "its own row comes when it ends"
    assert journal.find() == call.root.id
    assert [span.result["transcript"] for span in journal.call(call.root.id)] == ["hello"]
    finish(call)
    assert kept.flush(PATIENCE)
    (session,) = journal.sessions()
    assert (session.id, session.status) == (call.root.id, "complete")
    journal.close()
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    (line,) = messages(caplog)
    assert f"{path} was removed or replaced" in line


def test_a_journal_that_another_process_began_anew_is_left_whole(path: Path, caplog) -> None:
    """Two writers find their file gone; what the first writes into the new one stays."""
    first, call = begin(path)
    second, other = begin(path)
    assert first.flush(PATIENCE)
    assert second.flush(PATIENCE)
    path.unlink()
    for each, kept in ((call, first), (other, second)):
        finish(each)
        assert kept.flush(PATIENCE)
    assert {session.id for session in Journal(path).sessions()} == {call.root.id, other.root.id}
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert len(messages(caplog)) == 2


def notes(path: Path) -> None:
    path.write_bytes(b"this is no database, but somebody's notes" * 100)


def anothers(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE accounts (name)")
        connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    connection.close()


@pytest.mark.parametrize("make", [notes, anothers])
def test_a_file_that_is_no_journal_is_left_as_it_is(path: Path, caplog, make: Any) -> None:
    path.parent.mkdir()
    make(path)
    before = path.read_bytes()
    kept, call = begin(path)
    assert not kept.flush(PATIENCE)
    finish(call)
    dealt_with(kept)
    (line,) = messages(caplog)
    assert str(path) in line
    assert "set PREFACTOR_JOURNAL (or --journal) to another file" in line
    for use in (Outbox, partial(retention.prune, days=0, limit=0), Journal):
        with pytest.raises((UnusableJournalError, JournalError)):
            use(path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_folder_is_refused_as_a_journal(path: Path, caplog) -> None:
    path.mkdir(parents=True)
    kept, call = begin(path)
    assert not kept.flush(PATIENCE)
    finish(call)
    (line,) = messages(caplog)
    assert "is a directory: set PREFACTOR_JOURNAL to a file in it" in line


def test_a_device_or_a_pipe_is_refused_as_a_journal(path: Path, caplog) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    for at in (path, Path(os.devnull)):
        caplog.clear()
        kept, call = begin(at)
        assert not kept.flush(PATIENCE)
        finish(call)
        (line,) = messages(caplog)
        assert f"{at} is no regular file: set PREFACTOR_JOURNAL to one" in line
        for use in (Outbox, partial(retention.prune, days=0, limit=0), Journal):
            with pytest.raises((UnusableJournalError, JournalError), match="no regular"):
                use(at)


def test_the_cause_is_raised_and_not_the_failed_rollback(path: Path) -> None:
    """SQLite ends a transaction by itself where the disk is full."""
    path.parent.mkdir()
    outbox = Outbox(path)
    with pytest.raises(ValueError, match="the cause"), outbox._writing() as connection:
        connection.execute("ROLLBACK")
        raise ValueError("the cause")
    outbox.close()


def test_a_place_that_cannot_be_written_is_logged_in_one_line(tmp_path: Path, caplog) -> None:
    (tmp_path / "file").write_text("")
    kept, call = begin(tmp_path / "file" / "journal.db")
    assert not kept.flush(PATIENCE)
    call.begin("livekit:user_turn", "user_turn", None, {})
    finish(call)
    dealt_with(kept)
    (line,) = messages(caplog)
    assert "PREFACTOR_JOURNAL" in line


def test_a_full_disk_is_waited_out(path: Path, caplog) -> None:
    """The journal grows past the limit of the process, is written when there is room again."""
    body = """
    import logging, resource, signal
    from prefactor_agent.core import guard
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    assert kept.flush(60)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
    for number in range(40):
        turn = call.begin("livekit:user_turn", "t", None, {"n": number, "pad": "x" * 20_000})
        call.end(turn, Status.COMPLETE, {})
    while not guard.failures["journal.write"]:
        time.sleep(0.01)
    print("full", kept.flush(1.0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    call.end(call.root, Status.COMPLETE, {})
    print("room", kept.flush(60))
    """
    process = run(path, body)
    out, errors = process.communicate(timeout=PATIENCE)
    assert out.splitlines() == ["full False", "room True"]
    assert errors.count("\n") == 1, errors
    assert "cannot be written now" in errors
    assert len(Journal(path).call(Journal(path).find())) == 41


def test_what_does_not_fit_the_queue_is_counted_in_the_trace(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(writer, "QUEUE_LIMIT", 10)
    kept = JournalWriter(Settings(journal=path))
    with kept._round:  # the disk does not answer
        call = SpanTree(kept)
        call.announce({})
        for _ in range(30):
            call.end(call.begin("livekit:user_turn", "t", None, {}), Status.COMPLETE, {})
        finish(call)
    assert kept.flush(PATIENCE)
    spans = Journal(path).call(call.root.id)
    assert spans[0].result["lost_spans"] > 0
    assert all(span.status != "active" for span in spans), "a lost end leaves nothing open"


def test_writers_that_begin_at_once_agree_on_the_tables(path: Path) -> None:
    """Many writers that begin at once agree on one set of tables."""
    calls = [begin(path) for _ in range(8)]
    for kept, call in calls:
        finish(call)
        assert kept.flush(PATIENCE)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert len(Journal(path).sessions()) == 8


def test_a_locked_file_is_waited_for(path: Path, caplog, monkeypatch) -> None:
    caplog.set_level(logging.WARNING, logger="prefactor_agent")
    monkeypatch.setattr(writer, "BUSY_SECONDS", PATIENCE)
    kept, call = begin(path)
    assert kept.flush(PATIENCE)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    write, waiting, threads = kept._write, threading.Event(), set()

    def watched(batch: writer.Batch) -> None:
        threads.add(threading.current_thread().name)
        waiting.set()
        write(batch)

    monkeypatch.setattr(kept, "_write", watched)
    finish(call)
    assert waiting.wait(PATIENCE)
    assert Journal(path).sessions()[0].status == "active"
    blocker.execute("ROLLBACK")
    assert kept.flush(PATIENCE)
    assert threads == {"prefactor-journal"}, "the agent does not wait for the file"
    assert Journal(path).sessions()[0].status == "complete"
    assert messages(caplog) == []


def test_rows_are_json(path: Path) -> None:
    kept, call = begin(path)
    call.begin("livekit:user_turn", "t", None, {"lazy": lambda: ["worked out later"]})
    assert kept.flush(PATIENCE)
    with sqlite3.connect(path) as connection:
        (payload,) = connection.execute(
            "SELECT payload FROM spans WHERE type = 'livekit:user_turn'"
        ).fetchone()
    assert json.loads(payload) == {"lazy": ["worked out later"]}


def test_a_second_writer_does_not_let_another_process_take_the_wal_away(path: Path) -> None:
    first, call = begin(path)
    assert first.flush(PATIENCE)
    # Connections of one process share their locks on the file: the delivery's and the writer's.
    second, other = begin(path)
    assert second.flush(PATIENCE)
    read_and_close = (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version')"
    )
    subprocess.run([sys.executable, "-c", read_and_close, str(path)], check=True)
    finish(call)
    finish(other)
    assert first.flush(PATIENCE)
    assert second.flush(PATIENCE)
    script = """
        import sys
        from pathlib import Path
        from prefactor_agent.journal.reader import Journal
        print(*(session.status for session in Journal(Path(sys.argv[1])).sessions()))
    """
    read = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    seen = subprocess.run(read, capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["complete", "complete"]


def test_a_journal_waits_until_a_file_descriptor_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It passes, as a full disk does: the journal is not given up for it."""
    refused = [sqlite3.OperationalError("unable to open database file")]
    connect = schema.connect

    def refusing(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        if refused:
            raise refused.pop()
        return connect(*args, **kwargs)

    monkeypatch.setattr(schema, "connect", refusing)
    kept, call = begin(path)
    finish(call)
    assert kept.flush(PATIENCE)
    assert [span.status for span in Journal(path).call(call.root.id)] == ["complete"]
    assert [record.message for record in caplog.records if "waits in memory" in record.message]
    assert guard.failures.pop("journal.write") == 1


def test_a_flush_writes_when_no_thread_can_be_started(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is while Python 3.12.1 exits: what is put then is written by whoever flushes."""

    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refused)
    kept, call = begin(path)
    finish(call)
    assert kept.flush(PATIENCE)
    assert [span.status for span in Journal(path).call(call.root.id)] == ["complete"]


def test_a_journal_that_another_process_set_aside_is_not_set_aside_again(path: Path) -> None:
    """What is at the path by then is the new one, and stays."""
    mine, call = begin(path)
    assert mine.flush(PATIENCE)
    theirs, other = begin(path)
    assert theirs.flush(PATIENCE)
    path.rename(path.with_name("aside.db"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    finish(other)
    assert theirs.flush(PATIENCE)
    mine._set_aside(sqlite3.DatabaseError("malformed"), writer.Batch([], [], []))
    finish(call)
    assert mine.flush(PATIENCE)
    assert not list(path.parent.glob("*.corrupt-*"))
    assert {span.id for span in Journal(path).sessions()} == {call.root.id, other.root.id}


def test_a_file_that_a_newer_program_took_over_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.2)
    kept, call = begin(path, keep_days=0)
    finish(call)
    assert kept.flush(PATIENCE)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    until(lambda: kept._thread is None)
    SpanTree(kept).announce({})
    assert not kept.flush(PATIENCE)
    assert "no journal is written" in messages(caplog)[-1]


def test_the_thread_ends_although_the_end_of_a_span_was_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(writer, "QUEUE_LIMIT", 10)
    kept, call = begin(path)
    node = call.begin("livekit:tts", "tts", None, {}, streams={"text": Stream(0)})
    assert kept.flush(PATIENCE)
    with kept._round:  # the disk does not answer
        for _ in range(30):
            call.begin("livekit:user_turn", "t", None, {})
        call.end(node, Status.COMPLETE, {})
    finish(call)
    until(lambda: kept._thread is None)


def test_a_row_that_cannot_be_written_costs_no_other(path: Path) -> None:
    kept, call = begin(path)
    assert kept.flush(PATIENCE)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER odd BEFORE INSERT ON spans WHEN new.name = 'odd' "
            "BEGIN SELECT RAISE(ABORT, 'odd'); END"
        )
    connection.close()
    call.begin("livekit:user_turn", "odd", None, {})
    assert kept.flush(PATIENCE)
    finish(call)
    assert kept.flush(PATIENCE)
    assert not list(path.parent.glob("*.corrupt-*"))
    (session,) = Journal(path).call(call.root.id)
    assert session.result["lost_spans"] == 1
    assert guard.failures.pop("journal") == 1


def test_a_failing_callback_does_not_undo_a_write(path: Path) -> None:
    kept, call = begin(path)

    def told() -> None:
        raise OSError("no space left on device")

    kept.after_write = told
    text = Stream(call.root.started_ns)
    call.begin("livekit:tts", "tts", None, {}, streams={"text": text})
    text.add("once")
    finish(call)
    assert kept.flush(PATIENCE)
    (_, span) = Journal(path).call(call.root.id)
    assert span.stream("text")["text"] == ["once"]
    assert guard.failures.pop("journal") >= 1


def test_a_journal_that_was_begun_anew_is_not_set_aside(path: Path) -> None:
    """Two processes find the same damage: the second had looked before the first was done."""
    path.parent.mkdir()
    path.write_text("damaged")
    damaged = place.file_identity(path)
    assert damaged is not None
    aside: list[Path | None] = []
    with place._locked(path.parent):
        second = threading.Thread(target=lambda: aside.append(place.set_aside(path, damaged)))
        second.start()
        second.join(0.1)
        path.rename(path.with_name("aside.db"))
        path.write_text("new")
    second.join()
    assert (aside, path.read_text()) == ([None], "new")


def test_pruning_stops_when_there_is_something_to_write(path: Path) -> None:
    kept, _ = begin(path)
    for _ in range(3):
        call = SpanTree(kept)
        call.announce({})
        finish(call)
    assert kept.flush(PATIENCE)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 2

    assert retention.prune(path, days=0, limit=0, stop=stop).calls == 1
