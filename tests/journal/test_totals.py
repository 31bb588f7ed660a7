"""The totals: each span counts once, whatever happens to it, to its process and to the journal."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.counted import count, row
from prefactor_agent.config import Settings
from prefactor_agent.core.span import Status
from prefactor_agent.journal import lost_calls, retention, schema, totals
from prefactor_agent.journal.inserts import Batch, write
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.metrics import series
from prefactor_agent.metrics.series import MOST_VALUES
from prefactor_agent.record.spans.tree import SpanTree
from prefactor_agent.stored.span import StoredSpan
from support.waiting import PATIENCE
from view import calls
from view.commandline import run
from view.journals import set_process

AGENT = "Concierge"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def counted(path: Path, name: str, *labels: str) -> float | None:
    return totals.read(path).counts.get((name, labels))


def outcomes(path: Path) -> dict[str, float]:
    return {
        labels[1]: amount
        for (name, labels), amount in totals.read(path).counts.items()
        if name == series.CALLS
    }


def open_call() -> list[StoredSpan]:
    """A call in the middle of an answer, with a tool at work."""
    return [
        calls.session(None),
        *calls.over_budget_call()[1:],
        calls.span("t2", "tool:look_up", 9000, None, "a1", name="look_up"),
    ]


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(1, 4_000_000), min_size=1, max_size=4), max_size=12))
def test_the_totals_say_what_stats_says(made: list[list[int]]) -> None:
    """Of silences whose stages took so many microseconds."""
    names = ("endpointing", "llm_ttft", "tts_ttfb", "playback")
    spans = [calls.session()]
    for n, stages in enumerate(made):
        spans += [
            calls.question(f"u{n}", n, n, "And?"),
            calls.answer(
                f"a{n}",
                n,
                n + 1,
                user_turn_id=f"u{n}",
                finished_at=1.0,
                latency={
                    "perceived_ms": sum(stages) / 1000,
                    "stages": [
                        {"name": name, "ms": us / 1000}
                        for name, us in zip(names, stages, strict=False)
                    ],
                },
            ),
        ]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        count(path, spans)
        found = totals.read(path)
        stats = json.loads(run("stats", "--json", journal=path).stdout)
    buckets, seconds = found.lengths.get((series.DEAD_AIR, (AGENT,)), ({}, 0.0))
    assert sum(buckets.values()) == stats["turns"] == len(made)
    assert round(seconds * 1e6) == sum(map(sum, made))
    for bound in series.SERIES[series.DEAD_AIR].bounds:
        below = sum(n for le, n in buckets.items() if le <= bound)
        assert below == sum(sum(stages) <= bound * 1e6 for stages in made)
    of_stages = {key[1][1]: of for key, of in found.lengths.items() if key[0] == series.STAGE}
    assert sum(round(took * 1e6) for _, took in of_stages.values()) == round(seconds * 1e6)
    for line in stats["stages"][1:]:
        assert sum(of_stages[line["name"]][0].values()) == line["count"]


def test_a_span_that_is_written_again_counts_once(path: Path) -> None:
    call = calls.over_budget_call()
    assert count(path, call)
    assert count(path, call) == []
    assert outcomes(path) == {"complete": 1}


def test_a_span_counts_when_it_ends(path: Path) -> None:
    turn = calls.answer("a1", 1000, 2000)
    active = replace(turn, status="active", finished_us=None, result={})
    assert count(path, [calls.session(None), active]) == []
    assert counted(path, series.TURNS, AGENT, "agent") is None
    count(path, [turn])
    assert counted(path, series.TURNS, AGENT, "agent") == 1


def test_what_could_not_be_written_did_not_count(path: Path) -> None:
    count(path, [calls.session(None)])
    with closing(schema.connect(path, 5.0)) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON chunks BEGIN SELECT raise(ABORT, 'full'); END"
        )
        rows = [row(calls.answer("a1", 1000, 2000))]
        broken = Batch(rows, [("a1", "text", "{}")], [])
        with pytest.raises(sqlite3.Error):
            write(connection, broken, wanted=False, counted=True)
        assert totals.read(path).counts == {}
        connection.execute("DROP TRIGGER full")
        write(connection, broken, wanted=False, counted=True)
    assert counted(path, series.TURNS, AGENT, "agent") == 1


def test_what_the_end_of_a_call_finds_open_is_lost(path: Path) -> None:
    count(path, open_call(), [calls.session()])
    assert outcomes(path) == {"complete": 1}
    assert counted(path, series.TOOL_CALLS, "look_up", "lost") == 1
    late = calls.span("t2", "tool:look_up", 9000, 9500, "a1", name="look_up")
    assert count(path, [late]) == [], "its end comes after all"


def test_a_killed_call_counts_once_it_is_found(path: Path) -> None:
    count(path, open_call())
    set_process(path, None)
    assert outcomes(path) == {}
    lost_calls.count_lost_calls(path, 1.0)
    assert outcomes(path) == {"lost": 1}, "it was written minutes ago, by nobody knows whom"
    lost_calls.count_lost_calls(path, 1.0)
    outbox = Outbox(path)
    outbox.end_left_behind(calls.SESSION)
    outbox.end_left_behind(calls.SESSION)
    outbox.close()
    assert outcomes(path) == {"lost": 1}
    assert counted(path, series.TOOL_CALLS, "look_up", "lost") == 1
    assert counted(path, series.TURNS, AGENT, "agent") == 1


def test_a_killed_call_that_is_delivered_counts_once(path: Path) -> None:
    count(path, open_call())
    outbox = Outbox(path)
    outbox.end_left_behind(calls.SESSION)
    outbox.close()
    set_process(path, None)
    lost_calls.count_lost_calls(path, 1.0)
    assert outcomes(path) == {"lost": 1}


def test_a_call_that_runs_is_not_lost(path: Path) -> None:
    count(path, open_call())
    lost_calls.count_lost_calls(path, 1.0)
    assert outcomes(path) == {}


def test_a_call_that_was_taken_for_lost_and_goes_on_counts_once(path: Path) -> None:
    count(path, open_call())
    set_process(path, None)
    lost_calls.count_lost_calls(path, 1.0)
    count(path, [calls.session()])
    assert outcomes(path) == {"lost": 1}


def test_pruning_lowers_nothing(path: Path) -> None:
    count(path, calls.over_budget_call())
    before = totals.read(path)
    assert retention.prune(path, days=0, limit=1 << 30).calls == 1
    assert totals.read(path) == before


def test_names_that_are_made_anew_for_each_call_have_a_limit(path: Path) -> None:
    many = MOST_VALUES + 20
    tools = [calls.span(f"t{n}", "tool", 1, 2, name=f"tool-{n}") for n in range(many)]
    count(path, [calls.session(None), *tools[:30]], tools[30:])
    count(path, [calls.span("again", "tool", 1, 2, name="tool-0")])
    found = {
        labels[0]: amount
        for (name, labels), amount in totals.read(path).counts.items()
        if name == series.TOOL_CALLS
    }
    assert len(found) == MOST_VALUES + 1
    assert found["other"] == 20
    assert found["tool-0"] == 2


def test_several_processes_add_to_one_journal(path: Path) -> None:
    count(path, [calls.session(None)])

    def talk(number: int) -> None:
        for turn in range(50):
            count(path, [calls.answer(f"{number}-{turn}", 0, 1000)])

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(path, series.TURNS, AGENT, "agent") == 200


@pytest.mark.parametrize("metrics", [True, False])
def test_the_writer_counts_if_it_is_to(path: Path, metrics: bool) -> None:
    told: list[series.Observation] = []
    writer = JournalWriter(Settings(journal=path, metrics=metrics))
    writer.on_counted = told.extend
    call = SpanTree(writer)
    call.announce({"agent_class": AGENT})
    turn = call.begin("livekit:assistant_turn", "assistant_turn", None, {})
    result = {"latency": {"perceived_ms": 812.5, "stages": []}}
    call.end(turn, Status.COMPLETE, lambda: result)
    call.end(call.root, Status.COMPLETE, {})
    assert writer.flush(PATIENCE)
    found = totals.read(path)
    assert outcomes(path) == ({"complete": 1.0} if metrics else {})
    assert found.lengths == ({(series.DEAD_AIR, (AGENT,)): ({1.0: 1}, 0.8125)} if metrics else {})
    assert bool(told) == metrics


def test_a_journal_of_an_older_version_has_no_totals(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in schema._statements(schema._STEPS[1]):
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
    assert totals.read(path).counts == {}


def test_the_backlog_is_what_waits_to_be_sent(path: Path) -> None:
    call = calls.over_budget_call()
    count(path, call)
    nothing = totals.Waiting(0, None, 0)
    assert totals.read(path).waiting == {"prefactor": nothing, "otlp": nothing}
    outbox = Outbox(path)
    outbox.update_call(calls.SESSION, wanted=1)
    oldest = min(span.finished_us for span in call if span.finished_us)
    assert totals.read(path).waiting == {
        "prefactor": totals.Waiting(len(call), oldest, 0),
        "otlp": nothing,
    }
    first, second, *rest = outbox.due(calls.SESSION, 0, 100, 1 << 20)
    outbox.acknowledge([], [first.seq], [("refused", second.seq)], [])
    outbox.close()
    found = totals.read(path).waiting["prefactor"]
    assert (found.spans, found.parked) == (len(rest), 1)


def test_the_backlog_of_opentelemetry_is_counted_apart(path: Path) -> None:
    call = calls.over_budget_call()
    with closing(schema.connect(path, 5.0)) as connection:
        batch = Batch([*map(row, call)], [], [])
        write(connection, batch, wanted=False, exported=True, counted=True)
    found = totals.read(path).waiting
    assert found["otlp"].spans == len(call)
    assert found["prefactor"].spans == 0
