"""A voice call with a realtime model, of which both ends are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import Agent, AgentSession

from .line import until
from .scripted import Microphone, Speaker, silence, sound
from .scripted_realtime import ScriptedRealtime
from .waiting import PATIENCE


class RealtimeLine:
    """A call with a realtime model at the other end."""

    def __init__(self, model: ScriptedRealtime, **options: Any) -> None:
        self.model = model
        options.setdefault("vad", None)
        self.session: AgentSession[None] = AgentSession(
            llm=model, aec_warmup_duration=None, **options
        )
        self.microphone, self.speaker = Microphone(), Speaker()
        self.session.input.audio = self.microphone
        self.session.output.audio = self.speaker

    @asynccontextmanager
    async def to(self, agent: Agent) -> AsyncIterator[RealtimeLine]:
        async with asyncio.timeout(PATIENCE):
            await self.session.start(agent)
            await asyncio.sleep(0.05)
            yield self
            await self.session.aclose()

    async def says(self, seconds: float = 0.4, *, then: float = 0.5) -> None:
        self.microphone.play([*silence(0.3), *sound(seconds), *silence(then)])
        await self.microphone.heard()

    async def answers(self, count: int = 1) -> None:
        await until(lambda: len(self.speaker.finished) >= count)
