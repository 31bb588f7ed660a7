"""Whole calls in which the user's audio stops, stands still, or comes from elsewhere: what is
recorded of the next thing the user says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice import io

from prefactor_agent import TracedAgent
from prefactor_agent.testing import Trace, collecting
from support import virtual_time
from support.line import Line, until
from support.scripted import RATE, ScriptedLLM, ScriptedSTT, silence, sound
from support.scripted_realtime import ScriptedRealtime

TOLERANCE_MS = 10
LEADING = 0.05
"""The silence that the scripted voices begin with, in seconds."""


class Phone(io.AudioInput):
    """Records what it is told in real time, as a track does, whether or not somebody listens."""

    def __init__(self) -> None:
        super().__init__(label="phone")
        self.said: list[tuple[float, float]] = []
        """When each sound began and ended."""
        self.rate = RATE
        self._coming: deque[tuple[float, rtc.AudioFrame]] = deque()
        self._more = asyncio.Event()
        self._now = 0.0
        self._held_until = 0.0
        self._listening = True

    @property
    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def records(self, *what: rtc.AudioFrame, audible: bool = False) -> None:
        self._now = begun = max(self._now, self.time)
        for frame in what:
            self._now += frame.duration
            self._coming.append((max(self._now, self._held_until), frame))
        if audible:
            self.said.append((begun, self._now))
        self._more.set()

    def hears(self, speech: float = 0.4, *, before: float = 0.3, after: float = 0.6) -> None:
        """Somebody is silent, speaks, and is silent again."""
        self.records(*silence(before, rate=self.rate))
        self.records(*sound(speech, rate=self.rate), audible=True)
        self.records(*silence(after, rate=self.rate))

    def holds_back(self, seconds: float) -> None:
        """Nothing arrives for so long; then all of it does."""
        self._held_until = self.time + seconds

    def sends_at_once(self, frame: rtc.AudioFrame) -> None:
        """A frame that nobody has recorded."""
        self._coming.append((self.time, frame))
        self._more.set()

    async def ends(self) -> None:
        await asyncio.sleep(max(self._now, self._held_until) - self.time)

    def on_attached(self) -> None:
        self._listening = True

    def on_detached(self) -> None:
        self._listening = False

    async def __anext__(self) -> rtc.AudioFrame:
        while True:
            while not self._coming:
                self._more.clear()
                await self._more.wait()
            await asyncio.sleep(max(0.0, self._coming[0][0] - self.time))
            frame = self._coming.popleft()[1]
            if self._listening:  # what comes while it is detached is lost, as in RoomIO
                return frame


Gap = Callable[["Call"], Awaitable[None]]


class Call:
    def __init__(self, session: AgentSession[None], speaker: Any) -> None:
        self.session, self.speaker, self.phone = session, speaker, Phone()
        self.session.input.audio = self.phone
        self.heard: list[float] = []
        """When each answer began to be heard."""
        speaker.on("playback_started", self._note)

    def _note(self, event: Any) -> None:
        self.heard.append(event.created_at - virtual_time.EPOCH + LEADING)

    async def answers(self, count: int) -> None:
        await until(lambda: len(self.speaker.finished) >= count)


@asynccontextmanager
async def pipeline() -> AsyncIterator[Call]:
    line = Line(hears=ScriptedSTT("one", "two", "three"), thinks=ScriptedLLM("A.", "B.", "C."))
    call = Call(line.session, line.speaker)
    async with line.to(TracedAgent(instructions="x")):
        yield call


@asynccontextmanager
async def realtime() -> AsyncIterator[Call]:
    model = ScriptedRealtime(
        "A.", "B.", "C.", heard=["one", "two", "three"], leading_silence=LEADING
    )
    line = Line(thinks=model, vad=None)
    call = Call(line.session, line.speaker)
    async with line.to(TracedAgent(instructions="x")):
        yield call


async def hold(call: Call) -> None:
    call.session.input.set_audio_enabled(False)
    call.phone.records(*silence(3.0))
    await call.phone.ends()
    call.session.input.set_audio_enabled(True)


async def short_hold(call: Call) -> None:
    call.session.input.set_audio_enabled(False)
    call.phone.records(*silence(0.7))
    await call.phone.ends()
    call.session.input.set_audio_enabled(True)


async def hold_on_which_somebody_speaks(call: Call) -> None:
    call.session.input.set_audio_enabled(False)
    call.phone.records(*sound(1.0), *silence(1.0))
    await call.phone.ends()
    call.session.input.set_audio_enabled(True)


async def muted_track(call: Call) -> None:
    await asyncio.sleep(4.0)


async def blink(call: Call) -> None:
    await asyncio.sleep(0.13)


async def held_back(call: Call) -> None:
    """What is said next stands in a queue, and comes at once."""
    call.phone.holds_back(1.1)


async def held_back_in_the_middle(call: Call) -> None:
    call.phone.records(*silence(0.2))
    await call.phone.ends()
    call.phone.holds_back(0.5)


async def lost_then_held_back(call: Call) -> None:
    await asyncio.sleep(2.0)
    call.phone.holds_back(1.0)


async def another_rate(call: Call) -> None:
    await asyncio.sleep(0.4)
    call.phone.rate = 48_000


async def another_track(call: Call) -> None:
    """RoomIO ends a track with half a second of silence, and reads the next one."""
    frame = sound(0.01, level=0)[0]
    call.phone.sends_at_once(rtc.AudioFrame(bytes(16_000), RATE, 1, 8_000))
    await asyncio.sleep(0.15)
    call.phone.records(frame)


async def another_microphone(call: Call) -> None:
    said = call.phone.said
    await asyncio.sleep(1.0)
    call.phone = Phone()
    call.phone.said = said
    call.session.input.audio = call.phone


GAPS: list[Gap] = [
    hold,
    short_hold,
    hold_on_which_somebody_speaks,
    muted_track,
    blink,
    held_back,
    held_back_in_the_middle,
    lost_then_held_back,
    another_track,
    another_microphone,
]


async def talk(gap: Gap, line: Any) -> tuple[Trace, Call]:
    with collecting() as trace:
        async with line() as call:
            call.phone.hears()
            await call.answers(1)
            for count in (2, 3):
                await gap(call)
                call.phone.hears()
                await call.answers(count)
            await asyncio.sleep(0.1)
    return trace, call


def ms(started_us: int) -> float:
    return started_us / 1e3 - virtual_time.EPOCH * 1e3


KINDS = [(gap, line) for line in (pipeline, realtime) for gap in GAPS]
# An STT's stream refuses frames at another rate than its first (stt/stt.py, ``push_frame``).
KINDS.append((another_rate, realtime))


@pytest.mark.parametrize(("gap", "line"), KINDS)
async def test_what_is_said_after_a_gap_is_recorded_where_it_was_said(gap: Gap, line: Any) -> None:
    trace, call = await talk(gap, line)
    check(trace, call)
    assert len(trace.spans("stt")) == (3 if line is pipeline else 0)


@pytest.mark.parametrize("pause", [0.0, 0.4, 3.0])
async def test_push_to_talk_is_recorded_where_it_was_said(pause: float) -> None:
    """The program commits each turn while the input is disabled: LiveKit adds silence then."""
    line = Line(
        hears=ScriptedSTT("one", "two", "three"),
        thinks=ScriptedLLM("A.", "B.", "C."),
        turn_detection="manual",
    )
    call = Call(line.session, line.speaker)
    with collecting() as trace:
        async with line.to(TracedAgent(instructions="x")):
            for count in (1, 2, 3):
                line.session.input.set_audio_enabled(True)
                call.phone.hears(after=0.05)
                await call.phone.ends()
                line.session.input.set_audio_enabled(False)
                await asyncio.sleep(pause)
                await line.session.commit_user_turn()
                await call.answers(count)
            await asyncio.sleep(0.1)
    check(trace, call)


def check(trace: Trace, call: Call) -> None:
    users, answers = trace.spans("user_turn"), trace.spans("assistant_turn")
    root_us = trace.spans("session")[0].started_us
    assert len(users) == len(answers) == len(call.phone.said) == 3
    for number, (begun, ended) in enumerate(call.phone.said):
        about = f"turn {number}"
        user, moments = users[number], users[number].result["moments_us"]
        ended_us = root_us + moments["speech_ended"]
        assert ms(user.started_us) == pytest.approx(begun * 1e3, abs=TOLERANCE_MS), about
        assert root_us + moments["speech_started"] == pytest.approx(user.started_us, abs=2), about
        assert user.payload["started_at"] == pytest.approx(user.started_us / 1e6), about
        assert ms(ended_us) == pytest.approx(ended * 1e3, abs=TOLERANCE_MS), about
        latency = answers[number].result["latency"]
        assert latency["basis"] == {"from": "audio", "to": "audio"}
        true_ms = (call.heard[number] - ended) * 1e3
        assert latency["perceived_ms"] == pytest.approx(true_ms, abs=TOLERANCE_MS), about
    for number, span in enumerate(trace.spans("stt")):
        begun, _ = call.phone.said[number]
        assert ms(span.started_us) == pytest.approx(begun * 1e3, abs=TOLERANCE_MS), number
    for span in (*users, *trace.spans("stt")):
        audio = span.stream("audio")
        if audio:
            offsets = audio["rows"]["offset_us"] if "rows" in audio else audio["offset_us"]
            assert offsets == sorted(offsets)
            assert offsets[0] >= -TOLERANCE_MS * 1_000
