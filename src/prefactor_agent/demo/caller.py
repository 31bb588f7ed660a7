"""A scripted caller: a microphone and an ear that keep real time, with no audio device.

They implement the two interfaces through which LiveKit's rooms reach a session, ``AudioInput`` and
``AudioOutput``, and remember when every sound was heard, so that the call can be listened to.
"""

import asyncio
import contextlib
import time
from collections import deque

import numpy as np
from livekit import rtc
from livekit.agents.voice import io

from .recording import Track
from .speech import Samples, speak

MICROPHONE_RATE = 16_000
EAR_RATE = 24_000
FRAME = 0.02
"""Seconds in one frame of the microphone."""
VOLUME = 0.6
NOISE_DBFS = -70.0


class CallerMicrophone(io.AudioInput):
    """The caller's voice: what ``speak`` was given, and a low noise in between.

    Frame n is handed over when it would have been recorded, counted from the first frame, so
    that a late event loop makes the stream late for a moment but never slow.
    """

    def __init__(self, *, voice: str = "en-us", rate: int = 195) -> None:
        super().__init__(label="Caller")
        self.track = Track(MICROPHONE_RATE)
        self._voice = voice
        self._speed = rate
        self._size = round(FRAME * MICROPHONE_RATE)
        self._frames = 0
        self._started_at: float | None = None
        self._queue: deque[tuple[Samples, asyncio.Future[None]]] = deque()
        self._noise = np.random.default_rng(1)

    async def speak(self, text: str) -> None:
        """Say ``text``; returns when the last of it has been heard."""
        sound = await asyncio.to_thread(speak, text, voice=self._voice, rate=self._speed)
        samples = (sound.trimmed().at(MICROPHONE_RATE).samples * VOLUME).astype(np.int16)
        said: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((samples, said))
        await said

    async def __anext__(self) -> rtc.AudioFrame:
        if self._started_at is None:
            self._started_at = time.monotonic()
        begins_at = self._started_at + self._frames * FRAME
        self._frames += 1
        await asyncio.sleep(max(0.0, begins_at + FRAME - time.monotonic()))
        samples = self._record()
        self.track.add(begins_at, samples)
        return rtc.AudioFrame(samples.tobytes(), MICROPHONE_RATE, 1, self._size)

    def _record(self) -> Samples:
        level = 32768 * 10 ** (NOISE_DBFS / 20)
        frame = self._noise.normal(0.0, level, self._size)
        filled = 0
        while self._queue and filled < self._size:
            samples, said = self._queue[0]
            part = samples[: self._size - filled]
            frame[filled : filled + len(part)] += part
            filled += len(part)
            rest = samples[len(part) :]
            if len(rest):
                self._queue[0] = (rest, said)
            else:
                self._queue.popleft()
                if not said.done():
                    said.set_result(None)
        return np.clip(frame, -32768, 32767).astype(np.int16)


class CallerEar(io.AudioOutput):
    """Plays the agent's voice to the caller, a second a second.

    The playhead is computed, not stepped: sound that has begun to play at a known moment is at a
    known place now, however late the event loop is. So positions are exact, and nothing drifts.
    """

    def __init__(self) -> None:
        super().__init__(
            label="Caller",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=EAR_RATE,
        )
        self.track = Track(EAR_RATE)
        self._waiting: deque[Samples] = deque()
        self._head_at: float | None = None
        """When the first waiting sample plays; None while there is none, or while paused."""
        self._paused = False
        self._captured = 0
        self._played = 0
        self._playing_out: asyncio.Task[None] | None = None
        self._interrupted = False
        self._changed = asyncio.Event()

    @property
    def position(self) -> float:
        """Seconds that have been heard of what the agent is saying now."""
        self._settle()
        return self._played / EAR_RATE

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if self._playing_out is not None:
            await asyncio.shield(self._playing_out)
        await super().capture_frame(frame)
        if self._interrupted:
            return
        samples = np.frombuffer(frame.data, dtype=np.int16).copy()
        self._settle()
        self._waiting.append(samples)
        first = not self._captured
        self._captured += len(samples)
        if self._head_at is None and not self._paused:
            self._head_at = time.monotonic()
        if first:
            self.on_playback_started(created_at=time.time())

    def flush(self) -> None:
        super().flush()
        if self._captured and self._playing_out is None:
            self._playing_out = asyncio.create_task(self._play_out())

    def clear_buffer(self) -> None:
        if not self._captured:
            return
        self._settle()
        self._waiting.clear()
        self._head_at = None
        self._interrupted = True
        self._changed.set()

    def pause(self) -> None:
        super().pause()
        self._settle()
        self._paused = True
        self._head_at = None
        self._changed.set()

    def resume(self) -> None:
        super().resume()
        self._paused = False
        if self._waiting and self._head_at is None:
            self._head_at = time.monotonic()
        self._changed.set()

    def _settle(self) -> None:
        """Take what has played by now out of the queue."""
        now = time.monotonic()
        while self._head_at is not None and self._waiting:
            due = int((now - self._head_at) * EAR_RATE)
            if due <= 0:
                return
            samples = self._waiting.popleft()
            if len(samples) > due:
                self._waiting.appendleft(samples[due:])
                samples = samples[:due]
            self.track.add(self._head_at, samples)
            self._played += len(samples)
            self._head_at += len(samples) / EAR_RATE
        if not self._waiting:
            self._head_at = None

    async def _play_out(self) -> None:
        """Wait until the segment has been heard, or is cut short, and say so."""
        while not self._interrupted:
            self._changed.clear()
            self._settle()
            left = sum(map(len, self._waiting)) / EAR_RATE
            if not left:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if self._paused else left)
        position, interrupted = self._played / EAR_RATE, self._interrupted
        self._captured = self._played = 0
        self._interrupted = False
        self._playing_out = None
        self.on_playback_finished(playback_position=position, interrupted=interrupted)
