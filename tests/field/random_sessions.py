"""Random calls to a random agent, as users write them, with what was heard of both sides.

A seed makes a call: what is asked and when, which tools the model uses, what the hooks do, what the
program says from timers, how LiveKit is set. The words of a question say what the model does."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass
from typing import Any

from livekit.agents import llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

from support.line import Line, until
from support.scripted import (
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Step,
    Wait,
)

from .desk import TOOLS, desk, last_item, words_for
from .truth import Truth, does


@dataclass
class Plan:
    """All that is random about a call."""

    questions: list[tuple[float, float, str]]
    """The pause before each, how long it is, its words."""
    says: list[tuple[float, str]]
    """When the program does what by itself."""
    hook: str
    greets: str
    thinks: float
    first_byte: float
    leads: float
    vad: float
    turns: dict[str, Any]


def plan(seed: int) -> Plan:
    """The call of a seed."""
    some = random.Random(seed)
    asked = ("plainly", "plainly", "plainly", "before", "emptily", *TOOLS)
    interruption = ({}, {"min_duration": 0.2, "resume_false_interruption": False}, {"min_words": 2})
    return Plan(
        questions=[
            (
                some.choice((0.7, 1.5, 2.5, 5.0)),
                some.choice((0.4, 0.8)),
                f"question {number} {some.choice(asked)}",
            )
            for number in range(some.randint(2, 5))
        ],
        says=[
            (
                some.uniform(1, 10),
                some.choice(("say", "reply", "types", "interrupt", "forces", "change")),
            )
            for _ in range(some.choice((0, 0, 1, 2)))
        ],
        hook=some.choice(("", "", "", "waits", "says", "declines", "breaks")),
        greets=some.choice(("", "say", "reply")),
        thinks=some.choice((0.05, 0.3, 0.8)),
        first_byte=some.choice((0.05, 0.3)),
        leads=some.choice((0.05, 0.2)),
        vad=some.choice((0.2, 0.4)),
        turns={
            "endpointing": {"min_delay": some.choice((0.05, 0.3)), "max_delay": 0.8},
            "preemptive_generation": {"enabled": some.random() < 0.4},
            "interruption": some.choice(interruption),
        },
    )


class Model(ScriptedLLM):
    """Answers by what it reads: the words of a question, a tool's result, an instruction."""

    def __init__(self, thinks: float) -> None:
        super().__init__()
        self._wait = Wait(thinks)
        self._counter = itertools.count(1)

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[Any] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **options: Any,
    ) -> llm.LLMStream:
        names = {tool.info.name for tool in tools or []}
        self.replies.append([self._wait, *self._reply(chat_ctx, names)])
        return super().chat(chat_ctx=chat_ctx, tools=tools, conn_options=conn_options, **options)

    def _reply(self, chat_ctx: llm.ChatContext, tools: set[str]) -> list[Step]:
        last = last_item(chat_ctx)
        if last is None or last.type != "message" or last.role != "user":
            return [f"Number {next(self._counter)} of what I say by myself."]
        return [*words_for(last.text_content or "", tools)]


async def call(made: Plan, *, traced: bool = True) -> Truth:
    """Play a call.

    Args:
        traced: Otherwise to LiveKit's own agent.
    """
    truth, agent = Truth(), desk(traced)
    line = Line(
        hears=ScriptedSTT(*(words for _, _, words in made.questions)),
        thinks=Model(made.thinks),
        speaks=ScriptedTTS(
            first_byte=made.first_byte, leading_silence=made.leads, seconds_per_character=0.03
        ),
        vad=ScriptedVAD(end=made.vad),
        **made.turns,
    )
    clock = asyncio.get_running_loop().time
    truth.listen(line.speaker, made.leads)
    async with line.to(agent(made.hook, made.greets)):
        began = clock()
        truth.ask(line.microphone, made.questions)
        for when, what in sorted(made.says):
            await asyncio.sleep(max(0.0, began + when - clock()))
            await does(line.session, what, agent(made.hook, ""), truth)
        await line.microphone.heard()
        await until(lambda: not line.speaker.playing)
    truth.read(line.session)
    return truth
