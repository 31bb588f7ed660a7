"""The commands, run as a user runs them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deliver.calls import SPANS_PER_TURN, begin_call, end_call, user_turn, whole_call
from deliver.conftest import Side
from prefactor_agent.cli import operating as commands
from prefactor_agent.deliver.prefactor.target import clock_skew
from prefactor_agent.journal import place, retention
from prefactor_agent.journal.claims import FOREIGN_S
from prefactor_agent.journal.follow import Follower
from prefactor_agent.journal.process import this_process
from prefactor_agent.journal.reader import Journal
from support.prefactor_server import PrefactorServer
from support.waiting import PATIENCE
from view import commandline

WHOLE = 2 * SPANS_PER_TURN + 1


@pytest.fixture
def offline(tmp_path: Path, server: PrefactorServer) -> Side:
    """A process with no token."""
    return Side(tmp_path, server, api_token=None)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: PrefactorServer) -> None:
    for name in ("PREFACTOR_API_TOKEN", "PREFACTOR_API_URL", "PREFACTOR_AGENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(tmp_path / "journal.db"))


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, server: PrefactorServer) -> None:
    monkeypatch.setenv("PREFACTOR_API_URL", server.url)
    monkeypatch.setenv("PREFACTOR_API_TOKEN", server.token)


def run(*arguments: str, code: int = 0) -> str:
    done = commandline.run(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_json(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code))


def test_push_delivers_what_was_recorded_without_a_token(
    server: PrefactorServer, offline: Side, token: None
) -> None:
    whole_call(offline.writer)
    offline.writer.flush(PATIENCE)
    assert run("push", "--dry-run").strip() == f"{WHOLE} spans of 1 call to deliver to Prefactor"
    assert server.requests() == []
    assert run("push").strip() == f"{WHOLE} spans delivered to Prefactor, 1 call finished"
    assert run("push").strip() == "0 spans delivered to Prefactor, 0 calls finished"
    assert len(server.spans()) == WHOLE
    assert run_json("push", "--dry-run")["spans"] == 0
    assert server.violations() == []


def test_the_automatic_delivery_leaves_calls_alone_that_had_no_token(
    server: PrefactorServer, offline: Side, tmp_path: Path
) -> None:
    whole_call(offline.writer)
    offline.writer.flush(PATIENCE)
    side = Side(tmp_path, server)
    side.deliverer.start()
    whole_call(side.writer)
    assert side.flush()
    side.stop()
    assert len(server.instances()) == 1


def test_push_parked_tries_again(server: PrefactorServer, offline: Side, token: None) -> None:
    fault = server.fault("reject_type", schema_name="livekit:tts")
    whole_call(offline.writer)
    offline.writer.flush(PATIENCE)
    done = run_json("push", code=1)
    assert (done["spans"], done["parked"]) == (WHOLE - 2, 2)
    assert "2 x livekit:tts" in run("doctor", code=1)
    fault.clear()
    run("push")
    assert len(server.spans()) == WHOLE - 2
    # The service takes nothing for a call that has ended: they are parked again, with that reason.
    run("push", "--parked", code=1)
    assert "invalid_action" in run("doctor", code=1)


def test_push_parked_delivers_a_call_that_was_refused(
    server: PrefactorServer, offline: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFACTOR_API_URL", server.url)
    monkeypatch.setenv("PREFACTOR_API_TOKEN", server.account_token)
    monkeypatch.setenv("PREFACTOR_AGENT_ID", "no-such-agent")
    whole_call(offline.writer)
    offline.writer.flush(PATIENCE)
    run("push", code=1)
    assert "agent not found" in run("doctor", code=1)
    monkeypatch.setenv("PREFACTOR_AGENT_ID", server.agent_id)
    monkeypatch.setenv("PREFACTOR_ENVIRONMENT_ID", server.environment_id)
    run("push", "--parked")
    assert len(server.spans()) == WHOLE
    assert server.violations(ignore=("unknown_agent",)) == []
    run("doctor")


def test_push_says_in_one_line_what_is_wrong(
    server: PrefactorServer, offline: Side, monkeypatch: pytest.MonkeyPatch, token: None
) -> None:
    assert "no call has been traced yet" in run("push", code=1)
    whole_call(offline.writer)
    offline.writer.flush(PATIENCE)
    server.fault("refuse")
    assert "spans left" in run("push", "--patience", "0.2", code=1)
    server.clear_faults()
    monkeypatch.setenv("PREFACTOR_API_TOKEN", "hunter2")
    said = run("push", code=1)
    assert "does not accept the token" in said
    assert "hunter2" not in said
    monkeypatch.setenv("PREFACTOR_API_URL", "http://elsewhere.example")
    assert "unencrypted" in run("push", code=1)
    monkeypatch.delenv("PREFACTOR_API_TOKEN")
    assert "there is no token" in run("push", code=1)


def test_doctor_works_without_settings() -> None:
    said = run("doctor")
    assert "healthy" in said
    assert "PREFACTOR_API_TOKEN" in said


def test_doctor_says_that_all_is_in_order(
    server: PrefactorServer, offline: Side, token: None
) -> None:
    whole_call(offline.writer)
    offline.writer.flush(PATIENCE)
    assert f"not delivered to Prefactor: {WHOLE} spans of 1 call (" in run("doctor")
    run("push")
    told = run_json("doctor")
    assert told["healthy"] is True
    levels = {check["name"]: check["level"] for check in told["checks"]}
    assert levels == dict.fromkeys(
        ("url", "token", "clock", "journal", "tracer", "backlog", "versions"), "ok"
    )


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"PREFACTOR_API_TOKEN": "hunter2"}, "does not accept it"),
        ({"PREFACTOR_API_TOKEN": "hunter 2"}, "PREFACTOR_API_TOKEN holds a space"),
        ({"PREFACTOR_API_URL": "nowhere"}, "PREFACTOR_API_URL"),
        ({"PREFACTOR_API_URL": "http://127.0.0.1:9"}, "cannot be reached"),
        ({"PREFACTOR_CAPTURE_CONTENT": "perhaps"}, "PREFACTOR_CAPTURE_CONTENT"),
    ],
)
def test_doctor_finds_what_is_wrong(
    server: PrefactorServer,
    token: None,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    says: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    said = run("doctor", code=1)
    assert says in said
    assert "hunter" not in said


def test_doctor_names_a_page_in_the_place_of_prefactor(
    server: PrefactorServer, token: None
) -> None:
    server.fault("html", status=200)
    assert "not Prefactor" in run("doctor", code=1)


def test_doctor_checks_the_journal(tmp_path: Path, offline: Side) -> None:
    whole_call(offline.writer)
    offline.writer.flush(PATIENCE)
    journal = tmp_path / "journal.db"
    journal.chmod(0o644)
    assert "others can read it" in run("doctor", code=1)
    journal.chmod(0o600)
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "newer prefactor-agent" in run("doctor", code=1)
    (tmp_path / "other.db").write_bytes(b"not a database at all" * 500)
    for command in ("doctor", "push", "prune"):
        assert "is no journal" in run(command, "--journal", str(tmp_path / "other.db"), code=1)
    (tmp_path / "folder.db").mkdir()
    for command in ("doctor", "push", "prune"):
        assert "is a directory" in run(command, "--journal", str(tmp_path / "folder.db"), code=1)


def test_the_skew_of_a_clock_is_read_from_an_answers_date() -> None:
    date = "Sat, 21 Nov 2026 06:00:00 GMT"
    theirs = 1795240800.5
    assert clock_skew(date, theirs + 99, theirs + 101) == pytest.approx(100)
    assert clock_skew("yesterday", 0, 0) is None
    assert clock_skew(None, 0, 0) is None


def test_tail_follows_a_call(tmp_path: Path, offline: Side) -> None:
    follower = Follower(tmp_path / "journal.db")
    assert list(follower.look()) == [], "there is no journal yet"
    call = begin_call(offline.writer)
    offline.writer.flush(PATIENCE)
    [begun] = follower.look()
    assert (begun.what, begun.type) == ("begun", "livekit:session")
    user_turn(call, 1, "hello there")
    offline.writer.flush(PATIENCE)
    assert [(e.what, e.type, e.words) for e in follower.look()] == [
        ("ended", "livekit:user_turn", "hello there"),
        ("ended", "livekit:stt", "hello there"),
    ]
    end_call(call)
    offline.writer.flush(PATIENCE)
    [ended] = follower.look()
    line = commands.event_line(ended)
    assert "complete" in line
    with closing(Journal(tmp_path / "journal.db")) as journal:
        assert journal.find(line.split()[1]) == ended.session_id
    assert list(follower.look()) == []
    follower.close()


def test_tail_goes_on_with_a_new_journal(
    tmp_path: Path, server: PrefactorServer, offline: Side
) -> None:
    path = tmp_path / "journal.db"
    whole_call(offline.writer)
    offline.writer.flush(PATIENCE)
    follower = Follower(path)
    assert list(follower.look()) == []
    path.rename(tmp_path / "aside.db")
    assert list(follower.look()) == []
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    other = Side(fresh, server, api_token=None)
    whole_call(other.writer)
    other.writer.flush(PATIENCE)
    with sqlite3.connect(other.settings.journal) as connection:
        connection.execute("UPDATE spans SET payload = 'damaged' WHERE parent_id IS NULL")
        connection.commit()
        for name in ("journal.db-wal", "journal.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        connection.execute("VACUUM INTO ?", (str(path),))
    assert len(list(follower.look())) == WHOLE, "also what is damaged"
    follower.close()


def test_tail_prints_lines_until_its_time_is_over(
    offline: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += 1.0
        if now == 1.0:
            whole_call(offline.writer)
            assert offline.writer.flush(PATIENCE)

    monkeypatch.setattr(commands, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    done = commandline.run("tail", "--for", "1.5", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert now == 2.0
    journal = offline.settings.journal
    assert done.stderr == f"waiting for the first call: there is no journal at {journal} yet\n"
    assert len(lines) == WHOLE
    assert {line["what"] for line in lines} == {"ended"}
    now = 10.0
    assert run("tail", "--for", "0") == "", "what there is needs no waiting for"


def test_tail_says_first_what_each_target_has_not_got(
    tmp_path: Path, server: PrefactorServer, token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFACTOR_OTLP", "1")
    side = Side(tmp_path, server, otlp=True)
    whole_call(side.writer)
    assert side.writer.flush(PATIENCE)
    first = commandline.run("tail", "--for", "0", "--json")
    prefactor, otlp = first.stderr.splitlines()
    assert prefactor.startswith(f"{WHOLE} spans wait for Prefactor, the oldest since ")
    assert " wait for OpenTelemetry, the oldest since " in otlp
    assert first.stdout == ""
    run("push", "--to", "prefactor")
    [left] = run("tail", "--for", "0").splitlines()
    assert left == otlp


@pytest.mark.parametrize("command", ["push", "doctor", "tail", "prune"])
def test_the_help_names_what_an_option_takes(command: str) -> None:
    told = " ".join(run(command, "--help").split())
    assert "range" not in told
    assert "user's state directory" in told
    assert ("SECONDS" in told) == (command in ("push", "tail"))


def test_prune_keeps_what_is_young_and_what_waits(
    server: PrefactorServer, offline: Side, tmp_path: Path
) -> None:
    waiting = Side(tmp_path, server)  # it has a token, and does not deliver
    for writer in (offline.writer, waiting.writer):
        whole_call(writer)
        writer.flush(PATIENCE)
    assert run_json("prune")["calls"] == 0
    told = run_json("prune", "--days", "0", "--dry-run")
    assert (told["calls"], told["kept_undelivered"]) == (1, 1)
    told = run_json("prune", "--days", "0")
    assert (told["calls"], told["spans"], told["undelivered"]) == (1, WHOLE, 0)
    told = run_json("prune", "--days", "0", "--undelivered")
    assert (told["calls"], told["undelivered"]) == (1, WHOLE)
    journal = Journal(tmp_path / "journal.db")
    assert journal.sessions() == []
    journal.close()


def test_prune_takes_the_one_call_that_is_named(
    server: PrefactorServer, offline: Side, tmp_path: Path
) -> None:
    waiting = Side(tmp_path, server)  # it has a token, and does not deliver
    path = tmp_path / "journal.db"
    calls = (
        whole_call(offline.writer),
        whole_call(offline.writer),
        whole_call(waiting.writer),
        begin_call(offline.writer),
    )
    kept, gone, waits, runs = (call.root.id for call in calls)
    for writer in (offline.writer, waiting.writer):
        writer.flush(PATIENCE)
    files = (path, place.wal(path))
    assert gone.encode() in b"".join(file.read_bytes() for file in files)
    assert run_json("prune", gone, "--dry-run")["calls"] == 1
    told = run_json("prune", gone)
    assert (told["calls"], told["spans"], told["kept_undelivered"]) == (1, WHOLE, 0)
    assert gone.encode() not in b"".join(file.read_bytes() for file in files)
    told = run_json("prune", waits)
    assert (told["calls"], told["kept_undelivered"]) == (0, 1)
    assert run_json("prune", waits, "--undelivered")["undelivered"] == WHOLE
    for words, says in (
        ((runs,), f"{runs} still runs"),
        ((gone,), f"no call begins with '{gone}'"),
        ((kept, "--days", "0"), "a call, or --days and --megabytes"),
    ):
        commandline.assert_one_line(commandline.run("prune", *words), says)
    with closing(Journal(path)) as journal:
        assert {one.id for one in journal.sessions()} == {kept, runs}


def test_prune_takes_calls_whose_process_is_gone(
    server: PrefactorServer, offline: Side, tmp_path: Path
) -> None:
    """They are left open for ever where nothing is delivered."""
    path = tmp_path / "journal.db"
    waiting = Side(tmp_path, server)
    runs, gone, silent, elsewhere = (begin_call(offline.writer) for _ in range(4))
    wanted = begin_call(waiting.writer)
    offline.writer.flush(PATIENCE)
    waiting.writer.flush(PATIENCE)
    machine, pid, _ = this_process().rsplit("|", 2)
    with sqlite3.connect(path) as connection:
        for call in (gone, wanted):
            values = (f"{machine}|{pid}|1", call.root.id)
            connection.execute("UPDATE calls SET process = ? WHERE session_id = ?", values)
        for call in (silent, elsewhere):
            values = ("elsewhere|1|1", call.root.id)
            connection.execute("UPDATE calls SET process = ? WHERE session_id = ?", values)
        connection.execute(
            "UPDATE spans SET started_us = started_us - ? WHERE id = ?",
            (int(FOREIGN_S * 1e6), silent.root.id),
        )
    connection.close()
    told = run_json("prune", "--days", "0")
    assert (told["calls"], told["kept_undelivered"]) == (2, 1)
    assert run_json("prune", "--days", "0", "--undelivered")["calls"] == 1
    journal = Journal(path)
    assert {one.id for one in journal.sessions()} == {runs.root.id, elsewhere.root.id}
    journal.close()


def test_prune_gives_space_back_though_a_call_was_left_behind(
    tmp_path: Path, offline: Side
) -> None:
    path = tmp_path / "journal.db"
    whole_call(offline.writer, turns=200)
    left = begin_call(offline.writer)
    offline.writer.flush(PATIENCE)
    with sqlite3.connect(path) as connection:
        values = (this_process() + "1", left.root.id)
        connection.execute("UPDATE calls SET process = ? WHERE session_id = ?", values)
        values = (2 * 24 * 3600 * 1_000_000, left.root.id)
        connection.execute("UPDATE spans SET started_us = started_us - ? WHERE id <> ?", values)
    connection.close()
    assert run_json("prune", "--days", "1")["calls"] == 1
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    connection.close()
    assert not retention.is_due(path, days=1, limit=10**9)


def test_prune_takes_what_is_left_of_a_call_without_its_session(
    tmp_path: Path, offline: Side
) -> None:
    path = tmp_path / "journal.db"
    old, young = (begin_call(offline.writer) for _ in range(2))
    for call in (old, young):
        user_turn(call, 1, "hello")
    offline.writer.flush(PATIENCE)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM spans WHERE parent_id IS NULL")
        connection.execute("DELETE FROM calls")
        values = (int(FOREIGN_S * 1e6), old.root.id)
        connection.execute(
            "UPDATE spans SET started_us = started_us - ?1, finished_us = finished_us - ?1 "
            "WHERE session_id = ?2",
            values,
        )
    connection.close()
    told = run_json("prune", "--days", "0")
    assert (told["calls"], told["spans"]) == (1, 2)
    journal = Journal(path)
    assert journal.call(old.root.id) == []
    assert len(journal.call(young.root.id)) == 2
    journal.close()


def test_prune_by_size_takes_the_oldest(tmp_path: Path, offline: Side) -> None:
    calls = [whole_call(offline.writer, turns=40) for _ in range(5)]
    offline.writer.flush(PATIENCE)
    path = tmp_path / "journal.db"
    done = retention.prune(path, days=30, limit=retention.size(path) // 2)
    assert 0 < done.calls < 5
    assert done.bytes_after < done.bytes_before
    journal = Journal(path)
    kept = [session.id for session in journal.sessions()]
    assert calls[-1].root.id in kept
    assert calls[0].root.id not in kept
    assert len(journal.call(calls[-1].root.id)) == 40 * SPANS_PER_TURN + 1
    journal.close()
