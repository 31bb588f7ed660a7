"""A traced text session, of a program that has the installed package and nothing else.

`python -I session.py JOURNAL`: asks a question, has a tool called, and checks what the journal then
holds with the installed command. Run by `make dist` in an empty environment."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from livekit.agents import AgentSession, RunResult, llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

import prefactor_agent
from prefactor_agent import TracedAgent, configure, traced_tool


class Script(llm.LLM[str]):
    """A model that calls the tool, and then says what the tool returned."""

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        return Stream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class Stream(llm.LLMStream):
    async def _run(self) -> None:
        returned = [i.output for i in self._chat_ctx.items if i.type == "function_call_output"]
        if returned:
            said = llm.ChoiceDelta(role="assistant", content=f"It is {returned[-1]}.")
        else:
            call = llm.FunctionToolCall(name="price", arguments="{}", call_id=uuid.uuid4().hex)
            said = llm.ChoiceDelta(role="assistant", tool_calls=[call])
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=said))


class Clerk(TracedAgent):
    @traced_tool
    async def price(self) -> str:
        """The price of the kettle."""
        return "thirty euros"


async def hold() -> AsyncIterator[str]:
    session: AgentSession[None] = AgentSession(llm=Script())
    await session.start(Clerk(instructions="Sell."))
    result: RunResult[None] = await session.run(user_input="What is the kettle?")
    for event in result.events:
        yield event.type
    await session.aclose()


async def main() -> None:
    journal = Path(sys.argv[1])
    configure(journal=journal)
    events = [event async for event in hold()]
    assert "function_call" in events, events
    assert prefactor_agent.flush(10)
    command = Path(sys.executable).with_name("prefactor-agent")
    exported = subprocess.run(
        [command, "export", "last", "--journal", journal], check=True, capture_output=True
    )
    spans = [json.loads(line) for line in exported.stdout.splitlines()]
    types = {span.get("type") for span in spans}
    assert "livekit:tool:price" in types, types
    assert b"thirty euros" in exported.stdout


if __name__ == "__main__":
    asyncio.run(main())
