"""The sample that was written for prefactor-livekit: it runs with either import."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from livekit.agents import AgentSession
from prefactor_core import PrefactorTelemetryFailureError

from support.prefactor_server import PrefactorServer
from support.scripted import ScriptedLLM, Tokens, Use

pytestmark = pytest.mark.real_time

SOURCE = Path(__file__).parents[2] / "samples" / "migrate_from_prefactor_livekit.py"
NAMES = "import LiveKitToolSchemaConfig, PrefactorLiveKitSession\n"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefactorServer]:
    with PrefactorServer() as server:
        monkeypatch.setenv("PREFACTOR_API_URL", server.url)
        monkeypatch.setenv("PREFACTOR_API_TOKEN", server.token)
        yield server


def sample(package: str) -> ModuleType:
    """The sample, with its names from this package."""
    text = SOURCE.read_text()
    line = f"\nfrom prefactor_agent {NAMES}"
    assert text.count(line) == 1
    module = ModuleType("migrated")
    program = text.replace(line, f"\nfrom {package} {NAMES}")
    exec(compile(program, str(SOURCE), "exec"), module.__dict__)
    return module


async def call(program: ModuleType) -> list[str]:
    """What its entrypoint does, with a scripted model and typed words."""
    replies: list[Any] = [
        [Use("look_up_order", {"number": 42})],
        ["It arrives ", "on Thursday.", Tokens(30, 6)],
    ]
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(*replies))
    tracer = program.new_tracer()
    await tracer.start(session=session, agent=program.Assistant())
    result = await session.run(user_input="Where is order 42?")
    await session.aclose()
    with contextlib.suppress(PrefactorTelemetryFailureError):  # theirs: its spans break its schemas
        await tracer.close()
    return [type(event).__name__ for event in result.events]


async def test_with_the_import_changed_it_is_the_same_call(server: PrefactorServer) -> None:
    server.fault("delay", path="/agent_spans", delay=0.3, times=1)  # theirs: see tests/compat
    before = await call(sample("prefactor_livekit"))
    server.reset()
    after = await call(sample("prefactor_agent"))
    assert after == before
    types = [span.type for span in server.spans()]
    assert types.count("livekit:session") == types.count("livekit:user_turn") == 1
    assert types.count("livekit:llm") == 2
    assert types.count("livekit:tool:look-up-order") == 1
    [instance] = server.instances()
    assert instance["registration"]["agent_version"]["name"] == "Bookshop"
    [root] = server.tree()
    assert root.payload["metadata"]["tool_span_types"] == {
        "look_up_order": "livekit:tool:look-up-order"
    }
    assert server.violations() == []
