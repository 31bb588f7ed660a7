"""The demo's shop at the sample rates that the caller asks for; it can be put on hold."""

import math
from collections.abc import AsyncIterable, AsyncIterator

from livekit import rtc
from livekit.agents import AgentServer, JobContext, ModelSettings, cli
from livekit.agents.voice import room_io
from samples.agent import prewarm

from prefactor_agent.demo.server import VOICE_RATE
from prefactor_agent.demo.shop import ShopAssistant, new_session

NAME = "rates"
HEARS, SPEAKS, PLAYS = "hears", "speaks", "plays"
"""Attributes of the caller: samples a second of what the STT gets, of the agent's voice, and of
what is played."""
HOLD = "hold"
"""A method that the caller calls: `on` or `off`."""

FRAME_MS = 10
"""A frame has one level: these are short, so that the trace's levels say when a sound begins."""


class AtAnotherRate(ShopAssistant):
    """The shop, with a voice of another sample rate than the model gives."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self._rate = rate

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterator[rtc.AudioFrame]:
        resampler = rtc.AudioResampler(VOICE_RATE, self._rate)
        async for frame in super().tts_node(text, model_settings):  # type: ignore[union-attr]
            for resampled in resampler.push(frame):
                yield resampled
        for resampled in resampler.flush():
            yield resampled


# Its health check on a free port, and calls also while the machine is busy.
server = AgentServer(setup_fnc=prewarm, host="127.0.0.1", port=0, load_threshold=math.inf)


@server.rtc_session(agent_name=NAME)
async def answer(job: JobContext) -> None:
    await job.connect()
    wanted = (await job.wait_for_participant()).attributes
    session = new_session(job.proc.userdata["vad"])

    async def hold(asked: rtc.RpcInvocationData) -> str:
        """Stops listening to the caller, or goes on."""
        session.input.set_audio_enabled(asked.payload == "off")
        return ""

    job.room.local_participant.register_rpc_method(HOLD, hold)
    await session.start(
        agent=AtAnotherRate(int(wanted[SPEAKS])),
        room=job.room,
        room_options=room_io.RoomOptions(
            audio_input=room_io.AudioInputOptions(
                sample_rate=int(wanted[HEARS]), frame_size_ms=FRAME_MS
            ),
            audio_output=room_io.AudioOutputOptions(sample_rate=int(wanted[PLAYS])),
        ),
    )


if __name__ == "__main__":
    cli.run_app(server)
