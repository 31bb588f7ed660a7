"""Rows of real calls, as spans of OpenTelemetry."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from differential import test_handoffs as handoffs
from differential import test_llm_nodes as nodes
from differential.stage import Stage
from prefactor_agent.deliver.otlp.mapping import request, to_span
from prefactor_agent.deliver.otlp.rows import Around, EndedSpan
from prefactor_agent.pricing import costs
from support.otlp_receiver import plain

from .calls import phone_line, realtime_call, rows_of

OK, ERROR, UNSET = Status.STATUS_CODE_OK, Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET
SESSION = "01m8f2wnyq4sdt4brh77tdnqghqar14h"
ID = "01m8f2wnyv4sdt4b8ebc0f1yr8bb4d2e"


@dataclass
class Sent:
    """A span that was mapped, to be read by name."""

    row: EndedSpan
    span: Span

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]

    @property
    def attributes(self) -> dict[str, Any]:
        return {one.key: plain(one.value) for one in self.span.attributes}

    @property
    def events(self) -> list[str]:
        return [event.name for event in self.span.events]

    def json(self, name: str) -> Any:
        return json.loads(self[name])


def sent(rows: Iterable[EndedSpan], **options: bool) -> list[Sent]:
    mapped = [(row, to_span(row, **options)) for row in rows]
    return [Sent(row, span) for row, span in mapped if span is not None]


def named(spans: list[Sent], name: str) -> list[Sent]:
    return [one for one in spans if one.span.name == name]


async def an_llm_that_fails(s: Stage) -> None:
    await nodes.answers(await nodes.cast(s, nodes.raising_midway(s)))


async def cut_before_it_was_heard(s: Stage) -> None:
    await nodes.is_interrupted_by_the_program(await nodes.cast(s, nodes.untouched(s)))


CALLS: dict[str, Callable[[], list[EndedSpan]]] = {
    "phone": lambda: rows_of(phone_line),
    "realtime": realtime_call,
    "handoff": lambda: rows_of(handoffs.tool_returns_an_agent),
    "task": lambda: rows_of(handoffs.task_in_a_tool),
    "failing_task": lambda: rows_of(handoffs.task_that_fails),
    "failing_llm": lambda: rows_of(an_llm_that_fails),
    "cut": lambda: rows_of(cut_before_it_was_heard),
}


@cache
def rows(call: str) -> list[EndedSpan]:
    return CALLS[call]()


def row(type_: str, payload: Any = None, result: Any = None, **other: Any) -> EndedSpan:
    """A row written by hand."""
    values: dict[str, Any] = {
        "id": ID,
        "session_id": SESSION,
        "parent_id": SESSION,
        "type": f"livekit:{type_}",
        "name": type_,
        "status": "complete",
        "started_us": 1_795_802_683_000_000,
        "finished_us": 1_795_802_684_000_000,
        "payload": json.dumps(payload or {}),
        "result": json.dumps(result or {}),
    }
    return EndedSpan(**{**values, **other})


def one(type_: str, payload: Any = None, result: Any = None, **other: Any) -> Sent:
    return sent([row(type_, payload, result, **other)])[0]


# All calls


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_one_trace_with_each_parent_in_it(call: str) -> None:
    spans = sent(rows(call))
    ids = {one.span.span_id for one in spans}
    assert len(ids) == len(spans) == len({one["prefactor.id"] for one in spans})
    assert len({one.span.trace_id for one in spans}) == 1
    (root,) = (one for one in spans if not one.span.parent_span_id)
    assert root.span.name.startswith("call ")
    assert {one.span.parent_span_id for one in spans} - {b""} <= ids
    assert {one["session.id"] for one in spans} == {root.row.session_id}
    assert {one["gen_ai.conversation.id"] for one in spans} == {root.row.session_id}


@pytest.mark.parametrize("call", CALLS)
def test_all_but_results_of_tools_is_sent(call: str) -> None:
    left_out = {row.type for row in rows(call)} - {one.row.type for one in sent(rows(call))}
    assert left_out <= {"livekit:tool_result"}


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_sent_that_is_not_known(call: str) -> None:
    for span in sent(rows(call)):
        assert None not in span.attributes.values()
        assert not [name for name, value in span.attributes.items() if value in ("None", "null")]
        assert len(span.attributes) == len(span.span.attributes), "a name stands there twice"


@pytest.mark.parametrize("call", CALLS)
def test_a_row_gives_the_same_bytes_again(call: str) -> None:
    first, again = (
        request((one.span for one in sent(rows(call))), {"service.name": "shop"}, "1.0")
        for _ in range(2)
    )
    assert first.SerializeToString(deterministic=True) == again.SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize("call", CALLS)
def test_no_span_has_an_event_a_chunk(call: str) -> None:
    for span in sent(rows(call)):
        assert len([name for name in span.events if name != "exception"]) <= 16


@pytest.mark.parametrize("call", CALLS)
def test_times_are_those_of_the_journal(call: str) -> None:
    for one in sent(rows(call)):
        assert one.span.start_time_unix_nano == one.row.started_us * 1000
        assert one.span.end_time_unix_nano == one.row.finished_us * 1000


SECRETS = {
    "phone": "Friday;arrives;has shipped;Sending it;answer the phone;Where is;Goodbye",
    "realtime": "What is tea;tea: 3;three euros",
    "failing_llm": "in the middle",
}


@pytest.mark.parametrize("call", SECRETS)
def test_without_content_no_word_is_sent(call: str) -> None:
    words = SECRETS[call].split(";")
    whole, bare = (
        request((one.span for one in sent(rows(call), content=on)), {}).SerializeToString()
        for on in (True, False)
    )
    assert [word for word in words if word.encode() not in whole] == []
    assert [word for word in words if word.encode() in bare] == []


@pytest.mark.parametrize("call", CALLS)
def test_without_content_all_names_times_and_sizes_are_the_same(call: str) -> None:
    for whole, bare in zip(sent(rows(call)), sent(rows(call), content=False), strict=True):
        assert whole.span.name == bare.span.name
        assert whole.events == bare.events
        assert whole.attributes.keys() == bare.attributes.keys()
        for name, value in whole.attributes.items():
            if not isinstance(value, str):
                assert bare[name] == value


# What a call says


def test_the_root_shows_the_conversation() -> None:
    (root,) = named(sent(rows("phone")), "call clerk")
    assert (root.span.kind, root.span.status.code) == (Span.SPAN_KIND_INTERNAL, OK)
    assert root["openinference.span.kind"] == "AGENT"
    assert root["input.value"].split("  \n")[0].endswith("Where is order 42?")
    lines = [line.split(" ", 1)[1] for line in root["output.value"].split("  \n")]
    assert lines[:4] == [
        "User: Where is order 42?",
        "Agent: It arrives on Friday.",
        "User: Then cancel it.",
        "Agent: It has shipped.",
    ]
    assert lines[5].startswith("Agent (interrupted): Sending it back")
    assert root["prefactor.dead_air.worst"] > 0
    assert root["prefactor.unanswered"] == 0


def test_an_answer_has_its_question_and_stages_that_sum_to_the_dead_air() -> None:
    answers = named(sent(rows("phone")), "invoke_agent clerk")
    first = answers[0]
    assert first["gen_ai.operation.name"] == "invoke_agent"
    assert (first["input.value"], first["output.value"]) == (
        "Where is order 42?",
        "It arrives on Friday.",
    )
    assert first.json("gen_ai.input.messages")[0]["parts"] == [
        {"type": "text", "content": "Where is order 42?"}
    ]
    for answer in answers:
        spent = [v for k, v in answer.attributes.items() if k.startswith("prefactor.stage.")]
        assert sum(spent) == pytest.approx(answer["prefactor.dead_air"], abs=1e-5)
    assert first["prefactor.stage.tool"] == pytest.approx(0.1, abs=0.01)
    assert [one["prefactor.interrupted"] for one in answers] == [False, False, True, False]


def test_moments_of_turns_are_events() -> None:
    spans = sent(rows("phone"))
    question = named(spans, "user_turn")[0]
    assert {"speech_started", "vad_ended", "committed"} <= {*question.events}
    answer = named(spans, "invoke_agent clerk")[0]
    assert {"created", "playback_started", "playback_finished"} <= {*answer.events}
    at = {event.name: event.time_unix_nano for event in question.span.events}
    assert question.span.start_time_unix_nano <= at["committed"] <= question.span.end_time_unix_nano


def test_a_generation_has_messages_tokens_and_why_it_ended() -> None:
    asked, answered, *_ = named(sent(rows("phone")), "chat scripted-llm")
    assert asked.span.kind == Span.SPAN_KIND_CLIENT
    assert asked["openinference.span.kind"] == "LLM"
    assert asked["gen_ai.response.finish_reasons"] == ["tool_call"]
    assert (asked["gen_ai.usage.input_tokens"], asked["gen_ai.usage.output_tokens"]) == (40, 10)
    (out,) = asked.json("gen_ai.output.messages")
    call = {"type": "tool_call", "id": "call-1", "name": "look_up", "arguments": {"order": "42"}}
    assert out == {"role": "assistant", "parts": [call], "finish_reason": "tool_call"}
    assert asked.json("output.value")["tool_calls"][0]["function"]["name"] == "look_up"
    messages = answered.json("gen_ai.input.messages")
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "tool"]
    assert messages[3]["parts"][0]["type"] == "tool_call_response"
    assert answered["output.value"] == "It arrives on Friday."
    assert answered["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.2, abs=0.01)
    assert re.fullmatch(r'"20\d\d-.*Z"', answered["langfuse.observation.completion_start_time"])
    assert "output.gap" in answered.events


def test_tokens_sum_to_those_of_the_session_and_can_be_left_out() -> None:
    for call in ("phone", "realtime"):
        spans = sent(rows(call))
        used = json.loads(spans[0].row.result or "")["usage"]["model_usage"]
        (model,) = (one for one in used if one["type"] in ("llm_usage", "realtime_usage"))
        for ours, theirs in (("input", "input_tokens"), ("output", "output_tokens")):
            counts = [one.attributes.get(f"gen_ai.usage.{ours}_tokens", 0) for one in spans]
            assert sum(counts) == model[theirs]
        without = sent(rows(call), usage=False)
        assert not [name for one in without for name in one.attributes if "token" in name]


RATES = {
    "scripted-llm": {"input": 2.0, "output": 10.0},
    "scripted-realtime": {"input": 4.0, "output": 16.0, "audio_input": 32.0, "audio_output": 64.0},
}


def with_rates(call: str, rates: dict[str, Any]) -> list[EndedSpan]:
    told = json.dumps(rates)
    return [one._replace(around=one.around._replace(rates=told)) for one in rows(call)]


@pytest.mark.parametrize("call", ["phone", "realtime"])
@pytest.mark.parametrize("content", [True, False])
def test_costs_sum_to_that_of_the_session(call: str, content: bool) -> None:
    spans = sent(with_rates(call, RATES), content=content)
    used = json.loads(spans[0].row.result or "")["usage"]["model_usage"]
    [llm] = costs(
        [one for one in used if one["type"] == "llm_usage"], lambda _, model: RATES.get(model)
    )
    generations = [one for one in spans if "llm.cost.total" in one.attributes]
    assert llm.usd is not None and llm.usd > 0
    assert sum(one["llm.cost.total"] for one in generations) == pytest.approx(llm.usd, rel=1e-9)
    for one in generations:
        parts = (one.attributes.get(f"llm.cost.{part}", 0) for part in ("prompt", "completion"))
        assert one["llm.cost.total"] == sum(parts)
        assert one.json("langfuse.observation.cost_details")["total"] == one["llm.cost.total"]
        assert one["openinference.span.kind"] == "LLM"
    assert not costs_in(sent(with_rates(call, RATES), usage=False))


def costs_in(spans: list[Sent]) -> set[str]:
    return {name for one in spans for name in one.attributes if "cost" in name}


def test_a_request_costs_what_its_tokens_do() -> None:
    asked, *_ = named(sent(with_rates("phone", RATES)), "chat scripted-llm")
    assert (asked["gen_ai.usage.input_tokens"], asked["gen_ai.usage.output_tokens"]) == (40, 10)
    assert asked["llm.cost.prompt"] == pytest.approx(40 * 2 / 1e6)
    assert asked["llm.cost.completion"] == pytest.approx(10 * 10 / 1e6)


def test_what_has_not_all_of_its_rates_has_no_cost() -> None:
    spans = sent(with_rates("phone", {"scripted-llm": {"input": 2.0}}))
    asked, *_ = named(spans, "chat scripted-llm")
    assert asked["llm.cost.prompt"] == pytest.approx(40 * 2 / 1e6)
    assert not {"llm.cost.completion", "llm.cost.total"} & asked.attributes.keys()
    for rates in ({"another": {"input": 2.0}}, {}):
        assert not costs_in(sent(with_rates("phone", rates)))


def test_a_tool_and_its_result_are_one_span() -> None:
    spans = sent(rows("phone"))
    (found,) = named(spans, "execute_tool look_up")
    assert found["openinference.span.kind"] == "TOOL"
    assert found.json("gen_ai.tool.call.arguments") == {"order": "42"}
    assert found.json("gen_ai.tool.call.result") == {"order": "42", "arrives": "Friday"}
    assert found["gen_ai.tool.call.id"] == "call-1"
    assert found["prefactor.tool.outcome"] == "returned"


def stacks(one: Sent) -> list[str]:
    """The stacks of the exceptions of a span."""
    return [
        attribute.value.string_value
        for event in one.span.events
        for attribute in event.attributes
        if attribute.key == "exception.stacktrace"
    ]


def test_a_tool_that_fails_is_an_error_with_its_exception() -> None:
    (failed,) = named(sent(rows("phone")), "execute_tool cancel")
    assert (failed.span.status.code, failed.span.status.message) == (ERROR, "order 42 has shipped")
    assert failed["error.type"] == "ToolError"
    assert failed.events == ["exception"]
    assert failed["output.value"] == "order 42 has shipped"
    [stack] = stacks(failed)
    assert stack.endswith(".cancel")


def test_an_error_is_a_span_and_an_event_in_the_one_that_it_happened_in() -> None:
    spans = sent(rows("failing_llm"))
    (error,) = (one for one in spans if one.row.type == "livekit:error")
    assert error.span.name == f"error {error['error.type']}"
    (parent,) = (one for one in spans if one.span.span_id == error.span.parent_span_id)
    for one in (error, parent):
        assert one.span.status.code == ERROR
        assert one.events.count("exception") == 1
        [stack] = stacks(one)
        assert stack.endswith(" in raising_midway.<locals>.llm_node")


def test_an_error_that_livekit_got_over_is_no_failure_of_its_parent() -> None:
    payload = {"error_type": "APIError", "message": "busy", "recoverable": True}
    around = Around(errors=(json.dumps(payload),))
    assert one("llm", around=around).span.status.code == OK
    payload["recoverable"] = False
    around = Around(errors=(json.dumps(payload),))
    assert one("llm", around=around).span.status.code == ERROR


def test_what_was_cancelled_is_neither_well_nor_an_error() -> None:
    cut = [one for one in sent(rows("cut")) if one.row.status == "cancelled"]
    assert cut
    assert {one.span.status.code for one in cut} == {UNSET}
    assert {one["prefactor.status"] for one in cut} == {"cancelled"}


def test_after_a_handoff_the_other_agent_speaks() -> None:
    spans = sent(rows("handoff"))
    (handoff,) = (one for one in spans if one.row.type == "livekit:handoff")
    assert handoff.span.name == f"handoff {handoff['prefactor.handoff.to']}"
    assert handoff["prefactor.handoff.cause"] == "tool"
    speakers = [one["gen_ai.agent.name"] for one in spans if "invoke_agent" in one.span.name]
    assert speakers[0] == handoff["prefactor.handoff.from"]
    assert speakers[-1] == handoff["prefactor.handoff.to"]


def test_a_realtime_reply_has_its_words_and_its_tokens_by_modality() -> None:
    (reply,) = named(sent(rows("realtime")), "generate_content scripted-realtime")
    assert reply["gen_ai.operation.name"] == "generate_content"
    assert (reply["input.value"], reply["output.value"]) == ("What is tea?", "Tea is three euros.")
    assert reply["gen_ai.usage.audio.input_tokens"] == reply["gen_ai.usage.input_tokens"] > 0
    assert reply["llm.token_count.completion_details.audio"] == reply["gen_ai.usage.output_tokens"]
    assert reply["gen_ai.output.type"] == "speech"


def test_a_voice_is_no_generation_for_langfuse() -> None:
    spans = sent(rows("phone"))
    for name in ("speech_to_text", "text_to_speech"):
        for voice in named(spans, name):
            assert voice["prefactor.model"].startswith("scripted")
            assert "gen_ai.request.model" not in voice.attributes
    seconds = [one.attributes.get("prefactor.audio", 0) for one in named(spans, "text_to_speech")]
    assert max(seconds) > 0


# Rows written by hand


def test_a_pickup_is_told_with_its_stages() -> None:
    stages = [{"name": "connect", "ms": 200.0}, {"name": "llm_ttft", "ms": 300.5}]
    root = one("session", result={"pickup": {"ms": 500.5, "stages": stages}}, parent_id=None)
    assert root["prefactor.pickup"] == 0.5005
    assert root["prefactor.pickup_stage.connect"] == 0.2
    assert root["prefactor.pickup_stage.llm_ttft"] == 0.3005


def test_livekits_span_of_the_same_work_is_linked() -> None:
    otel = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}
    (link,) = one("llm", {"otel": otel}).span.links
    assert (link.trace_id.hex(), link.span_id.hex()) == (otel["trace_id"], otel["span_id"])
    for damaged in ({"trace_id": "xx", "span_id": "yy"}, {"trace_id": "ab", "span_id": "cd"}, {}):
        assert not one("llm", {"otel": damaged}).span.links


def test_moments_of_a_call_are_events_of_its_root() -> None:
    moments = [
        {"at_us": 500_000, "kind": "overlapping_speech", "verdict": "backchannel"},
        {"at_us": 900_000, "kind": "user_away"},
    ]
    started = Around(session_started_us=1_795_802_683_000_000)
    root = one("session", result={"moments": moments}, parent_id=None, around=started)
    assert root.events == ["overlapping_speech", "user_away"]
    told = [plain(one.value) for one in root.span.events[0].attributes]
    assert told == ["backchannel"]


def test_why_a_turn_was_taken_to_be_over_is_told() -> None:
    predictions = [{"probability": 0.2}, {"probability": 0.9}]
    turn = one("user_turn", result={"end_of_turn": {"detector": "v1", "predictions": predictions}})
    assert turn["prefactor.end_of_turn.detector"] == "v1"
    assert turn["prefactor.end_of_turn.probability"] == 0.9


def test_a_generation_without_words_has_an_output_all_the_same() -> None:
    assert one("llm", result={"request_id": "resp-1"})["output.value"] == ""


def test_the_participant_is_named_only_with_content() -> None:
    payload = {"participant": {"identity": "ada"}, "agent_name": "clerk"}
    whole, bare = (sent([row("session", payload)], content=on)[0] for on in (True, False))
    assert whole["user.id"] == "ada"
    assert "user.id" not in bare.attributes
    assert not [value for value in bare.attributes.values() if value == "ada"]
    for taken_out in ("<3 characters>", "[redacted]", ""):
        assert "user.id" not in one("session", {"participant": {"identity": taken_out}}).attributes


def test_a_type_of_a_users_own_is_a_tool() -> None:
    assert one("refund", {"tool_name": "refund"}).span.name == "execute_tool refund"
    assert one("x", type="shop:refund")["openinference.span.kind"] == "TOOL"


def test_redacted_values_may_be_anything() -> None:
    for type_ in ("session", "llm", "realtime", "assistant_turn", "tool", "error", "tts"):
        payload: dict[str, Any] = {"inputs": "[redacted]", "room": 5, "models": None, "otel": "x"}
        payload |= {"error": "[redacted]", "provider": 3, "label": [], "created_at": "[redacted]"}
        result: dict[str, Any] = {"latency": "[redacted]", "usage": 4, "token_usage": [1]}
        result |= {"streams": "[redacted]", "error": 1, "moments_us": 7, "transcript": 3}
        result |= {"tool_calls": "[redacted]", "text": None, "spoken_text": 12, "gaps": ["x"]}
        assert one(type_, payload, result).span.name


@pytest.mark.parametrize("damage", [{"payload": "[]"}, {"payload": "{"}, {"result": "7"}])
def test_a_damaged_row_is_told_by_a_value_error(damage: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        one("llm", **damage)
