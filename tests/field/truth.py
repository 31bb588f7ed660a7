"""What was heard of both sides of a random call, and what the program does in it by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io

from support.scripted import Microphone, Speaker, silence, sound


class Stretch(NamedTuple):
    """When something was heard, in seconds of the loop's clock."""

    began: float
    ended: float
    words: str = ""


@dataclass
class Truth:
    """What was heard."""

    caller: list[Stretch] = field(default_factory=list)
    agent: list[float] = field(default_factory=list)
    """When each stretch of the agent's audio was first heard."""
    typed: list[Stretch] = field(default_factory=list)
    """When the caller typed something."""
    history: list[tuple[str, str]] = field(default_factory=list)
    """The messages of the conversation: the role, and the text."""

    def listen(self, speaker: Speaker, leads: float) -> None:
        """Note what is heard of an agent whose voice begins with so many seconds of silence."""
        clock = asyncio.get_running_loop().time
        playing: list[float] = []

        def finished(event: io.PlaybackFinishedEvent) -> None:
            # What was held back and given up never started.
            started = playing.pop() if playing else None
            if started is not None and event.playback_position > leads:
                self.agent.append(started + leads)

        speaker.on("playback_started", lambda _: playing.append(clock()))
        speaker.on("playback_finished", finished)

    def ask(self, microphone: Microphone, questions: Sequence[tuple[float, float, str]]) -> None:
        """Have the caller ask: after a pause, for so long, with these words."""
        at = asyncio.get_running_loop().time()
        for pause, length, words in questions:
            microphone.play([*silence(pause), *sound(length)])
            self.caller.append(Stretch(at + pause, at + pause + length, words))
            at += pause + length
        microphone.play(silence(6))

    def read(self, session: AgentSession[Any]) -> None:
        """Note the conversation as LiveKit has it."""
        self.history = [
            (item.role, item.text_content or "")
            for item in session.history.items
            if item.type == "message" and item.role in ("user", "assistant")
        ]


async def does(session: AgentSession[Any], what: str, next_agent: Agent, truth: Truth) -> None:
    """What the program does by itself. LiveKit takes no new speech while an agent leaves."""
    with suppress(RuntimeError):
        if what == "say":
            session.say("By the way.")
        elif what == "reply":
            session.generate_reply(instructions="Speak.")
        elif what == "types":
            session.generate_reply(user_input="this is typed")
            now = asyncio.get_running_loop().time()
            truth.typed.append(Stretch(now, now, "this is typed"))
        elif what == "interrupt":
            await session.interrupt()
        elif what == "forces":
            await session.interrupt(force=True)
        else:
            session.update_agent(next_agent)
