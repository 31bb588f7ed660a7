"""The same agent, as a program for either package has it."""

from __future__ import annotations

from livekit.agents import Agent, function_tool

from prefactor_agent import TracedAgent, traced_tool


class Plain(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @function_tool
    async def hours(self, day: str) -> str:
        """When it is open."""
        return "9 to 6"


class Traced(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @traced_tool
    async def hours(self, day: str) -> str:
        """When it is open."""
        return "9 to 6"
