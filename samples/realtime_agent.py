"""A realtime model that hears, thinks and speaks by itself, traced.

It has no STT, LLM and TTS nodes: the trace has its turns, its voice, its tools and what it used.
Run it against a LiveKit server with `python samples/realtime_agent.py dev`, with `OPENAI_API_KEY`.
"""

from typing import Any

from livekit.agents import AgentServer, AgentSession, JobContext, cli, llm
from livekit.plugins import openai

from prefactor_agent import TracedAgent, traced_tool

PRICES = {"kettle": "thirty pounds", "teapot": "twelve pounds"}


class Counter(TracedAgent):
    """Stands at the counter of a kitchen shop."""

    def __init__(self) -> None:
        super().__init__(instructions="You sell kitchen things. Use the tool for prices.")

    @traced_tool
    async def price(self, item: str) -> str:
        """What an item costs.

        Args:
            item: The item, in the singular.
        """
        return f"A {item} costs {PRICES.get(item, 'nothing: we have none')}."


def new_session(model: llm.RealtimeModel | None = None, **options: Any) -> AgentSession[None]:
    """A call; a test gives another model."""
    return AgentSession(llm=model or openai.realtime.RealtimeModel(), **options)


server = AgentServer()


@server.rtc_session()
async def answer(job: JobContext) -> None:
    """Answer one call."""
    await new_session().start(agent=Counter(), room=job.room)


if __name__ == "__main__":
    cli.run_app(server)
