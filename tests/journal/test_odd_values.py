"""Values that cannot be written as they are cost themselves, and nothing beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession, stt

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.config import Settings
from prefactor_agent.core import guard
from prefactor_agent.core.span import Status
from prefactor_agent.journal.reader import Journal
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.record.spans.stream import SpeechEvents
from prefactor_agent.record.spans.tree import SpanTree
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.tracing import tracer
from support.scripted import ScriptedLLM, Use
from support.waiting import PATIENCE

HALF = "\ud83d"


async def kept(tmp_path: Path, *replies: Any, said: str = "hello") -> list[StoredSpan]:
    writer = JournalWriter(Settings(journal=tmp_path / "j.db"))
    tracer.send_to(writer)

    class Mine(TracedAgent):
        @traced_tool
        async def look(self) -> str:
            """Look."""
            return f"seen {HALF}"

    session = AgentSession[None](llm=ScriptedLLM(*replies))
    await session.start(Mine(instructions="be"))
    await session.run(user_input=said)
    await session.aclose()
    assert writer.flush(PATIENCE)
    journal = Journal(tmp_path / "j.db")
    spans = journal.call(journal.find())
    journal.close()
    assert all(span.status == "complete" for span in spans)
    return spans


def of(spans: list[StoredSpan], name: str) -> list[StoredSpan]:
    return [span for span in spans if span.name == name]


async def test_half_an_emoji_is_kept_as_a_replacement_character(tmp_path: Path) -> None:
    spans = await kept(tmp_path, ["so " + HALF, "\ude00 well"], said="hi " + HALF)
    (llm,) = of(spans, "llm")
    assert llm.result["text"] == "so \U0001f600 well"
    assert llm.result["streams"]["output"]["count"] == 2
    assert of(spans, "user_turn")[0].result["transcript"] == "hi \ufffd"


async def test_half_an_emoji_from_a_tool_is_kept_as_a_replacement_character(tmp_path: Path) -> None:
    spans = await kept(tmp_path, [Use("look")], ["so"])
    (_, result) = of(spans, "look")
    assert result.result["outputs"] == {"output": "seen \ufffd"}
    assert len(of(spans, "llm")) == 2
    assert not guard.failures


def test_a_value_that_cannot_be_kept_costs_no_other(tmp_path: Path) -> None:
    writer = JournalWriter(Settings(journal=tmp_path / "j.db", redact_keys=frozenset({"card"})))
    call = SpanTree(writer)
    call.announce({"name": "livekit-session"})
    deep: Any = []
    for _ in range(230):
        deep = [deep]
    before = call.begin("livekit:user_turn", "before", None, {"n": 1})
    bad = call.begin("livekit:tool:a", HALF, before, {"deep": deep})
    call.end(bad, Status.COMPLETE, {"deep": deep})
    call.end(before, Status.COMPLETE, {"status": "completed"})
    call.end(call.root, Status.COMPLETE, {"status": "completed"})
    assert writer.flush(PATIENCE)
    journal = Journal(tmp_path / "j.db")
    session, turn, tool = journal.call(call.root.id)
    journal.close()
    assert (session.status, turn.payload, turn.status) == ("complete", {"n": 1}, "complete")
    assert (tool.name, tool.parent_id, tool.status) == ("\ufffd", turn.id, "complete")
    assert "tracer_error" in tool.payload
    assert "tracer_error" in tool.result
    assert guard.failures.pop("span.kept") == 2


@pytest.mark.parametrize("text", [None, HALF])
def test_a_transcript_without_a_text_is_counted(text: Any, tmp_path: Path) -> None:
    writer = JournalWriter(Settings(journal=tmp_path / "j.db"))
    call = SpanTree(writer)
    call.announce({})
    events = SpeechEvents(call.root.started_ns)
    span = call.begin("livekit:stt", "stt", None, {}, streams={"events": events})
    data = stt.SpeechData(language="en", text=text)  # type: ignore[arg-type]
    events.add(stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[data]))
    call.end(span, Status.COMPLETE, {})
    call.end(call.root, Status.COMPLETE, {})
    assert writer.flush(PATIENCE)
    journal = Journal(tmp_path / "j.db")
    told = journal.call(call.root.id)[1]
    journal.close()
    assert json.loads(json.dumps(told.result))["streams"]["events"]["count"] == 1
