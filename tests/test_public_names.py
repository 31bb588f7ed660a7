from __future__ import annotations

from pathlib import Path

import prefactor_livekit
import pytest
from livekit.agents import AgentSession

import prefactor_agent
from prefactor_agent import TracedAgent, compat, config, configure, flush, livekit_version
from prefactor_agent.journal.reader import Journal
from support.scripted import ScriptedLLM


def test_what_a_user_needs_first_stands_first() -> None:
    own = prefactor_agent.__all__[: -len(compat.NAMES)]
    assert own[:4] == ["TracedAgent", "TracedAgentTask", "traced_tool", "configure"]
    assert {*own} & {*compat.NAMES} == set()


def test_the_names_of_prefactor_livekit_come_from_compat() -> None:
    assert {*prefactor_livekit.__all__} - {"__version__"} == {*compat.NAMES}
    assert {*prefactor_agent.__all__} >= {*compat.NAMES}


@pytest.mark.real_time
async def test_flush_has_all_written(tmp_path: Path) -> None:
    journal = tmp_path / "calls.db"
    configure(journal=journal)
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Hello."]))
    await session.start(TracedAgent(instructions="be"))
    await session.run(user_input="hi")
    await session.aclose()
    assert flush()
    reader = Journal(journal)
    [root] = [span for span in reader.call(reader.find("last")) if span.parent_id is None]
    assert root.status == "complete"
    reader.close()


def test_flush_without_a_call_is_done() -> None:
    assert flush(0)
    assert config.settings().flush_timeout == 5.0


@pytest.mark.parametrize(
    ("installed", "refused"), [("1.4.9", True), ("0.12", True), ("1.5.0rc1", False), ("2.0", False)]
)
def test_a_livekit_that_is_too_old_is_refused(
    installed: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: installed)
    if refused:
        with pytest.raises(ImportError, match=rf"{installed} is too old .*: pip install -U"):
            livekit_version.require_livekit()
    else:
        livekit_version.require_livekit()
