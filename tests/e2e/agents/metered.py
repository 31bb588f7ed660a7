"""The shop's phone line, on a worker that serves metrics."""

import math
import os

from livekit.agents import AgentServer, JobContext, cli
from samples.agent import prewarm

from prefactor_agent.demo.shop import ShopAssistant, new_session

server = AgentServer(
    setup_fnc=prewarm,
    host="127.0.0.1",
    port=0,
    load_threshold=math.inf,
    prometheus_port=int(os.environ["METRICS_PORT"]),
    prometheus_multiproc_dir=os.environ.get("METRICS_FOLDER"),
)


@server.rtc_session(agent_name=os.environ["METERED"])
async def answer(job: JobContext) -> None:
    session = new_session(job.proc.userdata["vad"])
    await session.start(agent=ShopAssistant(), room=job.room)


if __name__ == "__main__":
    cli.run_app(server)
