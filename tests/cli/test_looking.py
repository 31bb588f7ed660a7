from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from livekit.agents import AgentSession, llm

import prefactor_agent
from prefactor_agent import TracedAgent, configure, traced_tool
from prefactor_agent.journal import process
from prefactor_agent.journal.process import this_process
from prefactor_agent.journal.reader import Journal
from prefactor_agent.replay import Recording, recording
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.digest import digest_of
from prefactor_agent.view.model.summarize import summarize
from prefactor_agent.view.terminal.listing import unique_beginning
from support.waiting import PATIENCE, until
from view.calls import session, spoken_call, task_call, unanswered_call
from view.commandline import START, assert_one_line, run
from view.journals import renamed, set_process, write
from view.report.report_calls import long

KEYS = [
    "session_id",
    "id",
    "parent_id",
    "type",
    "name",
    "status",
    "started_at",
    "finished_at",
    "duration_ms",
    "payload",
    "result",
]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write(tmp_path / "j.db", spoken_call())


# What it prints


def test_show_draws_the_last_call(journal: Path) -> None:
    done = run("show", "--journal", journal)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1.00 s of it look_up · interrupted" in done.stdout
    assert max(map(len, done.stdout.splitlines())) == 80


def test_a_pipe_gets_no_control_sequences(journal: Path) -> None:
    for arguments in (["show"], ["sessions"], ["show", "--width", "120"]):
        done = run(*arguments, journal=journal, TERM="xterm-256color")
        assert done.returncode == 0
        assert "\x1b" not in done.stdout
        assert "\r" not in done.stdout


