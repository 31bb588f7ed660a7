"""A call with a tool in which the caller cuts in, recorded to be played again."""

from __future__ import annotations

import copy
from typing import Any

from livekit.agents import TurnHandlingOptions

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.testing import Trace, collecting
from support.line import Line
from support.scripted import Heard, ScriptedLLM, ScriptedSTT, ScriptedTTS, Use, silence, sound


class Shop(TracedAgent):
    def __init__(self, instructions: str = "Answer the phone.", state: str = "shipped") -> None:
        super().__init__(instructions=instructions)
        self.state = state

    @traced_tool
    async def lookup(self, order_id: str) -> str:
        """Find an order."""
        return f"Order {order_id} has {self.state}."


ASKS = ([Use("lookup", {"order_id": "42"})], "It has", "Goodbye.")
LONG = ["It has shipped and ", "arrives ", "on Friday, ", "in the morning."]


_spoken: list[StoredSpan] = []


async def a_spoken_call() -> list[StoredSpan]:
    """A tool, and a caller who cuts in. Recorded once: it takes seconds."""
    if not _spoken:
        _spoken.extend((await record_a_spoken_call()).spans())
    return copy.deepcopy(_spoken)


async def record_a_spoken_call() -> Trace:
    line = Line(
        hears=ScriptedSTT(Heard("Where is 42?", interims=["Where"]), "Thanks."),
        thinks=ScriptedLLM(ASKS[0], LONG, "Goodbye."),
        speaks=ScriptedTTS(first_byte=0.05, leading_silence=0.05, seconds_per_character=0.05),
        interruption={"mode": "vad", "min_duration": 0.2},
    )
    with collecting() as trace:
        async with line.to(Shop()):
            # A microphone never stands still: also the pause between the two is heard.
            spoken = [*silence(0.3), *sound(0.4), *silence(1.3), *sound(0.5), *silence(1.0)]
            line.microphone.play(spoken)
            await line.answers(2)
    return trace


HANDLING = TurnHandlingOptions(
    turn_detection="vad",
    endpointing={"min_delay": 0.05, "max_delay": 0.5},
    interruption={"mode": "vad", "min_duration": 0.2},
)


def told(trace: Trace) -> list[tuple[Any, ...]]:
    return [
        (turn.user.text, turn.assistant.generated, turn.tools.names, turn.assistant.interrupted)
        for turn in trace.turns
    ]
