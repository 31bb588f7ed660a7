"""Everything that can go wrong on the way: nothing is lost, nothing is doubled."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.record.span import Status
from support.prefactor_server import PrefactorServer

from .calls import SPANS_PER_TURN, begin_call, end_call, tool, user_turn, whole_call
from .conftest import Side
from .test_delivery import until


def whole(server: PrefactorServer, spans: int, **ignore: Any) -> None:
    found = server.spans()
    assert len(found) == spans
    assert len({span.id for span in found}) == spans
    assert {span.status for span in found} <= {"complete", "failed", "cancelled"}
    assert len(server.tree()) == len(server.instances())
    assert {instance["status"] for instance in server.instances()} == {"complete"}
    assert server.violations(**ignore) == []


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("status", {"status": 500, "times": 3}),
    ("status", {"status": 503, "times": 2, "path": "/start"}),
    ("rate_limit", {"retry_after": 1, "times": 2}),
    ("reset", {"times": 3}),
    ("reset_after", {"times": 3}),
    ("reset_after", {"times": 1, "path": "/bulk"}),
    ("reset_after", {"times": 1, "path": "/register"}),
    ("reset_after", {"times": 1, "path": "/finish"}),
    ("html", {"times": 2, "status": 200}),
    ("html", {"times": 2, "status": 502}),
    ("html", {"times": 2, "status": 403}),
    ("html_after", {"times": 2, "status": 200}),
    ("truncated", {"times": 2}),
    ("bulk_cut", {"times": 1, "items": 5}),
    ("hang", {"times": 1}),
    ("hang_after", {"times": 1}),
    ("delay", {"delay": 0.2, "times": 5}),
    ("refuse", {"seconds": 1.0}),
    ("drip", {"times": 2, "interval": 0.01, "chunk": 512}),
    ("drip", {"times": 3, "interval": 0.5, "chunk": 16}),
]


@pytest.mark.parametrize(("kind", "options"), FAULTS, ids=lambda part: str(part))
def test_a_fault_costs_time_and_nothing_else(
    server: PrefactorServer, tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    side = Side(tmp_path, server, request_timeout=1.0)
    server.fault(kind, **options)
    side.deliverer.start()
    call = begin_call(side.writer)
    for index in range(4):
        user_turn(call, index, "hello")
        tool(call, call.root)
        time.sleep(0.1)
    end_call(call)
    assert side.flush(30)
    side.stop()
    whole(server, 4 * 4 + 1)


@pytest.mark.parametrize("kind", ["reset_after", "truncated", "html_after", "hang_after"])
def test_an_answer_lost_while_the_span_goes_on_doubles_nothing(
    server: PrefactorServer, tmp_path: Path, kind: str
) -> None:
    """The create of an open span had its effect; when it is sent again the span has ended."""
    side = Side(tmp_path, server, request_timeout=0.5)
    fault = server.fault(kind, path="/bulk")
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: fault.hits() >= 1)
    user_turn(call, 1, "hello")
    call.update(call.root, room={"name": "lobby"})
    end_call(call)
    side.writer.flush(5)
    time.sleep(0.7)
    fault.clear()
    assert side.flush(20)
    side.stop()
    whole(server, 3)


def test_the_service_is_down_at_the_start_and_up_later(
    server: PrefactorServer, side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    fault = server.fault("refuse")
    side.deliverer.start()
    whole_call(side.writer)
    assert not side.flush(1.5)
    lines = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "cannot be reached" in lines[0].getMessage()
    fault.clear()
    assert side.flush()
    whole(server, 2 * SPANS_PER_TURN + 1)


def test_a_flush_with_the_service_down_takes_its_time_and_no_more(
    server: PrefactorServer, side: Side
) -> None:
    server.fault("hang")
    side.deliverer.start()
    whole_call(side.writer)
    begun = time.monotonic()
    assert not side.flush(0.5)
    assert time.monotonic() - begun < 1.0


def test_one_refused_type_costs_that_type_alone(server: PrefactorServer, side: Side) -> None:
    server.fault("reject_type", schema_name="livekit:tool_result")
    side.deliverer.start()
    whole_call(side.writer, turns=5)
    assert side.flush()
    whole(server, 5 * (SPANS_PER_TURN - 1) + 1)
    outbox = Outbox(side.settings.journal)
    [(type_, error, count)] = outbox.parked()
    outbox.close()
    assert (type_, count) == ("livekit:tool_result", 5)
    assert "is refused" in error


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


@pytest.mark.parametrize("bulk", [True, False])
def test_where_custom_ids_are_refused_the_services_own_are_used(
    server: PrefactorServer, side: Side, bulk: bool
) -> None:
    server.fault("no_custom_ids")
    if not bulk:
        server.fault("no_bulk")
    side.deliverer.start()
    call = begin_call(side.writer)
    user_turn(call, 1, "hello")
    until(lambda: len(server.spans()) == 3)
    tool(call, call.root)
    end_call(call)
    assert side.flush()
    whole(server, 5)
    [root] = server.tree()
    assert len(root.children) == 2
    assert len(root.children[0].children) == 1


def test_ids_refused_in_the_middle_of_a_call(server: PrefactorServer, side: Side) -> None:
    side.deliverer.start()
    call = begin_call(side.writer)
    user_turn(call, 1, "hello")
    until(lambda: len(server.spans()) == 3)
    server.fault("no_custom_ids")
    user_turn(call, 2, "hello again")
    end_call(call)
    assert side.flush()
    whole(server, 5)


def test_a_revoked_token_stops_delivery_with_one_line(
    server: PrefactorServer, side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    side.deliverer.start()
    call = begin_call(side.writer)
    until(lambda: len(server.spans()) == 1)
    fault = server.fault("revoke")
    for index in range(3):
        user_turn(call, index, "hello")
        time.sleep(0.5)
    end_call(call)
    assert not side.flush(1.0)
    [line] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "does not accept the token" in line
    assert server.token not in caplog.text
    assert len(server.spans()) == 1
    fault.clear()

    # The next process, with a token that is good.
    side.stop()
    later = Side(side.settings.journal.parent, server)
    later.deliverer.start()
    assert later.flush()
    later.stop()
    whole(server, 7)


def test_a_token_that_is_wrong_from_the_start(
    server: PrefactorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    side = Side(tmp_path, server, api_token=SecretStr("wrong"))
    side.deliverer.start()
    whole_call(side.writer)
    assert not side.flush(1.0)
    assert len(caplog.records) == 1
    assert "wrong" not in caplog.text
    assert len(server.requests()) == 1


def test_an_unknown_agent_parks_the_call(
    server: PrefactorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    side = Side(
        tmp_path, server, api_token=SecretStr(server.account_token), agent_id="no-such-agent"
    )
    side.deliverer.start()
    whole_call(side.writer)
    side.flush(2.0)
    side.stop()
    assert "agent not found" in caplog.text
    assert len(server.requests()) == 1


def test_a_huge_payload_is_cut_and_says_so(server: PrefactorServer, side: Side) -> None:
    side.deliverer.start()
    call = begin_call(side.writer)
    big = call.begin("livekit:tool:dump", "dump", None, {"inputs": {"text": "a b " * 1_250_000}})
    call.end(big, Status.COMPLETE, {"outputs": ["x y " * 10] * 100_000})
    end_call(call)
    assert side.flush()
    whole(server, 2)
    [found] = [span for span in server.spans() if span.type.startswith("livekit:tool")]
    assert found.payload["truncated"] is True
    assert found.result is not None
    assert found.result["truncated"] is True


def test_a_service_that_takes_less_than_we_send(tmp_path: Path) -> None:
    with PrefactorServer(max_item=40_000, max_body=60_000, max_items=3) as server:
        side = Side(tmp_path, server)
        side.deliverer.start()
        call = begin_call(side.writer)
        for index in range(8):
            user_turn(call, index, "word " * 3_000)
        user_turn(call, 9, "word " * 12_000)
        end_call(call)
        assert side.flush(30)
        side.stop()
        whole(server, 19, ignore=("item_size", "body_size", "bulk_items"))
        last = [span for span in server.spans() if span.type == "livekit:user_turn"][-1]
        assert last.result is not None
        assert last.result["truncated"] is True


def test_a_service_that_was_restarted(server: PrefactorServer, side: Side) -> None:
    side.deliverer.start()
    call = begin_call(side.writer)
    user_turn(call, 1, "hello")
    until(lambda: len(server.spans()) == 3)
    server.restart()
    user_turn(call, 2, "hello")
    end_call(call)
    assert side.flush()
    whole(server, 5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"api_url": "http//app"}, "PREFACTOR_API_URL"),
        ({"api_url": "https://u:hunter2@host/"}, "user name"),
        ({"api_url": "http://prefactor.example"}, "unencrypted"),
        ({"api_token": SecretStr("tok\nen")}, "PREFACTOR_API_TOKEN"),
        ({"api_token": SecretStr("tok en")}, "PREFACTOR_API_TOKEN"),
    ],
)
def test_bad_settings_are_one_line_and_the_agent_runs_on(
    server: PrefactorServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    says: str,
) -> None:
    side = Side(tmp_path, server, **changes)
    side.deliverer.start()
    side.deliverer.start()
    whole_call(side.writer)
    assert side.writer.flush(5)
    [record] = caplog.records
    assert says in record.getMessage()
    assert "\n" not in record.getMessage()
    assert "hunter2" not in caplog.text
    assert server.requests() == []