def test_no_color_is_obeyed_on_a_terminal(journal: Path) -> None:
    coloured = run("show", journal=journal, FORCE_COLOR="1", TERM="xterm-256color")
    assert re.search(r"\x1b\[[0-9;]*3[0-7]", coloured.stdout)
    plain = run("show", journal=journal, FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")
    assert not re.search(r"\x1b\[([0-9]+;)*(3|4|9)[0-7]", plain.stdout)


def test_the_width_follows_the_option_and_the_terminal(journal: Path) -> None:
    wide = run("show", "--width", "120", journal=journal).stdout
    assert max(map(len, wide.splitlines())) == 120
    narrow = run("show", "--width", "20", journal=journal).stdout
    assert max(map(len, narrow.splitlines())) == 60
    assert max(map(len, run("show", journal=journal, COLUMNS="100").stdout.splitlines())) == 100
    assert max(map(len, run("show", journal=journal, COLUMNS="0").stdout.splitlines())) == 80


def test_an_output_without_box_drawing_gets_ascii(journal: Path) -> None:
    done = run("show", journal=journal, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "##" in done.stdout


def test_show_writes_an_svg(journal: Path, tmp_path: Path) -> None:
    done = run("show", "--svg", tmp_path / "call.svg", journal=journal)
    assert (done.returncode, done.stdout) == (0, "")
    ElementTree.parse(tmp_path / "call.svg")


def test_show_prints_one_json_object(journal: Path) -> None:
    told = json.loads(run("show", "--json", journal=journal).stdout)
    (turn,) = told["turns"]
    assert told["agent"] == "Concierge"
    assert (turn["user"], turn["agent"]) == ("Where is order 42?", "It ships on Friday.")
    assert (turn["unspoken"], turn["silence_ms"]) == ("Anything else?", 2400.0)
    assert turn["slowest"] == {"stage": "look_up", "ms": 1000.0}
    assert [s["at_ms"] for s in turn["stages"] if s["stage"] == "llm"] == [2600.0, 4000.0]


def test_show_refuses_what_its_json_would_leave_out(journal: Path, tmp_path: Path) -> None:
    picture = tmp_path / "call.svg"
    for more in (("--at", "14:05"), ("--svg", picture)):
        assert_one_line(run("show", "--json", *more, journal=journal), "--json", str(more[0]))
    assert not picture.exists()


def test_sessions_lists_the_newest_first(tmp_path: Path) -> None:
    later = [*renamed(unanswered_call(), "01m7yctfzzzz")]
    path = write(tmp_path / "j.db", spoken_call(), later)
    lines = run("sessions", journal=path).stdout.splitlines()
    assert lines[0].split() == [
        "call", "when", "agent", "room", "length", "dead", "air", "turns", "err", "cut", "status",
    ]  # fmt: skip
    assert lines[1].split()[0] == "01m7yctfz"
    assert lines[2].split() == [
        "01m7yctfy", "21", "Nov", "06:31", "Concierge", "lobby", "10.0", "s", "2.40", "s", "1", "1",
        "ended",
    ]  # fmt: skip
    assert len(run("sessions", "--limit", "1", journal=path).stdout.splitlines()) == 2
    printed = run("sessions", "--json", journal=path).stdout
    told = [json.loads(line) for line in printed.splitlines()]
    assert [call["id"] for call in told] == ["01m7yctfzzzz", spoken_call()[0].id]
    assert told[1]["interrupted"] == 1


def test_sessions_shows_the_longest_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "j.db", task_call())  # of 700 and of 300 ms
    assert " 700 ms " in run("sessions", journal=path).stdout


def test_sessions_finds_the_calls_of_a_time(tmp_path: Path) -> None:
    hour_later = [
        replace(
            span,
            started_us=span.started_us + 3_600_000_000,
            finished_us=span.finished_us and span.finished_us + 3_600_000_000,
        )
        for span in renamed(spoken_call(), "01m7zzzz")
    ]
    path = write(tmp_path / "j.db", spoken_call(), hour_later)

    def at(when: str) -> list[str]:
        printed = run("sessions", "--json", "--at", when, journal=path).stdout
        return [json.loads(line)["id"] for line in printed.splitlines()]

    first, second = spoken_call()[0].id, hour_later[0].id  # from 06:31:12 and 07:31:12, for 10 s
    assert (
        at("2026-11-21T06:31") == at("2026-11-21T06:31:20") == at("2026-11-21T06:32:20") == [first]
    )
    assert at("2026-11-21T07:31Z") == at("2026-11-21 09:31+02:00") == [second]
    assert at("2026-11-21T06:33") == at("2026-11-21T07:30") == []
    assert run("sessions", "--at", "2026-11-21", journal=path).stdout.startswith("No call went on")


def test_sessions_finds_the_calls_in_which_something_failed(tmp_path: Path) -> None:
    broken, died = renamed(spoken_call(), "01m7zzzz"), renamed(spoken_call(), "01m7yyyy")
    broken[-1] = replace(broken[-1], type="livekit:error", status="failed")
    died[0] = replace(died[0], status="failed", result={**died[0].result, "status": "failed"})
    path = write(tmp_path / "j.db", spoken_call(), broken, died)
    printed = run("sessions", "--json", "--failed", journal=path).stdout
    listed = {json.loads(line)["id"] for line in printed.splitlines()}
    assert listed == {broken[0].id, died[0].id}
    assert len(run("sessions", "--json", journal=path).stdout.splitlines()) == 3
    whole = write(tmp_path / "whole.db", spoken_call())
    assert run("sessions", "--failed", journal=whole).stdout.startswith("No call failed:")


def test_a_time_of_day_is_the_last_one(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    begun_us = round((now - timedelta(hours=2)).timestamp() * 1e6)
    by_us = begun_us - spoken_call()[0].started_us
    call = [
        replace(
            span,
            started_us=span.started_us + by_us,
            finished_us=span.finished_us and span.finished_us + by_us,
        )
        for span in spoken_call()
    ]
    path = write(tmp_path / "j.db", call)
    for hours, found in ((-2, 1), (-4, 0), (1, 0)):
        clock = f"{now + timedelta(hours=hours):%H:%M}"
        printed = run("sessions", "--json", "--at", clock, journal=path).stdout
        assert len(printed.splitlines()) == found, clock


def test_show_draws_the_turns_of_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "j.db", long(20, 1200, 400))  # from 06:31:12, a turn each two minutes

    def at(when: str) -> list[str]:
        printed = run("show", "--at", when, journal=path).stdout
        assert "10 turns" in printed, "the head is of the whole call"
        return re.findall(r"── turn (\d+) at", printed)

    assert at("6:37") == at("06:37:00") == at("2026-11-21T06:37") == ["3", "4"]
    assert at("06:31") == at("6:32") == ["1"]
    assert at("06:00") == at("2026-11-20T06:36") == []
    done = run("show", "--at", "06:00", journal=path)
    assert done.stdout.splitlines()[-1] == "Nothing went on then."
    assert_one_line(run("show", "--at", "noon", journal=path), "--at takes a time (14:05)")


def test_sessions_names_the_pages_that_are_here(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "page of" not in run("sessions", journal=journal).stdout
    assert json.loads(run("sessions", "--json", journal=journal).stdout)["report"] is None
    written = run("report", journal=journal).stdout.strip()
    assert (
        run("sessions", journal=journal).stdout.splitlines()[-1] == f"page of 01m7yctf  {written}"
    )
    told = json.loads(run("sessions", "--json", journal=journal).stdout)
    assert told["report"] == str(tmp_path / written)
    coloured = run("sessions", journal=journal, FORCE_COLOR="1", TERM="xterm-256color").stdout
    assert "]8;id=" in coloured
    assert (tmp_path / written).as_uri() in coloured


def test_sessions_works_in_a_directory_that_was_deleted(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    done = run("sessions", journal=journal)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Concierge" in done.stdout


def test_a_call_without_an_end_runs_as_long_as_its_process_lives(tmp_path: Path) -> None:
    path = write(tmp_path / "j.db", unanswered_call())  # its last sign is long past, or to come
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    own = this_process().split("|")
    birth = process.born(child.pid)
    try:
        set_process(path, f"{own[0]}|{child.pid}|{birth}")
        assert run("sessions", journal=path).stdout.split()[-1] == "running"
        assert "\nstill running\n" in run("show", journal=path).stdout
        assert "still running" in report_of(path, tmp_path)
    finally:
        child.kill()
        child.wait()
    assert " no end" in run("sessions", journal=path).stdout
    assert json.loads(run("sessions", "--json", journal=path).stdout)["status"] == "lost"
    assert "no end was recorded: its process died" in run("show", journal=path).stdout
    assert "no end was recorded: its process died" in report_of(path, tmp_path)


def test_a_call_of_another_machine_runs_until_it_has_been_silent(tmp_path: Path) -> None:
    now = round((time.time() - 60) * 1e6)
    call = unanswered_call()
    moved = [replace(span, started_us=span.started_us - call[0].started_us + now) for span in call]
    path = write(
        tmp_path / "j.db", [replace(s, finished_us=s.finished_us and s.started_us) for s in moved]
    )
    set_process(path, "elsewhere|1|1")
    assert run("sessions", journal=path).stdout.split()[-1] == "running"


def report_of(path: Path, folder: Path) -> str:
    assert run("report", "-o", folder / "r.html", journal=path).returncode == 0
    return (folder / "r.html").read_text(encoding="utf-8")


def test_counting_a_call_needs_no_chunks(tmp_path: Path) -> None:
    path = write(tmp_path / "j.db", spoken_call(), renamed(unanswered_call(), "01m7zzzz"))
    journal = Journal(path)
    for id_ in journal.ids_around():
        assert digest_of(journal, id_, 0).summary == summarize(build(journal.call(id_)), 0)


def test_shown_beginnings_of_ids_name_one_call() -> None:
    assert unique_beginning(["01m7yctfytk4", "01m7yctfytm4"]) == 11
    assert unique_beginning(["01m7yctfytk4"]) == 8
    assert unique_beginning(["abc", "abcdefghijk"]) == 8


def test_export_has_every_key_in_order(journal: Path, tmp_path: Path) -> None:
    done = run("export", journal=journal)
    spans = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(spans) == len(spoken_call())
    assert all(list(span) == KEYS for span in spans)
    (tool,) = [span for span in spans if span["type"] == "livekit:tool:look_up"]
    assert (tool["started_at"], tool["duration_ms"]) == ("2026-11-21T06:31:15.000000Z", 1000.0)
    (tts,) = [span for span in spans if span["type"] == "livekit:tts"]
    assert tts["result"]["streams"]["text"]["offset_us"] == [200_000]
    assert run("export", "--json", journal=journal).stdout == done.stdout
    assert run("export", "-o", tmp_path / "x.jsonl", journal=journal).stdout == ""
    assert (tmp_path / "x.jsonl").read_text(encoding="utf-8") == done.stdout


def test_export_writes_a_chrome_trace(journal: Path, tmp_path: Path) -> None:
    done = run("export", "--format", "chrome-trace", "-o", tmp_path / "t.json", journal=journal)
    assert (done.returncode, done.stdout) == (0, "")
    trace = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert trace["otherData"]["session_id"] == spoken_call()[0].id
    assert {event["ph"] for event in trace["traceEvents"]} == {"M", "X", "i", "C"}


def test_export_takes_a_call_that_has_not_ended(tmp_path: Path) -> None:
    path = write(tmp_path / "j.db", unanswered_call())
    root = json.loads(run("export", journal=path).stdout.splitlines()[0])
    assert (root["status"], root["finished_at"], root["duration_ms"]) == ("active", None, None)
    assert root["result"] == {}


def test_export_is_one_line_a_span_whatever_was_said(tmp_path: Path) -> None:
    call = spoken_call()
    call[0].payload["agent_class"] = "a\u2028b\u2029c\x85d\nñ\u202e"
    path = write(tmp_path / "j.db", call)
    done = run("export", journal=path, PYTHONIOENCODING="ascii")
    assert len(done.stdout.splitlines()) == len(call)
    root = json.loads(done.stdout.splitlines()[0])
    assert root["payload"]["agent_class"] == "a\u2028b\u2029c\x85d\nñ\u202e"
    assert "ñ" in done.stdout


def test_export_writes_a_file_to_replay(journal: Path, tmp_path: Path) -> None:
    file = tmp_path / "call.json"
    done = run("export", "--format", "replay", "-o", file, journal=journal)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = file.read_text(encoding="utf-8")
    assert Recording.model_validate_json(text) == recording(spoken_call())
    assert run("export", "--format", "mp3", journal=journal).returncode == 2
    nowhere = tmp_path / "no" / "call.json"
    refused = run("export", "--format", "replay", "-o", nowhere, journal=journal)
    assert_one_line(refused, "call.json", "No such file or directory")


def test_export_refuses_a_call_that_cannot_be_replayed(tmp_path: Path) -> None:
    call = spoken_call()
    (said,) = [span for span in call if span.type == "livekit:user_turn"]
    said.result["transcript"] = "<35 characters>"
    path = write(tmp_path / "j.db", call)
    done = run("export", "--format", "replay", "-o", tmp_path / "call.json", journal=path)
    assert_one_line(done, "cannot be replayed", "what the caller said (turn 1)")
    assert not (tmp_path / "call.json").exists()


def test_stats_prints_json(tmp_path: Path) -> None:
    latency = {"perceived_ms": 900.0, "stages": [{"name": "vad", "ms": 900.0}]}
    call = [
        replace(span, result={**span.result, "latency": latency})
        if span.type == "livekit:assistant_turn"
        else span
        for span in spoken_call()
    ]
    [line] = run("stats", "--json", journal=write(tmp_path / "j.db", call)).stdout.splitlines()
    told = json.loads(line)
    keys = ["calls", "turns", "over_budget", "unanswered", "stages", "gaps", "pickup", "cost"]
    assert list(told) == keys
    perceived, vad = told["stages"]
    assert list(perceived) == ["name", "count", "median_ms", "p95_ms", "worst_ms"]
    assert (perceived["name"], vad["name"], vad["worst_ms"]) == ("perceived", "vad", 900.0)


@pytest.mark.parametrize("which", [["--agent", "Nobody"], ["--version", "9"], ["--since", "0m"]])
def test_stats_says_that_no_call_matches(which: list[str], journal: Path) -> None:
    done = run("stats", *which, journal=journal)
    assert done.stdout.startswith("No such call has an answered turn: prefactor-agent sessions")
    assert json.loads(run("stats", "--json", *which, journal=journal).stdout)["turns"] == 0


def test_the_beginning_of_an_id_names_a_call(journal: Path) -> None:
    assert run("show", "01m7", journal=journal).returncode == 0
    assert run("export", spoken_call()[0].id, journal=journal).returncode == 0


def test_version_and_help_are_printed() -> None:
    assert run("--version").stdout == f"prefactor-agent {prefactor_agent.__version__}\n"
    shown = run("--help").stdout
    commands = shown.partition("Commands:")[2]
    assert all(name in commands for name in ("sessions", "show", "export"))
    assert "..." not in commands, "what a command does is told in one line"


def test_wrong_use_prints_a_usage_line() -> None:
    done = run("show", "--no-such-option")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


# What it cannot do


COMMANDS = pytest.mark.parametrize("command", ["sessions", "show", "export", "report", "stats"])
VIEWS = pytest.mark.parametrize(
    "command",
    [
        "show",
        "show --json",
        "report",
        "export",
        "export --format chrome-trace",
        "sessions",
        "stats",
    ],
)
CALLS = {
    "no turns": [session()],
    "no turns, running": [session(None)],
    "no session": spoken_call()[1:],
    "one open span": [replace(session(None), payload={})],
    "an open span alone": [replace(unanswered_call()[4], parent_id=None)],
    "missing parents": [session(), *(replace(s, parent_id="gone") for s in spoken_call()[1:])],
    "killed": unanswered_call(),
}


@VIEWS
@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_is_not_whole_is_shown(
    command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "j.db", CALLS[name])
    done = run(*command.split(), journal=path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout or (command, name) == ("sessions", "no session")


@VIEWS
def test_an_unknown_call_is_named_in_one_line(command: str, journal: Path) -> None:
    if command not in ("sessions", "stats"):
        done = run(*command.split(), "01zzz", journal=journal)
        assert_one_line(done, "no call begins with '01zzz': see prefactor-agent sessions")


@COMMANDS
def test_a_missing_journal_is_named_in_one_line(command: str, tmp_path: Path) -> None:
    done = run(command, journal=tmp_path / "none" / "j.db")
    assert_one_line(done, "no call has been traced yet", str(tmp_path))


EACH = pytest.mark.parametrize(
    "command", ["show", "sessions", "ui", "push", "doctor", "tail", "prune"]
)


@EACH
def test_an_unknown_home_directory_is_named_in_one_line(command: str) -> None:
    done = run(command, PREFACTOR_JOURNAL="~no-such-user/j.db")
    why = "no home directory is known for ~no-such-user/j.db: set PREFACTOR_JOURNAL to an absolute"
    if command == "doctor":
        assert why in done.stdout
    else:
        assert_one_line(done, why)


@EACH
def test_the_journal_option_expands_a_home_directory(command: str, tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"no journal" * 500)
    words = ["tail", "--for", "0"] if command == "tail" else [command]
    done = run(*words, "--journal", "~/j.db", HOME=str(tmp_path))
    assert f"{tmp_path}/j.db " in done.stderr + done.stdout
    done = run(command, "--journal", "~no-such-user/j.db")
    assert_one_line(done, "no home directory is known for ~no-such-user/j.db")


@COMMANDS
def test_an_empty_journal_is_named_in_one_line(command: str, tmp_path: Path) -> None:
    (tmp_path / "j.db").touch()
    assert_one_line(run(command, journal=tmp_path / "j.db"), "no call has been traced yet")
    path = write(tmp_path / "tables.db")
    assert_one_line(run(command, journal=path), "no call has been traced yet")


@COMMANDS
def test_a_newer_journal_is_refused_in_one_line(command: str, journal: Path) -> None:
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert_one_line(run(command, journal=journal), "newer prefactor-agent")


@COMMANDS
def test_another_file_is_refused_in_one_line(command: str, tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"this is no database at all" * 400)
    assert_one_line(run(command, journal=tmp_path / "j.db"), "is no journal")


@COMMANDS
def test_a_truncated_journal_is_named_in_one_line(command: str, journal: Path) -> None:
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    os.truncate(journal, 4096)
    assert_one_line(run(command, journal=journal), str(journal))


@COMMANDS
def test_a_directory_is_refused_in_one_line(command: str, tmp_path: Path) -> None:
    assert_one_line(run(command, journal=tmp_path), "is a directory")


@COMMANDS
def test_a_locked_journal_is_named_in_one_line(command: str, journal: Path) -> None:
    holder = sqlite3.connect(journal, isolation_level=None)
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert_one_line(run(command, journal=journal), "locked by another program")
    finally:
        holder.close()


def test_a_path_can_have_any_characters(tmp_path: Path) -> None:
    folder = tmp_path / "50% #1 what?"
    folder.mkdir()
    path = write(folder / "my calls.db", spoken_call())
    path.chmod(0o600)
    for arguments in (["show"], ["sessions"], ["stats"], ["doctor"], ["tail", "--for", "0.1"]):
        done = run(*arguments, journal=path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert [file.name for file in tmp_path.rglob("*.db")] == [path.name]


def test_a_wrong_id_is_named_in_one_line(journal: Path) -> None:
    assert_one_line(run("show", "zzz", journal=journal), "no call begins with 'zzz'")
    assert_one_line(run("export", "%", journal=journal), "no call begins with '%'")
    assert_one_line(run("show", "\udcff\udcfe", journal=journal), "no call begins with")


@pytest.mark.parametrize("words", ["sessions -n 99999999999999999999", "tail --interval inf"])
def test_a_number_that_is_too_large_is_refused(words: str, journal: Path) -> None:
    done = run(*words.split(), journal=journal)
    assert done.returncode == 2
    assert "less than or equal" in done.stderr or "range" in done.stderr


@pytest.mark.parametrize("since", ["²d", "9" * 400 + "d"])
def test_an_impossible_age_is_refused_in_one_line(since: str, journal: Path) -> None:
    assert_one_line(run("stats", "--since", since, journal=journal), "--since takes a time")


@pytest.mark.parametrize("words", ["--days inf", "--days 1e300", "--megabytes inf"])
def test_prune_refuses_an_impossible_number(words: str, journal: Path) -> None:
    assert_one_line(run("prune", *words.split(), journal=journal), "takes a number up to 1000")


def test_an_ambiguous_beginning_lists_the_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "j.db", spoken_call(), renamed(unanswered_call(), "01m7zzzz"))
    assert_one_line(run("show", "01m7", journal=path), "01m7zzzz", "give more of the id")


def test_a_wrong_setting_is_named_by_the_command(journal: Path) -> None:
    done = run("show", journal=journal, PREFACTOR_DISABLED="perhaps")
    assert_one_line(done, "PREFACTOR_DISABLED must be true or false")


def test_a_place_that_cannot_be_written_is_named(journal: Path, tmp_path: Path) -> None:
    trace = ["export", "--format", "chrome-trace", "-o"]
    for arguments in (["export", "-o"], trace, ["show", "--svg"], ["report", "-o"]):
        another = f"choose another with {arguments[-1]}"
        missing = tmp_path / "no" / "x"
        done = run(*arguments, missing, journal=journal)
        assert_one_line(done, f"{missing} cannot be written (No such file or directory)", another)
        done = run(*arguments, tmp_path, journal=journal)
        assert_one_line(done, f"{tmp_path} cannot be written (Is a directory)", another)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_named_in_one_line(journal: Path) -> None:
    done = run("export", "-o", "/dev/full", journal=journal)
    assert_one_line(done, "/dev/full cannot be written (No space left on device)")


def test_a_reader_that_leaves_early_ends_the_command(tmp_path: Path) -> None:
    calls = [renamed(spoken_call(), f"{index:04}") for index in range(400)]
    path = write(tmp_path / "j.db", *calls)
    for arguments in ("sessions --limit 400", "sessions --limit 400 --json", "export", "show"):
        done = subprocess.run(
            f'{sys.executable} -c "{START}" {arguments} --journal {path} | true',
            shell=True,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("", ""), arguments


def test_a_command_works_without_an_output(journal: Path) -> None:
    for arguments in ("sessions", "show --json"):
        done = subprocess.run(
            f'{sys.executable} -c "{START}" {arguments} --journal {journal} >&-',
            shell=True,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), arguments


def test_the_program_runs_in_a_process_of_its_own(journal: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, "sessions", "--journal", journal],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=True,
    )
    assert "Concierge" in done.stdout
    assert done.stderr == ""


def test_sessions_says_at_a_terminal_how_to_go_on(journal: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-c", START, "sessions", "--journal", str(journal)]
    with subprocess.Popen(arguments, stdout=theirs, close_fds=True) as process:
        assert process.wait(PATIENCE) == 0
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        assert b"prefactor-agent ui shows all" in terminal.read(8_000)
    assert "prefactor-agent ui" not in run("sessions", journal=journal).stdout


def test_the_program_starts_without_livekit() -> None:
    modules = "import sys, prefactor_agent.cli, prefactor_agent.view.terminal.waterfall as w; " + (
        "print([m for m in sys.modules if m in ('livekit', 'numpy', 'pydantic', 'aiohttp')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", modules], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "[]\n"


def test_the_package_gives_its_names_when_they_are_used() -> None:
    for name in prefactor_agent.__all__:
        assert getattr(prefactor_agent, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = getattr(prefactor_agent, "no_such_name")  # noqa: B009


# A real call


class _Stream(llm.LLMStream):
    async def _run(self) -> None:
        if self._chat_ctx.items[-1].type == "message":
            call = llm.FunctionToolCall(name="look_up", arguments='{"order": 42}', call_id="c1")
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))
            return
        for word in ("It ships ", "on Friday."):
            delta = llm.ChoiceDelta(role="assistant", content=word)
            self._event_ch.send_nowait(llm.ChatChunk(id="2", delta=delta))


class _Model(llm.LLM):
    def chat(self, *, chat_ctx, tools=None, conn_options=None, **_):  # type: ignore[no-untyped-def]
        return _Stream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Clerk(TracedAgent):
    @traced_tool
    async def look_up(self, order: int) -> str:
        """Look an order up."""
        return "Friday"


async def test_a_real_session_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "real.db"
    configure(journal=path, budgets={"perceived": 60})
    async with _Model() as model:
        session: AgentSession[None] = AgentSession(llm=model)
        await session.start(_Clerk(instructions="x"))
        await session.run(user_input="Where is order 42?")
        while_running = _settled(path)
        await session.aclose()
    assert "still running" in while_running
    shown = _settled(path, "ended by the program")
    assert "“Where is order 42?”" in shown
    assert "“It ships on Friday.”" in shown
    assert 'order=42 → "Friday"' in shown
    assert "1 turn · 1 tool call · 0 interruptions · 0 errors" in shown
    assert run("sessions", journal=path).stdout.split()[-1] == "ended"
    spans = [json.loads(line) for line in run("export", journal=path).stdout.splitlines()]
    _assert_documented(spans)
    assert spans[0]["payload"]["budgets"] == {"perceived": 60}


def _assert_documented(spans: list[dict[str, Any]]) -> None:
    format_ = (Path(__file__).parents[2] / "docs" / "trace-format.md").read_text()
    words = set(re.findall(r"\w+", " ".join(re.findall(r"(?<!`)`[^`\n]+`", format_))))
    for span in spans:
        keys = {*span["payload"], *span["result"], *span["result"].get("moments_us", {})}
        for stream in span["result"].get("streams", {}).values():
            keys |= set(stream)
        assert keys <= words, (span["type"], keys - words)


def _settled(path: Path, *parts: str) -> str:
    """What ``show`` says once the journal, written in the background, has all of it."""
    shown = ""

    def settled() -> bool:
        nonlocal shown
        shown = run("show", journal=path).stdout
        return bool(shown) and all(part in shown for part in parts)

    until(settled)
    return shown
