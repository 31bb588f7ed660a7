"""The measured work: text turns of a real AgentSession with a scripted model."""

from __future__ import annotations

import itertools
from typing import Any

from livekit.agents import Agent, AgentSession, function_tool, llm
from livekit.agents.llm import ChatChunk, ChoiceDelta, CompletionUsage, FunctionToolCall

from prefactor_agent import TracedAgent, traced_tool

CHUNKS = 60


class Model(llm.LLM):
    """Calls a tool when the user spoke, and then answers in many chunks, without waiting."""

    def __init__(self, chunks: int = CHUNKS, tool: bool = True) -> None:
        super().__init__()
        self._ids = itertools.count()
        self._chunks = chunks
        self._tool = tool

    def chat(
        self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any, **_: Any
    ) -> llm.LLMStream:
        return _Stream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Stream(llm.LLMStream):
    async def _run(self) -> None:
        model = self._llm
        assert isinstance(model, Model)
        send = self._event_ch.send_nowait
        request = f"chat-{next(model._ids)}"
        if model._tool and self._chat_ctx.items[-1].type == "message":
            call = FunctionToolCall(name="look_up", arguments='{"query": "a"}', call_id=request)
            send(ChatChunk(id=request, delta=ChoiceDelta(role="assistant", tool_calls=[call])))
        else:
            for number in range(model._chunks):
                delta = ChoiceDelta(role="assistant", content=f"word{number} ")
                send(ChatChunk(id=request, delta=delta))
        usage = CompletionUsage(completion_tokens=60, prompt_tokens=100, total_tokens=160)
        send(ChatChunk(id=request, usage=usage))


class Plain(Agent):
    @function_tool
    async def look_up(self, query: str) -> str:
        """Look something up."""
        return f"found {query}"


class Traced(TracedAgent):
    @traced_tool
    async def look_up(self, query: str) -> str:
        """Look something up."""
        return f"found {query}"


KEPT_ITEMS = 12


async def turns(session: AgentSession[Any], agent: Agent, count: int) -> None:
    """Run some turns. The history is kept short, so that each turn costs the same."""
    for _ in range(count):
        await session.run(user_input="What is it?")
        if len(agent.chat_ctx.items) > KEPT_ITEMS:
            await agent.update_chat_ctx(agent.chat_ctx.copy().truncate(max_items=4))
            del session.history.items[:-4]
