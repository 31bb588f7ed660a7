"""The caller's ear: an audio output that keeps time, without a device."""

from __future__ import annotations

import asyncio
import math
import time

from livekit import rtc
from livekit.agents.voice import io


class Speaker(io.AudioOutput):
    """Plays what the agent says, ``speed`` times as fast as real time, and reports exactly how much
    of an interrupted segment was played."""

    def __init__(self, *, speed: float = 1.0, rate: int | None = None) -> None:
        super().__init__(
            label="speaker", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=rate
        )
        self.frames: list[rtc.AudioFrame] = []
        """Every frame captured so far."""
        self.finished: list[io.PlaybackFinishedEvent] = []
        """How each segment ended."""
        self.on("playback_finished", self.finished.append)
        self._speed = speed
        self._seconds: float | None = None
        """Audio of the present segment; ``None`` between two."""
        self._ends_at = 0.0
        self._paused_with: float | None = None
        """Audio that was left when the output was paused."""
        self._announced = False
        self._flushed = False
        self._timer: asyncio.TimerHandle | None = None
        self._free = asyncio.Event()
        self._free.set()

    @property
    def playing(self) -> bool:
        """Whether there is audio that was not played to its end yet."""
        return self._seconds is not None

    @property
    def position(self) -> float:
        """Seconds of the present segment played so far."""
        return max(0.0, (self._seconds or 0.0) - self._left())

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if self._flushed:
            await self._free.wait()
        await super().capture_frame(frame)
        self.frames.append(frame)
        if self._seconds is None:
            self._seconds, self._ends_at, self._announced = 0.0, 0.0, False
            self._free.clear()
        self._seconds += frame.duration
        if self._paused_with is not None:
            self._paused_with += frame.duration
            return
        now = asyncio.get_running_loop().time()
        self._ends_at = max(self._ends_at, now) + frame.duration / self._speed
        self._announce()

    def flush(self) -> None:
        super().flush()
        if self._seconds is not None:
            self._flushed = True
            self._arm()

    def clear_buffer(self) -> None:
        if self._seconds is not None:
            self._finish(interrupted=True)

    def pause(self) -> None:
        super().pause()
        if self._paused_with is None:
            self._paused_with = self._left()
            self._disarm()

    def resume(self) -> None:
        super().resume()
        if self._paused_with is None:
            return
        left, self._paused_with = self._paused_with, None
        self._ends_at = asyncio.get_running_loop().time() + left / self._speed
        if self._seconds is not None:
            self._announce()
        if self._flushed:
            self._arm()

    def _left(self) -> float:
        if self._paused_with is not None:
            return self._paused_with
        if self._seconds is None:
            return 0.0
        left = self._ends_at - asyncio.get_running_loop().time()
        return max(0.0, left * self._speed) if math.isfinite(self._speed) else 0.0

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            # The clock that LiveKit stamps its events with.
            self.on_playback_started(created_at=time.time())

    def _arm(self) -> None:
        self._disarm()
        if self._paused_with is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(
                max(self._ends_at, loop.time()), lambda: self._finish(interrupted=False)
            )

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _finish(self, *, interrupted: bool) -> None:
        position = self.position if interrupted else (self._seconds or 0.0)
        self._disarm()
        super().flush()
        self._seconds, self._flushed = None, False
        if self._paused_with is not None:
            self._paused_with = 0.0
        self._free.set()
        self.on_playback_finished(playback_position=position, interrupted=interrupted)
