"""An agent that sees: the caller's camera is shown to the model with each question.

In the trace each picture stands with its size and kind, never with its pixels. Run it against a
LiveKit server with `python samples/vision_agent.py dev`.
"""

import asyncio
from collections.abc import AsyncIterable

from livekit import rtc
from livekit.agents import (
    AgentServer,
    AgentSession,
    JobContext,
    TurnHandlingOptions,
    cli,
    get_job_context,
    llm,
    vad,
)
from livekit.plugins import openai, silero

from prefactor_agent import TracedAgent, traced_tool


class Onlooker(TracedAgent):
    """Answers questions about what the caller's camera shows."""

    def __init__(self) -> None:
        super().__init__(
            instructions=(
                "You help a cook by telephone, and see what their camera shows. Be brief: your "
                "words are spoken aloud."
            )
        )
        self._picture: rtc.VideoFrame | None = None
        self._watching: asyncio.Task[None] | None = None

    async def on_enter(self) -> None:
        get_job_context().room.on("track_subscribed", self._on_track)
        self.session.generate_reply(instructions="Greet the cook.")

    async def on_exit(self) -> None:
        get_job_context().room.off("track_subscribed", self._on_track)
        if self._watching is not None:
            self._watching.cancel()

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        """Show the model what the camera shows now."""
        if self._picture is not None:
            picture = llm.ImageContent(
                image=self._picture, inference_width=512, inference_height=512
            )
            new_message.content.append(picture)

    @traced_tool
    async def set_timer(self, minutes: int) -> str:
        """Set the kitchen timer.

        Args:
            minutes: Minutes until it rings.
        """
        return f"The timer rings in {minutes} minutes."

    async def watch(self, pictures: AsyncIterable[rtc.VideoFrame]) -> None:
        """Look at these pictures; the latest counts."""
        async for picture in pictures:
            self._picture = picture

    def _on_track(self, track: rtc.Track, *_others: object) -> None:
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self._watching = asyncio.create_task(self.watch(_frames(track)))


async def _frames(track: rtc.Track) -> AsyncIterable[rtc.VideoFrame]:
    stream = rtc.VideoStream(track)
    try:
        async for event in stream:
            yield event.frame
    finally:
        await stream.aclose()


def new_session(voice_activity: vad.VAD) -> AgentSession[None]:
    """The models of a call."""
    return AgentSession(
        stt=openai.STT(),
        llm=openai.LLM(model="gpt-4o"),
        tts=openai.TTS(),
        vad=voice_activity,
        turn_handling=TurnHandlingOptions(turn_detection="vad", interruption={"mode": "vad"}),
    )


server = AgentServer()


@server.rtc_session()
async def answer(job: JobContext) -> None:
    """Answer one call."""
    await new_session(silero.VAD.load()).start(agent=Onlooker(), room=job.room)


if __name__ == "__main__":
    cli.run_app(server)
