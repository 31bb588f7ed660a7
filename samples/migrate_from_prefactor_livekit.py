"""An agent that was written for prefactor-livekit: the one line that changed is the import.

    export PREFACTOR_API_TOKEN=…
    python samples/migrate_from_prefactor_livekit.py dev

The agent starts at once now, with Prefactor up or down, and the call is in the local journal too:
``prefactor-agent show``. With ``TracedAgent`` in the place of ``Agent``, and ``@traced_tool`` in
that of ``@function_tool``, the same trace also has what was heard, said and waited for."""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, function_tool
from livekit.plugins import openai, silero

# was: from prefactor_livekit import LiveKitToolSchemaConfig, PrefactorLiveKitSession
from prefactor_agent import LiveKitToolSchemaConfig, PrefactorLiveKitSession

ORDER = LiveKitToolSchemaConfig(
    span_type="tool:look-up-order",
    input_schema={"type": "object", "properties": {"number": {"type": "integer"}}},
)


class Assistant(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer for a bookshop. Be brief.")

    @function_tool
    async def look_up_order(self, number: int) -> str:
        """Find out where an order is."""
        return f"order {number} arrives on Thursday"


def new_tracer() -> PrefactorLiveKitSession:
    return PrefactorLiveKitSession.from_config(
        api_url=os.environ.get("PREFACTOR_API_URL", "https://app.prefactorai.com"),
        api_token=os.environ["PREFACTOR_API_TOKEN"],
        agent_name="Bookshop",
        tool_schemas={"look_up_order": ORDER},
    )


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(
        stt=openai.STT(), llm=openai.LLM(), tts=openai.TTS(), vad=silero.VAD.load()
    )
    tracer = new_tracer()
    ctx.add_shutdown_callback(tracer.close)
    await tracer.start(session=session, agent=Assistant(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
