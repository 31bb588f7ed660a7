"""A call of which the journal writes everything in one batch: its root's begin and end are one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from prefactor_agent import TracedAgent
from prefactor_agent.config import Settings
from prefactor_agent.journal import writer
from prefactor_agent.journal.reader import Journal
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.tracing import tracer
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT
from support.waiting import PATIENCE


async def test_a_session_that_is_written_at_once_has_the_latency_of_its_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    kept = JournalWriter(Settings(journal=path))
    batches: list[writer.Batch] = []
    write = kept._write

    def noted(batch: writer.Batch) -> None:
        batches.append(batch)
        write(batch)

    monkeypatch.setattr(kept, "_write", noted)
    line = Line(hears=ScriptedSTT("one", "two"), thinks=ScriptedLLM("An answer.", "Another."))
    with tracer.sending_to(kept), kept._round:  # the writer has no turn until the call is over
        async with line.to(TracedAgent(instructions="x")):
            for count in (1, 2):
                await line.says()
                await line.answers(count)
            await asyncio.sleep(0.1)
    assert kept.flush(PATIENCE)
    (batch,) = batches
    assert (batch.rows[0].parent_id, batch.rows[0].status) == (None, "complete")
    session, *spans = Journal(path).call(batch.rows[0].id)
    heard = [span.result["latency"] for span in spans if span.type == "livekit:assistant_turn"]
    assert session.result["latency"]["turns"] == len(heard) == 2
    assert session.result["latency"]["worst_ms"] == max(one["perceived_ms"] for one in heard)
