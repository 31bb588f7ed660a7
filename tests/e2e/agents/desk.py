"""A reception that puts callers through, and can end a call: what the shop's agent does not do.
Where LiveKit can, the tracer is imported once for all processes."""

import inspect
import math
import os

from livekit import rtc
from livekit.agents import Agent, AgentServer, JobContext, JobProcess, cli, get_job_context
from livekit.plugins import silero

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.demo.shop import new_session

RECEPTION = "Reception, good morning."
BILLING = "This is billing. What can I do for you?"


class Reception(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="You put callers through.")

    async def on_enter(self) -> None:
        self.session.say(RECEPTION)

    @traced_tool
    async def transfer_to_billing(self) -> Agent:
        """Put the caller through to billing."""
        return Billing()

    @traced_tool
    async def end_call(self) -> str:
        """End the call."""
        get_job_context().shutdown("the caller asked for it")
        return "The call ends."


class Billing(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="You answer questions about bills.")

    async def on_enter(self) -> None:
        self.session.say(BILLING)


def prewarm(process: JobProcess) -> None:
    process.userdata["vad"] = silero.VAD.load()


options = {"preload_modules": ["prefactor_agent.preload"]}
if "preload_modules" not in inspect.signature(AgentServer).parameters:  # LiveKit 1.5
    options = {}
# Its health check on a free port, and calls also while the machine is busy.
server = AgentServer(
    setup_fnc=prewarm, host="127.0.0.1", port=0, load_threshold=math.inf, **options
)


@server.rtc_session(agent_name=os.environ.get("DESK", "desk"))
async def answer(job: JobContext) -> None:
    session = new_session(job.proc.userdata["vad"])
    await session.start(agent=Reception(), room=job.room)
    job.room.local_participant.register_rpc_method("repeat", repeat)


async def repeat(asked: rtc.RpcInvocationData) -> str:
    """Answers a caller's program with what it asked."""
    if not asked.payload:
        raise rtc.RpcError(1600, "nothing to repeat")
    return asked.payload


if __name__ == "__main__":
    cli.run_app(server)
