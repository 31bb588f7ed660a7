"""The quality of a call at Prefactor is what our own lists say of it, number for number."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession

from prefactor_agent import TracedAgent, configure, flush, record_quality, traced_tool
from prefactor_agent.core.span import Span
from prefactor_agent.journal.reader import Journal
from prefactor_agent.schemas import templates
from prefactor_agent.schemas.catalog import QUALITY
from prefactor_agent.stored.figures import FIGURES
from prefactor_agent.view.export.outline import outline
from schemas.recorded import recorded
from support.line import NO_RETRIES
from support.prefactor_server import PrefactorServer
from support.prefactor_server.summaries import render
from support.scripted import ScriptedLLM, Use
from support.waiting import PATIENCE

from ..conftest import Side


def test_every_number_is_that_of_sessions_and_show(server: PrefactorServer, side: Side) -> None:
    """Of the calls of the differential tests, among others."""
    for _, spans, _ in recorded():
        for span in spans:
            side.writer.put(with_rates(span) if span.parent_id is None else span)
    side.deliverer.start()
    assert side.flush()
    sent = {
        instance["external_identifier"].rpartition("/")[2]: instance["id"]
        for instance in server.instances()
    }
    told = {record["agent_instance_id"]: record["payload"] for record in server.quality()}
    assert len(told) == len(sent) > 100
    with contextlib.closing(Journal(side.settings.journal)) as journal:
        for session_id, instance_id in sent.items():
            shown = outline(journal.call(session_id))
            for name in (one.name for one in FIGURES if one.field is not None):
                number = len(shown[name]) if name == "turns" else shown[name]
                assert told[instance_id].get(name) == number, (session_id, name)
            cost = shown["cost"] or {"usd": None}
            assert told[instance_id].get("cost_usd") == cost["usd"]
            assert told[instance_id].get("cost_partial", False) == bool(
                cost["usd"] is not None and (cost["so_far"] or cost["unpriced"])
            )
    assert {True, None} <= {payload.get("cost_partial") for payload in told.values()}
    assert {None} < {payload.get("cost_usd") for payload in told.values()}
    assert server.violations() == []

    lines = {render(templates.CALL, payload, None) or "" for payload in told.values()}
    assert len(lines) > 10
    for line in lines:
        assert re.fullmatch(r"\d+ turns?(, \S+( \S+)*)*", line), line
        assert len(line) <= templates.LIMIT
    assert "3 turns, dead air 0.5 s (worst 0.7 s), 1 of 3 tool calls failed" in lines


def with_rates(session: Span) -> Span:
    rates = {"scripted-llm": {"input": 2.0, "output": 10.0}}
    priced = copy.copy(session)
    priced.payload = {**session.payload, "rates": rates}
    return priced


CSAT: dict[str, Any] = {
    "schema": {
        "type": "object",
        "properties": {"stars": {"type": "integer", "minimum": 1}, "why": {"type": "string"}},
        "required": ["stars"],
    },
    "template": "{{ stars }} stars",
}


class Host(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Ask how it was.")

    @traced_tool
    async def rate(self, stars: int) -> str:
        """Keep what the caller says."""
        assert record_quality(self.session, "csat", {"stars": 1})
        assert record_quality(self.session, "csat", {"stars": stars, "why": "quick"})
        return "thanks"


async def rated(server: PrefactorServer, journal: Path, stars: int, **changes: Any) -> None:
    configure(
        journal=journal,
        api_url=server.url,
        api_token=server.token,
        quality_schemas={"csat": CSAT, "tone": {"schema": {"type": "object"}}},
        **changes,
    )
    model = ScriptedLLM([Use("rate", {"stars": stars})], "Thank you.")
    session: AgentSession[None] = AgentSession(llm=model, conn_options=NO_RETRIES)
    await session.start(Host())
    await session.generate_reply(user_input=f"{stars} stars")
    assert not record_quality(session, "mood", {"good": True}), "it has no schema"
    assert not record_quality(session, "tone", "warm")  # type: ignore[arg-type]
    await session.aclose()
    assert not record_quality(session, "tone", {"warm": 1}), "the call is over"
    assert await asyncio.to_thread(flush, PATIENCE)


def recorded_by(server: PrefactorServer) -> dict[str, Any]:
    return {record["name"]: record["payload"] for record in server.quality()}


async def test_a_program_records_a_quality_of_its_own(
    server: PrefactorServer, tmp_path: Path
) -> None:
    await rated(server, tmp_path / "journal.db", 5)
    told = recorded_by(server)
    assert told["csat"] == {"stars": 5, "why": "quick"}
    assert told.keys() == {QUALITY, "csat"}
    [instance] = server.instances()
    entries = instance["registration"]["agent_schema_version"]["quality_schemas"]
    [entry] = [entry for entry in entries if entry["name"] == "csat"]
    assert (entry["schema"], entry["template"]) == (CSAT["schema"], CSAT["template"])
    assert server.violations() == []


async def test_a_quality_without_content_keeps_its_numbers(
    server: PrefactorServer, tmp_path: Path
) -> None:
    await rated(server, tmp_path / "journal.db", 4, capture_content=False)
    assert recorded_by(server)["csat"] == {"stars": 4, "why": "<5 characters>"}


async def test_a_quality_that_does_not_fit_its_schema_costs_itself_alone(
    server: PrefactorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await rated(server, tmp_path / "journal.db", 0)
    assert recorded_by(server).keys() == {QUALITY}
    assert "the quality csat of a call is not at Prefactor" in caplog.text
    [instance] = server.instances()
    assert instance["status"] == "complete"
