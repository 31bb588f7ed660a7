"""The demo's shop on a LiveKit server: a worker that answers each call with the agent of
`prefactor_agent.demo.shop`, where its two changed names are.

Run it with `python samples/agent.py dev`; `OPENAI_API_KEY` and, if need be, `OPENAI_BASE_URL` say
where its models are.
"""

from livekit.agents import AgentServer, JobContext, JobProcess, cli
from livekit.plugins import silero

from prefactor_agent.demo.shop import ShopAssistant, new_session


def prewarm(process: JobProcess) -> None:
    """Load the voice activity model before a call comes in."""
    process.userdata["vad"] = silero.VAD.load()


server = AgentServer(setup_fnc=prewarm)


@server.rtc_session()
async def answer(job: JobContext) -> None:
    """Answer one call."""
    session = new_session(job.proc.userdata["vad"])
    await session.start(agent=ShopAssistant(), room=job.room)


if __name__ == "__main__":
    cli.run_app(server)
