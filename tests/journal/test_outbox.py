"""The to-do in the journal."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from prefactor_agent.config import Settings
from prefactor_agent.core.span import Span, SpanType, Status
from prefactor_agent.journal import schema
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.journal.process import alive, this_process
from prefactor_agent.journal.todo import SpanState
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.record.spans.tree import SpanTree
from support.waiting import PATIENCE


@pytest.fixture
def writer(tmp_path: Path) -> JournalWriter:
    token = SecretStr("a-token")
    settings = Settings(journal=tmp_path / "journal.db", flush_interval=0.01, api_token=token)
    return JournalWriter(settings)


@pytest.fixture
def tokenless(tmp_path: Path) -> JournalWriter:
    return JournalWriter(Settings(journal=tmp_path / "journal.db", flush_interval=0.01))


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "journal.db")
    yield made
    made.close()


def begin(writer: JournalWriter) -> SpanTree:
    call = SpanTree(writer)
    call.announce({})
    return call


def due(outbox: Outbox, call: SpanTree) -> list[tuple[str, str, int]]:
    found = outbox.due(call.root.id, 0, 100, 1_000_000)
    return [(todo.type, todo.status, todo.state) for todo in found]


def ended(call: SpanTree, type_: SpanType, parent: Span | None = None) -> Span:
    span = call.begin(type_, type_.value, parent, {})
    call.end(span, Status.COMPLETE, {"n": 1})
    return span


def test_long_spans_are_due_at_once_and_the_others_when_they_end(
    writer: JournalWriter, outbox: Outbox
) -> None:
    call = begin(writer)
    turn = call.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {})
    model = call.begin(SpanType.LLM, "llm", turn, {})
    call.begin("livekit:tool:book", "book", turn, {})
    writer.flush(PATIENCE)
    assert due(outbox, call) == [
        ("livekit:session", "active", 0),
        ("livekit:assistant_turn", "active", 0),
        ("livekit:tool:book", "active", 0),
    ]
    call.end(model, Status.COMPLETE, {})
    writer.flush(PATIENCE)
    assert due(outbox, call)[2] == ("livekit:llm", "complete", 0)


def test_a_span_leaves_when_its_end_is_acknowledged_and_not_before(
    writer: JournalWriter, outbox: Outbox
) -> None:
    call = begin(writer)
    writer.flush(PATIENCE)
    [todo] = outbox.due(call.root.id, 0, 10, 1_000_000)
    outbox.acknowledge([todo.seq], [], [], [])
    assert due(outbox, call) == []
    assert outbox.left(call.root.id) == 1
    call.update(call.root, room={"name": "lobby"})
    writer.flush(PATIENCE)
    assert due(outbox, call) == [], "what is written again does not undo the delivery"
    call.end(call.root, Status.COMPLETE, {})
    writer.flush(PATIENCE)
    assert due(outbox, call) == [("livekit:session", "complete", SpanState.OPEN)]
    outbox.acknowledge([], [todo.seq], [], [])
    assert outbox.left(call.root.id) == 0


def test_a_span_that_ended_while_its_beginning_was_sent_is_due_again(
    writer: JournalWriter, outbox: Outbox
) -> None:
    call = begin(writer)
    writer.flush(PATIENCE)
    [todo] = outbox.due(call.root.id, 0, 10, 1_000_000)
    outbox.keep_sent([("{}", todo.seq)])
    call.end(call.root, Status.COMPLETE, {})
    writer.flush(PATIENCE)
    outbox.acknowledge([todo.seq], [], [], [])
    assert due(outbox, call) == [("livekit:session", "complete", SpanState.OPEN)]


def test_parked_spans_are_kept_with_their_error_and_can_be_tried_again(
    writer: JournalWriter, outbox: Outbox
) -> None:
    call = begin(writer)
    turn = call.begin(SpanType.USER_TURN, "user_turn", None, {})
    ended(call, SpanType.STT, turn)
    writer.flush(PATIENCE)
    root, parked, _ = outbox.due(call.root.id, 0, 10, 1_000_000)
    outbox.acknowledge([root.seq], [], [("422: no", parked.seq)], [])
    assert outbox.parked() == [("livekit:user_turn", "422: no", 1)]
    [stt] = outbox.due(call.root.id, 0, 10, 1_000_000)
    assert stt.parent_state == SpanState.PARKED
    assert outbox.delivered_ancestor(turn.id) == call.root.id
    call.end(turn, Status.COMPLETE, {})
    writer.flush(PATIENCE)
    assert len(due(outbox, call)) == 1, "its end brings it not back"
    assert outbox.unpark() == 1
    assert len(due(outbox, call)) == 2


def test_a_refused_end_leaves_the_span_there_for_its_children(
    writer: JournalWriter, outbox: Outbox
) -> None:
    call = begin(writer)
    writer.flush(PATIENCE)
    [todo] = outbox.due(call.root.id, 0, 10, 1_000_000)
    outbox.acknowledge([todo.seq], [], [], [])
    outbox.acknowledge([], [], [("422: no", todo.seq)], [])
    assert outbox.state(call.root.id) == SpanState.STUCK
    assert outbox.delivered_ancestor(call.root.id) == call.root.id
    assert outbox.unpark() == 1
    assert outbox.state(call.root.id) == SpanState.OPEN


def test_a_call_belongs_to_one_process_until_that_is_gone(
    writer: JournalWriter, outbox: Outbox, tmp_path: Path
) -> None:
    call = begin(writer)
    writer.flush(PATIENCE)
    assert outbox.claim(call.root.id)
    other = Outbox(tmp_path / "journal.db")
    other._me = "elsewhere|1|1"
    assert not other.claim(call.root.id)
    outbox.release()
    assert other.claim(call.root.id)
    assert not outbox.claim(call.root.id), "nobody here can say whether that one lives"
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute("UPDATE calls SET owned_until = owned_until - 31000000")
    assert outbox.claim(call.root.id)
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        # Claimed before the clock was stepped back by an hour.
        connection.execute("UPDATE calls SET owned_until = owned_until + 3600000000")
    assert other.claim(call.root.id)
    other.close()


def test_what_a_gone_process_left_is_ended_as_failed(
    writer: JournalWriter, outbox: Outbox, tmp_path: Path
) -> None:
    call = begin(writer)
    call.begin(SpanType.LLM, "llm", None, {})
    writer.flush(PATIENCE)
    [row] = outbox.calls()
    assert row.process == this_process()
    assert not outbox.left_behind(row)
    machine, pid, _ = this_process().rsplit("|", 2)
    gone = row._replace(process=f"{machine}|{pid}|1")
    assert outbox.left_behind(gone), "the id is in use again, by another process"
    assert alive("elsewhere|1|1") is None
    outbox.end_left_behind(call.root.id)
    assert [status for _, status, _ in due(outbox, call)] == ["failed", "failed"]


def listed(outbox: Outbox) -> list[str]:
    query = "SELECT span_id FROM outbox ORDER BY seq"
    return [row[0] for row in outbox._connection.execute(query)]


def test_a_call_without_a_token_takes_no_rows_until_somebody_delivers_it(
    tokenless: JournalWriter, outbox: Outbox
) -> None:
    call = begin(tokenless)
    turn = call.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {})
    model = call.begin(SpanType.LLM, "llm", turn, {})
    call.end(model, Status.COMPLETE, {})
    assert tokenless.flush(PATIENCE)
    assert listed(outbox) == []
    assert outbox.backlog() | {"calls": 1, "unwanted": 1, "spans": 3} == outbox.backlog()

    assert outbox.claim(call.root.id)
    assert listed(outbox) == [call.root.id, turn.id, model.id], "parents before their children"
    assert due(outbox, call) == [
        ("livekit:session", "active", 0),
        ("livekit:assistant_turn", "active", 0),
        ("livekit:llm", "complete", 0),
    ]
    assert outbox.backlog()["spans"] == 3
    later = ended(call, SpanType.STATE)
    call.end(turn, Status.COMPLETE, {})
    assert tokenless.flush(PATIENCE)
    assert listed(outbox)[3:] == [later.id], "from then on its spans are listed as they come"
    seq = outbox.due(call.root.id, 0, 10, 1_000_000)[0].seq
    outbox.acknowledge([], [seq], [], [])
    outbox.release()
    assert outbox.claim(call.root.id)
    assert listed(outbox) == [turn.id, model.id, later.id], "what was delivered is not listed again"


def test_a_call_that_somebody_wants_delivered_is_listed(
    tokenless: JournalWriter, outbox: Outbox
) -> None:
    call = begin(tokenless)
    assert tokenless.flush(PATIENCE)
    outbox.update_call(call.root.id, wanted=1)
    ended(call, SpanType.STATE)
    assert tokenless.flush(PATIENCE)
    assert len(listed(outbox)) == 2


def test_a_call_whose_session_is_written_last_is_listed_as_a_whole(
    writer: JournalWriter, outbox: Outbox, tmp_path: Path
) -> None:
    """As after the journal was removed during the call."""
    call = SpanTree(writer)
    first = ended(call, SpanType.STATE)
    assert writer.flush(PATIENCE)
    assert listed(outbox) == []
    call.announce({})
    assert writer.flush(PATIENCE)
    assert listed(outbox) == [first.id, call.root.id]


def test_a_journal_of_the_third_version_keeps_its_to_do(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path, isolation_level=None)
    for version in (1, 2, 3):
        for statement in schema._statements(schema._STEPS[version]):
            connection.execute(statement)
    connection.execute("PRAGMA user_version = 3")
    row = "INSERT INTO spans VALUES (?, ?, ?, 'livekit:state', 's', 'complete', 1, 2, '{}', '{}')"
    for id_, session, parent in (("a", "a", None), ("b", "a", "a"), ("c", "c", None)):
        connection.execute(row, (id_, session, parent))
    connection.execute("UPDATE calls SET wanted = 1 WHERE session_id = 'a'")
    connection.execute("DELETE FROM outbox WHERE span_id = 'b'")  # delivered
    outbox = Outbox(path)
    assert listed(outbox) == ["a", "c"]
    assert outbox.claim("a")
    assert outbox.claim("c")
    assert listed(outbox) == ["a", "c"], "what was delivered is not delivered again"

    # A program of that version that had it open goes on, and says after the spans that they are
    # wanted.
    connection.execute(row, ("d", "d", None))
    connection.execute(row, ("e", "d", "d"))
    assert listed(outbox) == ["a", "c"]
    connection.execute("UPDATE calls SET wanted = max(wanted, 1) WHERE session_id = 'd'")
    connection.execute(row, ("f", "d", "d"))
    assert listed(outbox) == ["a", "c", "d", "e", "f"]
    connection.close()
    outbox.close()


def test_an_older_journal_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in schema._statements(schema._STEPS[1]):
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(
        "INSERT INTO spans VALUES ('a', 'a', NULL, 'livekit:session', 's', 'complete', 1, 2, "
        "'{}', '{}')"
    )
    connection.execute(
        "INSERT INTO spans VALUES ('b', 'a', 'a', 'livekit:llm', 'l', 'active', 1, NULL, '{}', "
        "NULL)"
    )
    connection.close()
    outbox = Outbox(path)
    [row] = outbox.calls()
    assert (row.session_id, row.wanted) == ("a", 0)
    assert [todo.id for todo in outbox.due("a", 0, 10, 1000)] == ["a"]
    assert outbox.left("a") == 2
    outbox.close()


def test_ten_thousand_delivered_spans_cost_nothing(writer: JournalWriter, outbox: Outbox) -> None:
    call = begin(writer)
    for _ in range(10_000):
        ended(call, SpanType.STATE)
    assert writer.flush(PATIENCE)
    steps = Counter()
    outbox._connection.set_progress_handler(lambda: steps.update([which]), 100)
    which = "500 of 10,000"
    assert len(outbox.due(call.root.id, 0, 500, 1_000_000)) == 500
    outbox._connection.set_progress_handler(None, 0)
    with outbox._writing() as connection:
        connection.execute("DELETE FROM outbox WHERE seq > 2")
    outbox._connection.set_progress_handler(lambda: steps.update([which]), 100)
    which = "2 of 10,000"
    assert len(outbox.due(call.root.id, 0, 500, 1_000_000)) == 2
    # In hundreds of SQLite's own steps: what is not asked for is not looked at.
    print(steps)
    assert steps["500 of 10,000"] < 1_000
    assert steps["2 of 10,000"] < 10
