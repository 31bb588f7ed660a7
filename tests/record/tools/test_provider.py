"""What a provider runs on its own side: a span each, from the log of LiveKit's own plugin."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession
from livekit.agents.utils import http_context
from livekit.plugins.openai import responses

from prefactor_agent import TracedAgent
from prefactor_agent.compat.session import PrefactorLiveKitSession
from prefactor_agent.record.tools import provider as provider_tools
from support.line import NO_RETRIES
from support.responses_server import ResponsesServer
from support.tree import JSON, Recorder, check, outline
from support.waiting import PATIENCE

LOG = "livekit.plugins.openai"
TOLD = tuple(map(int, version("livekit-plugins-openai").split(".")[:2])) >= (1, 6)

SEARCHED: JSON = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "opening hours", "sources": []},
}
LOOKED_UP: JSON = {
    "id": "fs_1",
    "type": "file_search_call",
    "status": "completed",
    "queries": ["price of tea"],
    "results": [{"file_id": "f1", "filename": "prices.txt", "score": 0.9, "text": "tea: 3"}],
}
ASKED: JSON = {
    "id": "mcp_1",
    "type": "mcp_call",
    "name": "book_table",
    "server_label": "restaurant",
    "arguments": '{"people": 2}',
    "error": {"type": "http_error", "code": 409, "message": "no table left"},
    "status": "failed",
}

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(not TOLD, reason="before 1.5.18 LiveKit does not tell of it at all"),
]


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """The level that LiveKit's command line sets."""
    logger = logging.getLogger(LOG)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(before)


async def call(*ran: JSON, agent: Agent | None = None, websocket: bool = False) -> None:
    server = ResponsesServer("Until six.", *ran)
    async with server.running() as url, http_context.open(), asyncio.timeout(PATIENCE):
        address = f"{url}/responses" if websocket else url
        model = responses.LLM(
            model="gpt-4.1", api_key="none", base_url=address, use_websocket=websocket
        )
        session: AgentSession[None] = AgentSession(llm=model, conn_options=NO_RETRIES)
        if agent is not None:
            await PrefactorLiveKitSession().attach(session)
        await session.start(agent or TracedAgent(instructions="help"))
        await session.run(user_input="how long are you open?")
        await session.aclose()
        await model.aclose()


def tools(sink: Recorder) -> list[JSON]:
    return [one for one in sink.as_dicts() if one["type"].split(":")[1] == "tool"]


@pytest.mark.parametrize("websocket", [False, True], ids=["http", "websocket"])
async def test_a_web_search_is_below_its_request(websocket: bool, sink: Recorder) -> None:
    await call(SEARCHED, websocket=websocket)
    assert outline(sink) == [
        "session",
        "  user_turn: how long are you open?",
        "  assistant_turn: Until six.",
        "    llm: Until six.",
        "      tool: returned",
        "        tool_result web_search: returned",
        "    transcription: Until six.",
    ]
    check(sink)
    (tool,) = tools(sink)
    payload, result = tool["payload"], tool["result"]
    assert (tool["type"], tool["name"]) == ("livekit:tool", "web_search")
    assert tool["status"] == "complete"
    assert (payload["run_by"], payload["call_id"]) == ("provider", "ws_1")
    assert payload["inputs"]["action"]["query"] == "opening hours"
    assert result["is_error"] is False
    # Nobody measured it.
    assert tool["finished_us"] == tool["started_us"]
    assert "duration_ms" not in result
    # The model did not ask the agent for it.
    assert sink.one("livekit:assistant_turn")["result"]["tool_calls"] == 0
    assert sink.one("livekit:session")["result"]["conversation"]["function_calls"] == 0


async def test_what_it_found_and_what_failed(sink: Recorder) -> None:
    await call(LOOKED_UP, ASKED)
    check(sink)
    found, failed = tools(sink)
    assert found["payload"]["inputs"] == {"queries": ["price of tea"]}
    (hit,) = found["result"]["outputs"]["output"]["results"]
    assert hit["text"] == "tea: 3"
    assert (failed["name"], failed["status"]) == ("book_table", "failed")
    assert failed["payload"]["inputs"]["arguments"] == '{"people": 2}'
    assert failed["result"]["error"] == {"message": "no table left"}


async def test_the_models_other_items_are_no_calls(sink: Recorder) -> None:
    listed = {"id": "l_1", "type": "mcp_list_tools", "server_label": "restaurant", "tools": []}
    await call(listed)
    assert tools(sink) == []


async def test_of_an_agent_that_is_not_traced(sink: Recorder) -> None:
    await call(SEARCHED, agent=Agent(instructions="help"))
    check(sink)
    (tool,) = tools(sink)
    assert tool["name"] == "web_search"
    assert tool["parent_id"] == sink.one("livekit:assistant_turn")["id"]


async def test_the_record_goes_on_unchanged(
    sink: Recorder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(provider_tools.ProviderTools, "on_item", fails)
    with caplog.at_level(logging.INFO, logger=LOG):
        await call(SEARCHED)
    (record,) = (one for one in caplog.records if one.msg == "provider tool executed")
    assert record.tool_type == "web_search_call"  # type: ignore[attr-defined]
    assert tools(sink) == []


async def test_several_sessions_share_one_listener(sink: Recorder) -> None:
    await call(SEARCHED)
    await call(SEARCHED)
    assert len(tools(sink)) == 2
    assert logging.getLogger(LOG).filters.count(provider_tools._look) == 1
