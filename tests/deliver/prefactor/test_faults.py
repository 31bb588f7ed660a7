"""What can go wrong on the way, piece by piece; with real calls in test_what_goes_wrong.py."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from prefactor_agent.core.span import SpanType, Status
from prefactor_agent.deliver.prefactor.api import Api, RefusedError
from prefactor_agent.journal.outbox import Outbox
from support.prefactor_server import PrefactorServer
from support.waiting import until

from ..calls import SPANS_PER_TURN, begin_call, end_call, user_turn, whole_call
from ..conftest import Side

pytestmark = pytest.mark.usefixtures("quick")


def whole(server: PrefactorServer, spans: int, **ignore: Any) -> None:
    found = server.spans()
    assert len(found) == spans
    assert len({span.id for span in found}) == spans
    assert {span.status for span in found} <= {"complete", "failed", "cancelled"}
    assert len(server.tree()) == len(server.instances())
    assert {instance["status"] for instance in server.instances()} == {"complete"}
    assert server.violations(**ignore) == []


@pytest.mark.parametrize("kind", ["reset_after", "truncated", "html_after", "hang_after"])
def test_an_answer_lost_while_the_span_goes_on_doubles_nothing(
    server: PrefactorServer, tmp_path: Path, kind: str
) -> None:
    """The create of an open span had its effect; when it is sent again the span has ended."""
    side = Side(tmp_path, server, request_timeout=1.0)
    fault = server.fault(kind, path="/bulk")
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: fault.hits() >= 1)
    user_turn(call, 1, "hello")
    call.update(call.root, room={"name": "lobby"})
    end_call(call)
    side.write()
    side.look()
    fault.clear()
    assert side.flush()
    side.stop()
    whole(server, 3)


def test_a_flush_with_the_service_down_takes_its_time_and_no_more(
    server: PrefactorServer, side: Side
) -> None:
    fault = server.fault("hang")
    side.deliverer.start()
    whole_call(side.writer)
    side.write()
    until(fault.hits)
    rounds = side.deliverer._rounds
    assert not side.deliverer.flush(0.5)
    assert side.deliverer._rounds == rounds, "it did not wait for the answer"
    fault.clear()


def test_the_children_of_a_refused_span_go_under_its_parent(
    server: PrefactorServer, side: Side
) -> None:
    server.fault("reject_type", schema_name="livekit:assistant_turn")
    side.deliverer.start()
    whole_call(side.writer, turns=2)
    assert side.flush()
    whole(server, 2 * (SPANS_PER_TURN - 1) + 1)
    [root] = server.tree()
    kinds = {child.type for child in root.children}
    assert {"livekit:llm", "livekit:tts"} <= kinds


def test_a_child_that_was_sent_with_its_refused_parent_goes_under_the_next(
    server: PrefactorServer, side: Side
) -> None:
    """Both are still open, so both creates are kept word for word."""
    server.fault("reject_type", schema_name="livekit:assistant_turn")
    call = begin_call(side.writer)
    turn = call.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {"turn_index": 1})
    hours = call.begin("livekit:tool", "hours", turn, {"tool_name": "hours"})
    deeper = call.begin("livekit:tool", "deeper", hours, {"tool_name": "deeper"})
    side.write()
    side.deliverer.start()
    until(lambda: len(server.spans()) == 3)
    for span in (deeper, hours, turn):
        call.end(span, Status.COMPLETE, {})
    end_call(call)
    assert side.flush()
    whole(server, 3)
    [root] = server.tree()
    assert [child.payload["tool_name"] for child in root.children] == ["hours"]
    assert [child.payload["tool_name"] for child in root.children[0].children] == ["deeper"]


@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "one by one"])
def test_spans_arrive_when_ids_are_refused_after_the_parent_was_checked(
    server: PrefactorServer, side: Side, monkeypatch: pytest.MonkeyPatch, bulk: bool
) -> None:
    """Parent and child are open, and in the same first request."""
    real = Api.post

    async def post(self: Api, path: str, body: bytes) -> Any:
        known = {span.id for span in server.spans()}
        try:
            answer = await real(self, path, body)
        except RefusedError as error:
            if "id" in error.errors and _orphan(from_json(body), known):
                error.errors = NO_PARENT
            raise
        outputs = answer.get("outputs", {})
        for item in from_json(body)["items"] if outputs else ():
            output = outputs.get(item["idempotency_key"], {})
            if "id" in (output.get("errors") or {}) and _orphan(item, known):
                output["errors"] = NO_PARENT
        return answer

    monkeypatch.setattr(Api, "post", post)
    server.fault("no_custom_ids")
    if not bulk:
        server.fault("no_bulk")
    call = begin_call(side.writer)
    turn = call.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {"turn_index": 1})
    hours = call.begin("livekit:tool", "hours", turn, {"tool_name": "hours"})
    side.write()
    side.deliverer.start()
    side.look()
    for span in (hours, turn):
        call.end(span, Status.COMPLETE, {})
    end_call(call)
    assert side.flush()
    whole(server, 3)


NO_PARENT = {"parent_span_id": ["does not exist"]}


def _orphan(item: Any, known: set[str]) -> bool:
    return item["details"].get("parent_span_id") not in {None, *known}


def test_a_refused_session_leaves_its_turns_as_roots(server: PrefactorServer, side: Side) -> None:
    server.fault("reject_type", schema_name="livekit:session")
    side.deliverer.start()
    whole_call(side.writer, turns=1)
    assert side.flush()
    assert {span.type for span in server.tree()} == {"livekit:user_turn", "livekit:assistant_turn"}
    assert [i["status"] for i in server.instances()] == ["complete"]
    assert server.violations() == []


@pytest.mark.parametrize("status", [404, 403, 400])
def test_without_bulk_spans_go_one_by_one(server: PrefactorServer, side: Side, status: int) -> None:
    fault = server.fault("no_bulk", status=status)
    side.deliverer.start()
    whole_call(side.writer)
    assert side.flush()
    whole(server, 2 * SPANS_PER_TURN + 1)
    whole_call(side.writer)
    assert side.flush()
    assert fault.hits() == 1, "it is remembered"


@pytest.mark.parametrize("key", ["room", "job", "tools"])
def test_a_call_is_registered_when_parts_of_its_session_are_redacted(
    server: PrefactorServer, tmp_path: Path, key: str
) -> None:
    """Anything may stand in the place of anything: the call is registered without it."""
    side = Side(tmp_path, server, redact_keys=frozenset({key}))
    about: dict[str, Any] = {
        "room": {"name": "lobby"},
        "job": {"id": "AJ_1"},
        "tools": ["opening_hours"],
    }
    call = whole_call(side.writer, **about)
    side.deliverer.start()
    assert side.flush()
    side.stop()
    whole(server, 2 * SPANS_PER_TURN + 1)
    [instance] = server.instances()
    shown = {"room": "AJ_1/", "job": "lobby/", "tools": "lobby/AJ_1/"}[key]
    assert instance["external_identifier"] == shown + call.root.id
    schema = instance["registration"]["agent_schema_version"]
    assert "livekit:tool:[" not in {type_["name"] for type_ in schema["span_type_schemas"]}


@pytest.mark.parametrize("begun", [False, True])
def test_a_call_on_which_delivery_fails_holds_up_no_other(
    server: PrefactorServer, side: Side, caplog: pytest.LogCaptureFixture, begun: bool
) -> None:
    """Also while it runs, when there is nothing to send and it is only asked about."""
    call = begin_call(side.writer)
    side.write()
    with contextlib.closing(sqlite3.connect(side.settings.journal)) as connection, connection:
        connection.execute("UPDATE calls SET registration = '[1]'")
        if begun:
            connection.execute("UPDATE calls SET state = 2, instance_id = 'gone'")
            connection.execute("UPDATE outbox SET state = 1, due = 0")
    side.deliverer.start()
    whole_call(side.writer)
    assert side.flush()
    whole(server, 2 * SPANS_PER_TURN + 1)
    end_call(call)
    assert side.flush()
    assert caplog.text.count("delivery fails on a call") == 1
    outbox = Outbox(side.settings.journal)
    assert [type_ for type_, _, _ in outbox.parked()] == ["call"]
    outbox.close()


@pytest.mark.parametrize("damage", ["{", "[]"])
def test_a_span_whose_kept_create_is_damaged_is_parked(
    server: PrefactorServer, side: Side, damage: str
) -> None:
    call = begin_call(side.writer)
    turn = call.begin(SpanType.USER_TURN, "user_turn", None, {"turn_index": 1})
    side.write()
    with contextlib.closing(sqlite3.connect(side.settings.journal)) as connection, connection:
        connection.execute("UPDATE outbox SET sent = ? WHERE span_id = ?", (damage, turn.id))
    side.deliverer.start()
    call.end(turn, Status.COMPLETE, {})
    end_call(call)
    assert side.flush()
    whole(server, 1)
    outbox = Outbox(side.settings.journal)
    [(type_, error, _)] = outbox.parked()
    outbox.close()
    assert type_ == "livekit:user_turn"
    assert error.startswith("damaged in the journal: ")


@pytest.mark.usefixtures("no_tools")
def test_spans_arrive_at_a_service_that_takes_less(tmp_path: Path) -> None:
    with PrefactorServer(max_item=40_000, max_body=60_000, max_items=3) as server:
        side = Side(tmp_path, server)
        side.deliverer.start()
        call = begin_call(side.writer)
        for index in range(8):
            user_turn(call, index, "word " * 3_000)
        user_turn(call, 9, "word " * 12_000)
        end_call(call)
        assert side.flush()
        side.stop()
        whole(server, 19, ignore=("item_size", "body_size", "bulk_items"))
        last = [span for span in server.spans() if span.type == "livekit:user_turn"][-1]
        assert last.result is not None
        assert last.result["truncated"] is True
