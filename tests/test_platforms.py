"""What other systems lack. They are not here to run on: what is theirs alone is tried on them
only."""

from __future__ import annotations

from pathlib import Path

from support.exits import run_to_its_end

WITHOUT_FORK = """
import os
for name in ("register_at_fork", "fork", "forkpty"):
    delattr(os, name)  # as on Windows, from the beginning

import asyncio, sys
sys.path[:0] = {path!r}
from livekit.agents import AgentSession
from prefactor_agent import TracedAgent, cli
from prefactor_agent.tracing import tracer
from support.scripted import ScriptedLLM

async def main():
    session = AgentSession(llm=ScriptedLLM("Hi."))
    await session.start(TracedAgent(instructions="work"))
    await session.run(user_input="hello")
    await session.aclose()

asyncio.run(main())
assert tracer.flush(60)
sys.argv = ["prefactor-agent", "show"]
cli.main()
"""


def test_a_system_that_cannot_fork(tmp_path: Path) -> None:
    """Windows."""
    journal, _ = run_to_its_end(WITHOUT_FORK, tmp_path / "calls.db", 0)
    (session, *spans) = journal.call(journal.find())
    assert session.status == "complete"
    assert {"livekit:user_turn", "livekit:assistant_turn"} <= {span.type for span in spans}
