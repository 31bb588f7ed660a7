"""A short real call: an ``AgentSession`` with scripted models, a tool and a voice.

The same call with LiveKit's own classes and with the traced ones; what the caller and the model
saw of it can be compared, so that a test says in one line that the agent did not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from livekit.agents import Agent, AgentSession, function_tool

from prefactor_agent import TracedAgent, traced_tool
from support.line import NO_RETRIES
from support.scripted import ScriptedLLM, ScriptedTTS, Speaker, Tokens, Use, Wait


class Outcome(NamedTuple):
    """What there was to see and hear of a call, without ids and times."""

    history: list[tuple[Any, ...]]
    asked: list[int]
    """How many items each request to the model had."""
    spoken: list[str]
    samples: int
    closed: list[str]


def as_outcome(told: list[Any]) -> Outcome:
    """An outcome that was sent as JSON."""
    history, *rest = told
    return Outcome([tuple(item) for item in history], *rest)


async def talk(
    *,
    traced: bool = True,
    turns: int = 3,
    pause: float = 0.0,
    answer: str = "Nine to six.",
    during: Callable[[int], None] = lambda turn: None,
) -> Outcome:
    """Have a call of some turns; each asks a tool, and is answered aloud.

    Args:
        traced: With ``TracedAgent`` and ``traced_tool``, or with LiveKit's own.
        pause: Seconds that each of some steps takes.
        answer: What the tool returns.
        during: Called by the tool, with the number of the turn.
    """
    base: Any = TracedAgent if traced else Agent
    tool: Any = traced_tool if traced else function_tool

    class Clerk(base):  # type: ignore[misc]  # the base is chosen above
        @tool
        async def opening_hours(self, day: str) -> str:
            """When it is open."""
            during(int(day.removeprefix("day ")))
            await asyncio.sleep(pause)
            return answer

    replies: list[Any] = []
    for turn in range(turns):
        replies.append([Use("opening_hours", {"day": f"day {turn}"}, f"call-{turn}")])
        replies.append([Wait(pause), "It is ", "open ", Wait(pause), f"{turn}.", Tokens(40, 10)])
    model, voice = ScriptedLLM(*replies), ScriptedTTS(seconds_per_character=0.002)
    session: AgentSession[None] = AgentSession(llm=model, tts=voice, conn_options=NO_RETRIES)
    speaker = Speaker(speed=20)
    session.output.audio = speaker
    closed: list[str] = []
    session.on("close", lambda event: closed.append(str(event.reason.value)))
    await session.start(Clerk(instructions="Say when it is open."))
    for turn in range(turns):
        await session.generate_reply(user_input=f"and on day {turn}?")
    history = [_seen(item) for item in session.history.items]
    await session.aclose()
    return Outcome(
        history,
        [len(request.items) for request in model.requests],
        voice.spoken,
        sum(frame.samples_per_channel for frame in speaker.frames),
        closed,
    )


def _seen(item: Any) -> tuple[Any, ...]:
    match item.type:
        case "message":
            return (item.role, item.text_content, item.interrupted)
        case "function_call":
            return ("call", item.name, item.arguments, item.call_id)
        case "function_call_output":
            return ("output", item.name, item.output, item.is_error)
    return (item.type,)
