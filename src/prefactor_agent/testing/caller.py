"""The recorded caller: says what the user said, when the user would have said it.

The trace holds no audio, only how loud it was. So the caller's voice is a tone of the recorded
loudness, unless there is a recording of the call; and each frame carries its place in the recorded
call, by which the replayed STT and VAD know what is being said."""

from __future__ import annotations

import asyncio
import bisect

from livekit import rtc
from livekit.agents.voice import io

from ..replay import UserTurn
from .hearing import MARK, NOWHERE, Place, speech_ends_us
from .models import tone
from .voice import RATE, CallerVoice

FRAME_US = 20_000
_SILENT = -127


class CallerMicrophone(io.AudioInput):
    """Gives 20 ms of the recorded call at a time, ``speed`` times as fast as they were said. A
    frame sounds for as long as it takes: to the session, the caller speaks in real time."""

    def __init__(self, speed: float, voice: CallerVoice | None = None) -> None:
        super().__init__(label="caller")
        self._speed = speed
        self._voice = voice
        self._turn: UserTurn | None = None
        self._levels: list[tuple[int, int, int]] = []
        self._at_us = 0
        self._due: float | None = None
        self._samples_due = 0.0
        """Samples that are still to be given, less than one."""
        self._waiting: list[tuple[Place, asyncio.Future[None]]] = []

    @property
    def place(self) -> Place:
        """Where in the recorded call the caller is: it goes on counting while nothing is said."""
        return (self._turn.number, self._at_us) if self._turn is not None else NOWHERE

    def say(self, turn: UserTurn) -> None:
        """Begin to say a turn."""
        self._turn, self._at_us = turn, 0
        self._levels = sorted(
            (
                heard.at_us + offset,
                heard.at_us + offset + size * 1_000_000 // heard.audio.sample_rate,
                level,
            )
            for heard in turn.utterances
            if heard.audio is not None
            for offset, size, level in zip(
                heard.audio.offset_us, heard.audio.size, heard.audio.dbfs, strict=True
            )
        )

    @staticmethod
    def ends_us(turn: UserTurn, *, detected: bool = False) -> int:
        """When a turn's last sound is out, after its first; ``detected``: when the STT and the VAD
        have reported it, too."""
        until = speech_ends_us(turn)
        if not detected:
            return until
        reported = [one.at_us + event.offset_us for one in turn.utterances for event in one.events]
        return max([until, turn.vad_ended_us or 0, *reported])

    async def said(self, turn: UserTurn, *, detected: bool = False) -> None:
        """Wait until it is so late (see :meth:`ends_us`)."""
        place = (turn.number, self.ends_us(turn, detected=detected))
        if self.place < place:
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((place, reached))
            await reached

    async def __anext__(self) -> rtc.AudioFrame:
        clock = asyncio.get_running_loop().time
        if self._due is None:
            self._due = clock()
        # Late frames are made up for, but not a whole second of them at once.
        self._due = max(self._due + FRAME_US / 1e6 / self._speed, clock() - 0.5)
        await asyncio.sleep(max(0.0, self._due - clock()))
        self._samples_due += RATE * FRAME_US / 1e6 / self._speed
        samples = max(1, int(self._samples_due))
        self._samples_due -= samples
        pcm = self._sound(samples)
        self._at_us += FRAME_US
        place = self.place
        for reached in [done for at, done in self._waiting if at <= place]:
            if not reached.done():
                reached.set_result(None)
        self._waiting = [(at, done) for at, done in self._waiting if at > place]
        return rtc.AudioFrame(pcm, RATE, 1, samples, userdata={MARK: place})

    def _sound(self, samples: int) -> bytes:
        if self._voice is None:
            return tone(samples, self._level(), RATE)
        number, at_us = self.place
        return self._voice.piece(number, at_us, samples)

    def _level(self) -> int:
        index = bisect.bisect_right(self._levels, (self._at_us, 1 << 62, 0)) - 1
        if self._turn is None or index < 0:
            return _SILENT
        _, ended, level = self._levels[index]
        # The room's noise after the last word is no speech.
        over = self._at_us >= speech_ends_us(self._turn)
        return level if self._at_us < ended and not over else _SILENT
