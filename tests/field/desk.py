"""An agent that does in its hooks and its tools what agents do, plain or traced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

from livekit.agents import (
    Agent,
    AgentSession,
    AgentTask,
    RunContext,
    StopResponse,
    ToolError,
    function_tool,
    llm,
)

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool
from support.scripted import Use

TOOLS = ("look", "speaks", "nothing", "fails", "breaks", "stops", "asks", "gives", "task", "swaps")
TOOL_SECONDS = 0.7
HOOK_SECONDS = 0.3
KINDS = ("message", "function_call_output")


def words_for(asked: str, tools: set[str]) -> list[str | Use]:
    """What a model says to a question: its last word says what it does."""
    how = asked.split()[-1] if asked else ""
    if "answered" in tools:
        return [Use("answered")]
    if how == "before":
        return ["One moment, let me see. ", Use("look")]
    if how == "emptily":
        return []
    return [Use(how)] if how in tools else ["This is the answer to your question."]


def last_item(chat_ctx: llm.ChatContext) -> Any:
    """The last message or result of a tool."""
    return next((i for i in reversed(chat_ctx.items) if i.type in KINDS), None)


class Hooks:
    """What the agent does in its hooks, and the bodies of its tools."""

    session: AgentSession[Any]
    again: Callable[..., Agent]
    """Makes the agent that it hands over to."""
    ask: Callable[[], AgentTask[str]]
    """Makes the task that it asks with."""

    def __init__(self, hook: str, greets: str, **options: Any) -> None:
        super().__init__(instructions="x", **options)
        self._hook, self._greets = hook, greets

    async def on_enter(self) -> None:
        if self._greets == "say":
            self.session.say("Good morning to you.")
        elif self._greets == "reply":
            self.session.generate_reply(instructions="Greet.")

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        second = "question 1" in (new_message.text_content or "")
        if self._hook == "waits":
            await asyncio.sleep(HOOK_SECONDS)
        elif self._hook == "says":
            self.session.say("I heard you.")
        elif self._hook == "declines" and second:
            raise StopResponse
        elif self._hook == "breaks" and second:
            raise ConnectionError("no knowledge base")

    async def look(self) -> str:
        """Look."""
        await asyncio.sleep(TOOL_SECONDS)
        return "found"

    async def speaks(self, ctx: RunContext[None]) -> str:
        """Speak."""
        ctx.session.say("One moment please.")
        await asyncio.sleep(TOOL_SECONDS)
        return "found"

    async def nothing(self) -> None:
        """Do something that needs no words."""

    async def fails(self) -> str:
        """Fail."""
        raise ToolError("no such order")

    async def breaks(self) -> str:
        """Break."""
        raise ValueError("a defect")

    async def stops(self) -> str:
        """Stop."""
        raise StopResponse

    async def asks(self, ctx: RunContext[None]) -> None:
        """Have the model say something."""
        ctx.session.generate_reply(instructions="Say it.")

    async def gives(self) -> Agent:
        """Hand over."""
        return type(self).again(self._hook, self._greets)

    async def task(self) -> str:
        """Ask for a name."""
        return await type(self).ask()

    async def swaps(self, ctx: RunContext[None]) -> str:
        """Hand over, and say so."""
        ctx.session.update_agent(type(self).again(self._hook, ""))
        return "handed over"


class Naming:
    """What the task does that asks for a name."""

    session: AgentSession[Any]
    complete: Callable[[str], None]

    async def on_enter(self) -> None:
        self.session.say("What is your name?")

    async def answered(self) -> None:
        """Note it."""
        self.complete("Ann")


@cache
def desk(traced: bool = True) -> Callable[..., Agent]:
    """The class of the agent, whose arguments are what its hook does and how it greets.

    Args:
        traced: Otherwise it is LiveKit's own.
    """
    agent: Any = TracedAgent if traced else Agent
    agent_task: Any = TracedAgentTask if traced else AgentTask
    tool: Any = traced_tool if traced else function_tool
    asking: Any = type("Name", (Naming, agent_task), {"answered": tool(Naming.answered)})
    tools = {name: tool(getattr(Hooks, name)) for name in TOOLS}
    made: Any = type("Desk", (Hooks, agent), tools)
    made.again, made.ask = made, staticmethod(lambda: asking(instructions="y"))
    found: Callable[..., Agent] = made
    return found
