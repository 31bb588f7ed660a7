"""LiveKit's own output of a room, playing into a track that nobody has subscribed to."""

from __future__ import annotations

from typing import Any

from livekit import rtc
from livekit.agents.voice.room_io._output import _ParticipantAudioOutput

from prefactor_agent.core.clock import now_ns


class RoomOutput(_ParticipantAudioOutput):
    """Plays as in a room, and notes each frame that its source was given.

    Args:
        rate: Samples a second.
    """

    def __init__(self, rate: int) -> None:
        nowhere: Any = None
        super().__init__(nowhere, sample_rate=rate, num_channels=1, track_publish_options=nowhere)
        self.given: list[tuple[int, rtc.AudioFrame]] = []
        capture = self._audio_source.capture_frame

        async def note(frame: rtc.AudioFrame) -> None:
            self.given.append((now_ns(), frame))
            await capture(frame)

        self._audio_source.capture_frame = note  # type: ignore[method-assign]

    async def _publish_track(self) -> None:
        self._subscribed_fut.set_result(None)

    def played(self) -> list[tuple[int, rtc.AudioFrame]]:
        """Each frame with the moment at which it began to be played: when it came, or when those
        before it had been played."""
        over = 0
        found = []
        for came, frame in self.given:
            begins = max(over, came)
            over = begins + round(frame.duration * 1e9)
            found.append((begins, frame))
        return found
