"""What arrives at Prefactor when nothing goes wrong."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.config import Settings
from prefactor_agent.core.ids import Ids
from prefactor_agent.core.span import SpanType, Status
from prefactor_agent.deliver.prefactor import target
from prefactor_agent.deliver.prefactor.api import Api
from prefactor_agent.deliver.prefactor.call_delivery import POLL_S
from support.prefactor_server import PrefactorServer
from support.prefactor_server.settings import PARTITION
from support.waiting import PATIENCE, until

from ..calls import SPANS_PER_TURN, USAGE, begin_call, end_call, llm, tool, whole_call
from ..conftest import Side


def test_a_finished_call_arrives_whole_in_one_bulk_request(
    server: PrefactorServer, side: Side
) -> None:
    whole_call(side.writer, turns=3)
    side.deliverer.start()
    assert side.flush()

    spans = server.spans()
    assert len(spans) == 3 * SPANS_PER_TURN + 1
    assert {span.status for span in spans} == {"complete"}
    assert all(span.creates == 1 and span.finishes == 0 for span in spans)
    [root] = server.tree()
    assert root.type == "livekit:session"
    assert [child.type for child in root.children[:2]] == [
        "livekit:user_turn",
        "livekit:assistant_turn",
    ]
    paths = [request["path"].rpartition("/")[2] for request in server.requests()]
    assert paths == ["register", "start", "bulk", "record_quality", "finish"]
    assert server.violations() == []


def test_the_instance_says_which_agent_which_call_and_how_it_ended(
    server: PrefactorServer, tmp_path: Path
) -> None:
    side = Side(tmp_path, server, agent_version="v7", purpose="smoke_test")
    room = {"room": {"name": "lobby"}, "job": {"id": "AJ_1"}}
    call = begin_call(side.writer, **room)
    end_call(call, Status.FAILED)
    side.deliverer.start()
    assert side.flush()
    side.stop()
    [instance] = server.instances()
    registered = instance["registration"]
    assert registered["agent_version"]["name"] == "Clerk"
    assert registered["agent_version"]["external_identifier"] == "v7"
    assert registered["agent_version"]["runtime_environment"]["runtime"].startswith("cpython@")
    assert instance["external_identifier"] == f"lobby/AJ_1/{call.root.id}"
    assert instance["purpose"] == "smoke_test"
    assert instance["status"] == "failed"
    assert instance["started_at"] <= instance["finished_at"]
    assert server.violations() == []


def test_an_account_scoped_token_comes_with_agent_and_environment(
    server: PrefactorServer, tmp_path: Path
) -> None:
    from pydantic import SecretStr

    side = Side(
        tmp_path,
        server,
        api_token=SecretStr(server.account_token),
        agent_id=server.agent_id,
        environment_id=server.environment_id,
    )
    whole_call(side.writer)
    side.deliverer.start()
    assert side.flush()
    side.stop()
    assert len(server.spans()) == 2 * SPANS_PER_TURN + 1
    assert server.violations() == []


def test_the_keys_that_prefactors_readers_use_are_filled(
    server: PrefactorServer, side: Side
) -> None:
    call = begin_call(side.writer)
    turn = call.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {"turn_index": 1})
    llm(call, turn)
    tool(call, turn, "book", fails=True)
    call.end(turn, Status.COMPLETE, {"spoken_text": "No."})
    end_call(call)
    side.deliverer.start()
    assert side.flush()
    spans = {span.type: span for span in server.spans()}
    model = spans["livekit:llm"]
    assert model.payload["token_usage"] == USAGE
    assert model.payload["inputs"]["ai"]["model"]["id"] == "think-1"
    assert model.payload["outputs"]["ai"]["finishReason"] == "stop"
    assert model.result is not None
    assert model.result["ai"]["finishReason"] == "stop"
    output = model.result["streams"]["output"]
    assert output["count"] == 5
    assert "".join(output["text"]) == "It is open until six. "
    booked = spans["livekit:tool:book"]
    assert booked.status == "failed"
    assert booked.payload["inputs"] == {"day": "monday"}
    assert booked.payload["error"]["error_type"] == "ValueError"
    assert server.violations() == []


@pytest.mark.usefixtures("no_tools")
def test_long_spans_are_sent_while_they_run_by_the_next_round(
    server: PrefactorServer, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That is within a second, if disk and network leave it nine tenths of that.
    assert Settings(side.settings.journal).flush_interval + target.INTERVAL_S <= 0.9
    real, sent = Api.post, dict[str, int]()

    async def post(self: Api, path: str, body: bytes) -> Any:
        for type_ in re.findall(rb'"schema_name":"([^"]+)"', body):
            sent.setdefault(type_.decode(), side.deliverer._rounds)
        return await real(self, path, body)

    monkeypatch.setattr(Api, "post", post)
    side.deliverer.start()
    call = begin_call(side.writer)
    side.write()
    next_ = side.deliverer._rounds + 1  # the round that runs now may have read too early
    until(lambda: len(server.spans()) == 1)
    assert sent["livekit:session"] <= next_
    turn = call.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {"turn_index": 1})
    hours = call.begin("livekit:tool:hours", "hours", turn, {"tool_name": "hours"})
    side.write()
    next_ = side.deliverer._rounds + 1
    until(lambda: len(server.spans()) >= 2)
    assert sent["livekit:assistant_turn"] <= next_
    assert "livekit:tool" not in sent, "a short tool is sent once, with its end"
    until(lambda: len(server.spans()) == 3)
    model = call.begin(SpanType.LLM, "llm", turn, {})
    side.write()
    side.look()
    assert {span.status for span in server.spans()} == {"active"}
    assert len(server.spans()) == 3, "what ends soon is sent when it has ended"

    call.end(model, Status.COMPLETE, {})
    call.end(hours, Status.COMPLETE, {"outputs": {"output": "9 to 6"}})
    call.end(turn, Status.COMPLETE, {})
    end_call(call)
    assert side.flush()
    spans = {span.type: span for span in server.spans()}
    assert {span.status for span in spans.values()} == {"complete"}
    assert spans["livekit:assistant_turn"].creates == 1
    assert spans["livekit:assistant_turn"].finishes == 1
    # Nobody knew of the tool when the call was registered: it is there, under the general type.
    assert spans["livekit:tool"].result == {"outputs": {"name": "hours", "output": "9 to 6"}}
    assert server.violations() == []


def test_a_tool_that_is_known_when_the_call_begins_has_a_type_of_its_own(
    server: PrefactorServer, side: Side
) -> None:
    side.deliverer.start()
    call = begin_call(side.writer, tools=["hours"])
    until(lambda: len(server.spans()) == 1)
    tool(call, call.root, "hours")
    end_call(call)
    assert side.flush()
    assert "livekit:tool:hours" in {span.type for span in server.spans()}
    assert server.violations() == []


def test_a_child_waits_for_a_parent_that_is_sent_at_its_end(
    server: PrefactorServer, side: Side
) -> None:
    side.deliverer.start()
    call = begin_call(side.writer)
    model = call.begin(SpanType.LLM, "llm", None, {})
    error = call.begin(SpanType.ERROR, "livekit_error", model, {"error_type": "APIError"})
    call.end(error, Status.FAILED, {})
    until(lambda: len(server.spans()) == 1)
    side.write()
    side.look()
    assert len(server.spans()) == 1
    call.end(model, Status.FAILED, {"error": {"error_type": "APIError", "message": "no"}})
    until(lambda: len(server.spans()) == 3)
    assert [span.type for span in server.spans()[1:]] == ["livekit:llm", "livekit:error"]
    end_call(call)
    assert side.flush()
    assert server.violations() == []


def test_the_ids_are_ours_in_the_partition_of_the_account(
    server: PrefactorServer, side: Side
) -> None:
    call = whole_call(side.writer, turns=1)
    side.deliverer.start()
    assert side.flush()
    [root] = server.tree()
    inside = Ids(PARTITION).new()[10:16]
    assert root.id == call.root.id[:10] + inside + call.root.id[16:]
    assert server.violations() == []


def test_the_quality_of_a_call_is_recorded_at_its_end(server: PrefactorServer, side: Side) -> None:
    whole_call(side.writer, turns=2)
    side.deliverer.start()
    assert side.flush()
    [record] = server.quality()
    assert record["payload"] == {
        "turns": 4,  # its answers name no questions
        "tools": 2,
        "tools_failed": 0,
        "errors": 0,
        "interrupted": 2,
        "over_budget": 0,
        "prompt_tokens": 80,
        "completion_tokens": 20,
        "total_tokens": 100,
        "user_speech_seconds": 3.0,
        "agent_speech_seconds": 4.0,
        "silence_median_ms": 703.0,
        "silence_worst_ms": 704.0,
    }


def test_several_calls_of_one_process_are_several_instances(
    server: PrefactorServer, side: Side
) -> None:
    side.deliverer.start()
    for _ in range(6):
        whole_call(side.writer)
    assert side.flush()
    assert len(server.instances()) == 6
    assert {instance["status"] for instance in server.instances()} == {"complete"}
    assert len(server.spans()) == 6 * (2 * SPANS_PER_TURN + 1)
    assert server.violations() == []


def test_without_a_token_nothing_happens(
    server: PrefactorServer, tmp_path: Path, caplog: object
) -> None:
    side = Side(tmp_path, server, api_token=None)
    side.deliverer.start()
    whole_call(side.writer)
    assert side.writer.flush(PATIENCE)
    assert side.deliverer.flush(0.1) is False
    assert side.deliverer._thread is None
    assert server.requests() == []
    assert caplog.text == ""  # type: ignore[attr-defined]


def test_a_quiet_process_asks_for_nothing(server: PrefactorServer, side: Side) -> None:
    whole_call(side.writer)
    side.deliverer.start()
    assert side.flush()
    before = len(server.requests())

    def at_rest() -> bool:
        rounds = side.deliverer._rounds
        time.sleep(2 * POLL_S)
        return side.deliverer._rounds == rounds

    until(at_rest)
    assert len(server.requests()) == before
