"""What a program says of a tool where it decorates it, at the other end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from livekit.agents import AgentSession
from pydantic import SecretStr

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.config import Settings
from prefactor_agent.deliver.prefactor.target import Prefactor
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.tracing import tracer
from support.prefactor_server import PrefactorServer
from support.scripted import ScriptedLLM, Use
from support.waiting import PATIENCE, until

from ..pushed import pushed
from .arrived import arrived

RISK = {
    "action_profile": {"financial_transactions": "allowed"},
    "params_data_categories": {"financial_information": "included"},
}


class Cashier(TracedAgent):
    async def on_enter(self) -> None:
        self.session.generate_reply()

    @traced_tool(data_risk=RISK, summary="paid {{ inputs.amount }}", capture_content=False)
    async def pay(self, card: str, amount: int) -> str:
        """Pay."""
        return f"receipt for {card}"

    @traced_tool
    async def thank(self, name: str) -> str:
        """Thank."""
        return f"thanks, {name}"


class Desk(TracedAgent):
    @traced_tool
    async def to_the_cashier(self) -> Any:
        """Hand over."""
        return Cashier(instructions="Take money.")


def registered(server: PrefactorServer) -> dict[str, dict[str, Any]]:
    [instance] = server.instances()
    version = instance["registration"]["agent_schema_version"]
    return {entry["name"]: entry for entry in version["span_type_schemas"]}


async def a_call() -> list[Any]:
    model = ScriptedLLM(
        [Use("to_the_cashier")],
        [Use("pay", {"card": "4111-secret", "amount": 5}), Use("thank", {"name": "Ada"})],
        "That was it.",
        "That was it.",
    )
    session: AgentSession[None] = AgentSession(llm=model)
    await session.start(Desk(instructions="Say hello."))
    await session.generate_reply(user_input="I want to pay")
    async with asyncio.timeout(PATIENCE):
        while session.history.items[-1].type != "message":
            await asyncio.sleep(0.01)
        while session.history.items[-1].text_content != "That was it.":
            await asyncio.sleep(0.01)
    await session.aclose()
    return [i.output for i in session.history.items if i.type == "function_call_output"]


async def test_the_options_of_a_tool_reach_prefactor_and_its_content_does_not(
    server: PrefactorServer, tmp_path: Path
) -> None:
    settings = Settings(
        journal=tmp_path / "journal.db", api_url=server.url, api_token=SecretStr(server.token)
    )
    pipeline = Pipeline(settings, lambda session_id, reason: None)
    tracer.send_to(pipeline)
    outputs = await a_call()
    assert "receipt for 4111-secret" in outputs, "the model sees everything"
    await asyncio.to_thread(until, lambda: pipeline.flush(1.0))
    types = registered(server)
    paid = types["livekit:tool:pay"]
    assert paid["template"] == "paid {{ inputs.amount }}"
    assert paid["data_risk"] == {**RISK, "result_data_categories": {}}
    # The second agent was not there when the call was registered; its tools were all the same.
    assert {"livekit:tool:pay", "livekit:tool:thank", "livekit:tool:to_the_cashier"} <= {
        span.type for span in server.spans()
    }
    [thanked] = [span for span in server.spans() if span.type == "livekit:tool:thank"]
    assert thanked.payload["inputs"] == {"name": "Ada"}
    [span] = [span for span in server.spans() if span.type == "livekit:tool:pay"]
    assert span.payload["inputs"] == {"card": "<11 characters>", "amount": "<int>"}
    # Four digits alone come up in ids and times.
    assert b"4111-secret" not in b"".join(
        part.read_bytes() for part in tmp_path.glob("journal.db*")
    )
    arrived(server, settings.journal)


async def test_another_process_registers_the_same_tools(
    server: PrefactorServer, tmp_path: Path
) -> None:
    """The process that had the call has no token; who pushes has not imported the agent."""
    offline = Settings(journal=tmp_path / "journal.db")
    pipeline = Pipeline(offline, lambda session_id, reason: None)
    tracer.send_to(pipeline)
    await a_call()
    assert await asyncio.to_thread(pipeline.flush, PATIENCE)
    online = Settings(
        journal=offline.journal, api_url=server.url, api_token=SecretStr(server.token)
    )
    await pushed(Prefactor(online))
    assert registered(server)["livekit:tool:pay"]["data_risk"]["action_profile"] == {
        "financial_transactions": "allowed"
    }
    arrived(server, online.journal)
