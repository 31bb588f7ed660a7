"""Values that are marked as sensitive: what is marked, how it reads, and what follows a refusal."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession
from pydantic import SecretStr

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.config import Settings
from prefactor_agent.core.bounds import PAYLOAD_LIMIT
from prefactor_agent.deliver.prefactor import bodies, spans
from prefactor_agent.deliver.prefactor.marks import marks_of
from prefactor_agent.journal.todo import SpanState, Todo
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.schemas.templates import reading_marks
from prefactor_agent.tracing import tracer
from schemas.recorded import recorded, sent, templates
from support.line import NO_RETRIES
from support.prefactor_readers import failures, sensitive_labels
from support.prefactor_server import PrefactorServer
from support.prefactor_server.process import Span
from support.prefactor_server.rules import unwrapped
from support.prefactor_server.summaries import render
from support.scripted import ScriptedLLM, Tokens, Use, Wait
from support.waiting import until

from .arrived import arrived

SPEECH = ["personal_identifiers"]
"""The category of data that a type with speech is registered with."""


def mark(value: object, labels: list[str] = SPEECH) -> dict[str, Any]:
    kind = "string" if isinstance(value, str) else "number"
    return {"$sensitive": kind, "value": value, "labels": labels}


class Clerk(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Take orders.")

    @traced_tool(
        data_risk={
            "params_data_categories": {
                "classification": "restricted",
                "financial_information": "included",
            },
            "result_data_categories": {"classification": "public"},
        }
    )
    async def settle_bill(self, card: str, amount: int, twice: bool) -> str:
        """Take money."""
        return "paid"

    @traced_tool
    async def hours(self, day: str) -> dict[str, Any]:
        """When it is open."""
        raise ConnectionError("nobody knows")


async def one_call(server: PrefactorServer, journal: Path, **changes: Any) -> None:
    model = ScriptedLLM(
        [
            Wait(0.01),
            Use("settle_bill", {"card": "4111", "amount": 5, "twice": False}),
            Tokens(40, 5),
        ],
        [Wait(0.01), Use("hours", {"day": "monday"})],
        [Wait(0.01), "It is paid.", Tokens(60, 10)],
    )
    token = SecretStr(server.token)
    settings = Settings(journal=journal, api_url=server.url, api_token=token, **changes)
    pipeline = Pipeline(settings, lambda session_id, reason: None)
    tracer.send_to(pipeline)
    session: AgentSession[None] = AgentSession(llm=model, conn_options=NO_RETRIES)
    await session.start(Clerk())
    await session.generate_reply(user_input="I pay")
    await session.aclose()
    await asyncio.to_thread(until, lambda: pipeline.flush(1.0))


def one(server: PrefactorServer, type_: str) -> Span:
    [found] = [span for span in server.spans() if span.type == type_]
    return found


async def test_transcripts_and_arguments_are_marked(
    server: PrefactorServer, tmp_path: Path
) -> None:
    await one_call(server, tmp_path / "journal.db", mark_sensitive=True)
    turn = one(server, "livekit:user_turn")
    assert turn.result is not None
    assert turn.result["transcript"] == mark("I pay")
    assert turn.result["status"] == "completed"
    request = min(
        (span for span in server.spans() if span.type == "livekit:llm"),
        key=lambda span: span.started_at,
    )
    messages = request.payload["inputs"]["messages"]
    system, user = messages[0], messages[-1]  # between them may be what LiveKit notes
    assert system == {"role": "system", "same_as": bodies.INSTRUCTIONS}
    assert user == {"role": "user", "content": mark("I pay")}
    assert request.payload["inputs"]["ai"] == {"model": {"id": "scripted-llm"}}
    assert request.payload["token_usage"]["total_tokens"] == 45
    assert server.violations() == []


async def test_what_a_tool_says_of_its_data_decides_on_its_marks(
    server: PrefactorServer, tmp_path: Path
) -> None:
    await one_call(server, tmp_path / "journal.db", mark_sensitive=True)
    bill, hours = one(server, "livekit:tool:settle_bill"), one(server, "livekit:tool:hours")
    card, amount = mark("4111", ["financial_information"]), mark(5, ["financial_information"])
    assert bill.payload["inputs"] == {"card": card, "amount": amount, "twice": False}
    assert (bill.result or {})["outputs"]["output"] == "paid", "it is public"
    assert hours.payload["inputs"] == {"day": mark("monday", ["confidential"])}
    assert hours.payload["tool_name"] == "hours"
    assert failures(server.spans()) == [("hours", "nobody knows")], "readers take it as it is"
    labels = sensitive_labels(server.spans())
    assert labels["financial_information"] == 1
    assert labels["personal_identifiers"] >= 3


async def test_a_marked_call_is_the_same_call(server: PrefactorServer, tmp_path: Path) -> None:
    """With the same summaries, once its marks are taken off."""
    with PrefactorServer() as plain:
        await one_call(server, tmp_path / "marked.db", mark_sensitive=True)
        await one_call(plain, tmp_path / "plain.db", mark_sensitive=False)
        assert shapes(server) == shapes(plain)


def shapes(server: PrefactorServer) -> Counter[str]:
    types = {
        entry["name"]: entry["template"]
        for instance in server.instances()
        for entry in instance["registration"]["agent_schema_version"]["span_type_schemas"]
    }
    shown: Counter[str] = Counter()
    for span in server.spans():
        payload, result = unwrapped(span.payload, ""), unwrapped(span.result or {}, "")
        assert render(types[span.type], span.payload, span.result) == render(
            types[span.type], payload, result
        )
        shown[f"{span.type} {span.status} {sorted(payload)} {sorted(result)}"] += 1
    return shown


@pytest.mark.parametrize("bulk", [True, False])
async def test_where_marks_are_refused_the_spans_go_without(
    server: PrefactorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, bulk: bool
) -> None:
    server.fault("no_marks")
    if not bulk:
        server.fault("no_bulk")
    journal = tmp_path / "journal.db"
    await one_call(server, journal, mark_sensitive=True)
    arrived(server, journal)
    assert "$sensitive" not in json.dumps([[span.payload, span.result] for span in server.spans()])
    refusals = [line for line in caplog.messages if "refuses values that are marked" in line]
    assert len(refusals) == 1


async def test_a_span_that_is_refused_for_something_else_keeps_the_others_marked(
    server: PrefactorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault("reject_type", schema_name="livekit:tool:settle_bill")
    journal = tmp_path / "journal.db"
    await one_call(server, journal, mark_sensitive=True)
    assert one(server, "livekit:tool:hours").payload["inputs"]["day"] == mark(
        "monday", ["confidential"]
    )
    assert "refuses values that are marked" not in caplog.text


def test_every_summary_reads_the_same_with_marks_whoever_takes_them_off() -> None:
    """Also in a service that renders what it got: there a mark is an object like any other."""
    for span in sent():
        template = templates()[span.case, span.type]
        marks = marks_of(span.type)
        payload, result = marks.payload(span.payload), marks.result(span.result or {})
        expected = render(template, span.payload, span.result)
        assert render(reading_marks(template), payload, result) == expected
        assert render(reading_marks(template), span.payload, span.result) == expected
        assert render(reading_marks(template), seen_raw(payload), seen_raw(result)) == expected


def seen_raw(value: Any) -> Any:
    """As a service sees it that knows no marks."""
    if isinstance(value, dict):
        return {key.replace("$", ""): seen_raw(below) for key, below in value.items()}
    return [seen_raw(below) for below in value] if isinstance(value, list) else value


def test_chunks_are_marked_and_a_cut_mark_is_sound() -> None:
    chunks = '{"offset_us":[0,9],"size":[3,4],"text":["It ","is. "]}'
    result = json.dumps({"text": "It is. " * 20_000, "streams": {"output": {"kind": "text"}}})
    todo = Todo(
        1, SpanState.NEW, None, "s" * 32, None, "livekit:llm", "complete", 1, 2,
        '{"inputs":{"messages":[]}}', result, None,
    )  # fmt: skip
    body = bodies.create(
        todo, "i", "livekit:llm", "r", None, {"output": [chunks]}, marks=marks_of("livekit:llm")
    )
    fields = json.loads(body.fields)
    assert (body.marked, fields["sensitive_encoding"]) == (True, True)
    assert len(body.fields) < PAYLOAD_LIMIT
    stream = fields["result_payload"]["streams"]["output"]
    assert stream["text"] == [mark("It "), mark("is. ")]
    assert (stream["size"], stream["kind"]) == ([3, 4], "text")
    assert fields["result_payload"]["truncated"] is True
    assert len(unwrapped(fields["result_payload"], "")["text"]) <= 65_600


def test_what_is_no_content_has_no_mark() -> None:
    for _, found, _ in recorded()[:20]:
        for span in found:
            if span.type in ("livekit:state", "livekit:error", "livekit:handoff"):
                assert marks_of(span.type).payload(span.payload) == span.payload
    assert spans.SpanSender.use_marks is False
